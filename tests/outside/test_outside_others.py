"""Evictions, workloads and trace formats from outside; packages that bring kinds of their own by entry points."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from experiments import misses, policies, trace
from policies.registry import POLICIES
from simulator.errors import InputError, OutsideError
from simulator.outside import find
from simulator.places import beside
from simulator.plugins import fingerprints
from simulator.residency.registry import EVICTIONS
from tests.outside.running import config, ran, rows, write
from workloads.registry import SOURCES

MY_LRU = """
    from collections import OrderedDict

    class MyLru:
        def __init__(self, capacity, skip: int = 0):
            assert capacity > 20
            self.order, self.skip = OrderedDict(), skip

        def insert(self, key, size):
            self.order[key] = None

        def hit(self, key):
            self.order.move_to_end(key)

        def victim(self):
            return list(self.order)[min(self.skip, len(self.order) - 1)]

        def remove(self, key):
            del self.order[key]
    """
COMPILED = """
    from simulator.residency.sieve import Sieve

    class Again(Sieve):
        \"\"\"SIEVE once more.\"\"\"
    """
WHOLE = """
    from simulator.evictions.recency import Lru

    class Older(Lru):
        def _hit(self, key):
            pass
    """
WALK = """
    import numpy as np

    class Walk:
        def __init__(self, n: int, seed=0):
            self.n, self.rng = n, np.random.default_rng
            self.seed = seed

        def batches(self):
            rng = self.rng(self.seed)
            for _ in range(3):
                yield {"key": 1000 + np.cumsum(rng.integers(0, 3, self.n)), "layer": np.arange(self.n) % 4, "op": 0}
    """
BASE_36 = """
    import numpy as np

    class Base36:
        has_times = True
        name_parts = (".b36",)

        def __init__(self, path, step: int = 5):
            self.path, self.step = path, step

        def batches(self):
            keys = np.array([int(word, 36) for word in self.path.read_text().split()])
            yield {"key": keys, "size_bytes": 4096, "time_ns": np.arange(len(keys)) * self.step}
    """


REST = "hit = remove = lambda self, key: None\n    def victim(self): return 7"


def with_eviction(class_: str, **settings: Any) -> dict[str, Any]:
    said = {"kind": "python", "class": class_, **({"settings": settings} if settings else {})}
    return {"name": class_.split(":")[1], "policy": "next_n(n=2)", "set": {"system.tiers.0.eviction": said}}


def test_evictions_in_python_and_compiled(tmp_path: Path) -> None:
    write(tmp_path, "evict.py", MY_LRU)
    write(tmp_path, "again.py", COMPILED)
    write(tmp_path, "older.py", WHOLE)
    sieve = {"name": "sieve", "policy": "next_n(n=2)", "set": {"system.tiers.0.eviction": "sieve"}}
    fifo = {"name": "fifo", "policy": "next_n(n=2)", "set": {"system.tiers.0.eviction": "fifo"}}
    described = config(
        *map(with_eviction, ("./evict.py:MyLru", "./again.py:Again", "./older.py:Older")), sieve, fifo,
    )  # fmt: skip
    described["workload"]["source"] |= {"accesses": 1500, "block": "300 KiB"}
    result = ran(tmp_path, described)
    assert result.exit_code == 0, result.output
    found = rows(tmp_path)
    same = ["n_issued", "mean_latency_ns", "hit_ratio", "pollution_ratio"]
    for mine, ours in (("MyLru", "next_n"), ("Again", "sieve"), ("Older", "fifo")):
        assert found.loc[mine, same].tolist() == found.loc[ours, same].tolist(), mine
    assert len({tuple(found.loc[name, same]) for name in ("MyLru", "Again", "Older")}) == 3
    assert found["engine"].to_dict() == {
        "none": "compiled", "next_n": "compiled", "MyLru": "simpy", "Again": "compiled", "Older": "simpy",
        "sieve": "compiled", "fifo": "compiled",
    }  # fmt: skip
    # Edited, and said otherwise: made again, with another result.
    described["arms"][2] = with_eviction("./evict.py:MyLru", skip=3)
    again = ran(tmp_path, described, "--force")
    assert again.exit_code == 0, again.output
    assert rows(tmp_path).loc["MyLru", same].tolist() != found.loc["MyLru", same].tolist()
    assert ran(tmp_path, described, "--set", "engine=compiled", "--force").exit_code == 2


def test_an_oracle_and_miss_counts_with_an_eviction_in_python(tmp_path: Path) -> None:
    write(tmp_path, "evict.py", MY_LRU)
    described = config(
        {**with_eviction("./evict.py:MyLru"), "policy": "oracle"}, {"name": "oracle", "policy": "oracle"}
    )
    assert ran(tmp_path, described).exit_code == 0
    found = rows(tmp_path)
    assert found.loc["MyLru", "n_issued"] == found.loc["oracle", "n_issued"] > 50
    keys = write(tmp_path, "t.ids", "\n".join(map(str, np.random.default_rng(1).integers(0, 60, 800))))
    evictions = f"lru,python(class={tmp_path}/evict.py:MyLru)"
    said = [str(keys), "--eviction", evictions, "--capacity", "30", "--unit-size", "--out", str(tmp_path / "m")]
    result = CliRunner().invoke(misses.app, said)
    assert result.exit_code == 0, result.output
    counted = pd.read_parquet(tmp_path / "m" / "misses.parquet")["n_misses"]
    assert counted.nunique() == 1
    assert 60 < counted[0] < 800


@pytest.mark.parametrize(
    ("body", "code", "expected"),
    [
        ("def insert(self, key, size): pass", 2, "has no hit; expected an eviction with insert"),
        ("def insert(self, key): pass", 2, r"insert takes \(self, key\); expected an eviction with insert"),
        (
            f"def insert(self, key, size): pass\n    {REST}",
            4, "eviction ./evict.py:Bad: victim returned 7; expected the key of one of the [0-9]+ blocks that it holds",
        ),
        (
            f"def insert(self, key, size): 1 / 0\n    {REST}",
            4, "eviction ./evict.py:Bad: ZeroDivisionError",
        ),
    ],
)  # fmt: skip
def test_an_eviction_that_is_none(tmp_path: Path, body: str, code: int, expected: str) -> None:
    write(tmp_path, "evict.py", f"class Bad:\n    {body}\n")
    result = ran(tmp_path, config(with_eviction("./evict.py:Bad")), "--quiet")
    assert result.exit_code == code
    assert re.search(expected, result.stderr), result.stderr


def test_a_generator_and_a_format_of_ones_own(tmp_path: Path) -> None:
    write(tmp_path, "walk.py", WALK)
    described = config(seeds=[0, 1])
    described["workload"]["source"] = {"kind": "python", "class": "./walk.py:Walk", "settings": {"n": 300}}
    result = ran(tmp_path, described)
    assert result.exit_code == 0, result.output
    found = rows(tmp_path)
    assert found["n_accesses"].tolist() == [900] * 4
    # Of a seed all arms have the same trace, of another one another.
    assert found.groupby("seed")["trace_sha256"].nunique().tolist() == [1, 1]
    assert found["trace_sha256"].nunique() == 2
    write(tmp_path, "walk.py", WALK.replace("1000", "2000"))
    assert "finished already" not in ran(tmp_path, described).output

    write(tmp_path, "base.py", BASE_36)
    write(tmp_path, "t.b36", "zz a1 b zz a1 q " * 50)
    described["workload"] = {
        "source": {"kind": "python", "class": "./base.py:Base36", "path": "t.b36", "settings": {"step": 900}},
        "arrivals": {"kind": "open"},
    }
    result = ran(tmp_path, described, "--force")
    assert result.exit_code == 0, result.output
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert [Path(file).name for file in manifest["traces_sha256"]] == ["t.b36"]
    head = CliRunner().invoke(trace.app, ["head", str(tmp_path / "t.b36"), "--format", f"{tmp_path}/base.py:Base36"])
    assert re.search(r"1\s+5\s+361\s+4096", head.output), head.output


@pytest.mark.parametrize(
    ("yielded", "expected"),
    [
        ("np.array([1, -5])", "access 1: key is -5; expected 0 to 18446744073709551615"),
        ("np.array([1.5])", "key of type float64, behind 0 accesses; expected whole numbers"),
        ("np.zeros((2, 2), int)", r"key of shape \(2, 2\), behind 0 accesses; expected a row of numbers"),
        ("{'op': [1]}", "columns 'op', .*behind 0 accesses; expected one of them called key"),
        ("{'key': [1, 2], 'op': [1]}", "1 values of op for 2 keys"),
        ("{'key': [1, 2], 'size_bytes': [1, 0]}", "access 1: size_bytes is 0; expected 1 to"),
        ("{'key': [1, 2], 'op': 3}", "access 0: op is 3; expected 0 to 1"),
        ("1 / 0", "workload ./bad.py:Bad: ZeroDivisionError: division by zero"),
    ],
)
def test_a_generator_that_yields_no_accesses(tmp_path: Path, yielded: str, expected: str) -> None:
    write(tmp_path, "bad.py", f"import numpy as np\nclass Bad:\n    def batches(self):\n        yield {yielded}\n")
    described = config()
    described["workload"]["source"] = {"kind": "python", "class": "./bad.py:Bad"}
    result = ran(tmp_path, described)
    assert result.exit_code == 4, result.output
    assert re.search(expected, result.stderr), result.stderr
    assert "Traceback" not in result.output
    assert not (tmp_path / "out").exists()


def test_a_reader_without_its_file(tmp_path: Path) -> None:
    write(tmp_path, "base.py", BASE_36)
    described = config()
    described["workload"]["source"] = {"kind": "python", "class": "./base.py:Base36"}
    result = ran(tmp_path, described)
    assert result.exit_code == 2
    assert "workload.source.python: path: is missing; ./base.py:Base36 reads a file" in result.stderr


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package with a kind of everything."""
    site = tmp_path / "site"
    (site / "bring").mkdir(parents=True)
    write(site / "bring", "__init__.py", "")
    parts = {"walk": WALK, "evict": MY_LRU, "base": BASE_36}
    for name, text in parts.items():
        write(site / "bring", f"{name}.py", text)
    write(
        site / "bring",
        "next.py",
        '''
        """Next blocks."""

        class Next:
            """The next blocks, brought along."""

            def __init__(self, degree: int = 2):
                self.degree = degree

            def decide(self, run):
                return [(int(run.key[-1]) + 1 + i, 1.0) for i in range(self.degree)]
        ''',
    )
    info = site / "bring-1.0.dist-info"
    info.mkdir()
    write(info, "METADATA", "Metadata-Version: 2.1\nName: bring\nVersion: 1.0\n")
    write(
        info,
        "entry_points.txt",
        """
        [tierfetch.policies]
        brought_next = bring.next:Next
        broken = bring.no_such:Thing
        stride = bring.next:Next

        [tierfetch.evictions]
        brought_lru = bring.evict:MyLru

        [tierfetch.workloads]
        brought_walk = bring.walk:Walk

        [tierfetch.formats]
        brought_base = bring.base:Base36
        """,
    )
    monkeypatch.syspath_prepend(site)
    for registry in (POLICIES, EVICTIONS, SOURCES):
        for name in ("_installed", "_any"):
            monkeypatch.delitem(registry.__dict__, name, raising=False)
        monkeypatch.setattr(registry, "_loaded", dict(registry._loaded))
        monkeypatch.setattr(registry, "_adapters", dict(registry._adapters))
    yield site
    for registry in (POLICIES, EVICTIONS, SOURCES):
        registry.__dict__.pop("_installed", None)
    for name in [name for name in sys.modules if name.partition(".")[0] == "bring"]:
        del sys.modules[name]


def test_installed_packages_bring_kinds_of_their_own(package: Path, tmp_path: Path) -> None:
    listing = CliRunner().invoke(policies.app, []).output
    for kind in ("brought_next", "brought_lru", "brought_walk", "brought_base"):
        assert re.search(rf"^{kind} ", listing, re.MULTILINE), listing
    assert "The next blocks, brought along." in listing
    assert "bring.no_such" in listing
    one = CliRunner().invoke(policies.app, ["brought_next"]).output
    assert "degree" in one
    described = config(
        {"name": "ours", "policy": "next_n(n=3, trigger=access)"},
        {"name": "theirs", "policy": "brought_next(degree=3)", "set": {"system.tiers.0.eviction": "brought_lru"}},
    )
    described["workload"]["source"] = {"kind": "brought_walk", "n": 200}
    result = ran(tmp_path, described, "--jobs", "2")
    assert result.exit_code == 0, result.output
    found = rows(tmp_path)
    assert found.loc["theirs", ["n_issued", "mean_latency_ns"]].tolist() == found.loc[
        "ours", ["n_issued", "mean_latency_ns"]
    ].tolist()  # fmt: skip
    # What it has no room for is said with its own settings; ours keep their names.
    described["arms"][3]["policy"] = {"kind": "brought_next", "degre": 3}
    assert "unknown key 'degre'" in ran(tmp_path, described).stderr
    described["arms"][3]["policy"] = "broken"
    assert "there is no module 'bring.no_such'" in ran(tmp_path, described).stderr
    assert POLICIES["stride"].__module__ == "policies.stride"
    described["arms"][3]["policy"] = "brought"
    assert "expected one of 'none', 'next_n'" in (error := ran(tmp_path, described).stderr)
    assert "'brought_next'" in error
    file = write(tmp_path, "t.b36", "zz a1 b zz a1 q " * 5)
    assert "361" in CliRunner().invoke(trace.app, ["head", str(file)]).output


def test_a_package_that_was_edited_is_another_one(package: Path) -> None:
    settings = POLICIES.validate("brought_next")
    (before,) = fingerprints(settings)
    assert settings.build.__self__ is settings
    for name in [name for name in sys.modules if name.partition(".")[0] == "bring"]:
        del sys.modules[name]
    helper = package / "bring" / "walk.py"
    helper.write_text(helper.read_text() + "\n# edited\n")
    assert fingerprints(settings) != [before]


def test_a_package_without_an_init_has_sources_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "spaced").mkdir()
    mine = write(tmp_path / "spaced", "mine.py", "class Mine:\n    def decide(self, run):\n        return []\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = []
    for text in ("", "# edited"):
        mine.write_text(mine.read_text() + text)
        found.append(find("spaced.mine:Mine").sha256)
        for name in ("spaced", "spaced.mine"):
            monkeypatch.delitem(sys.modules, name)
    assert all(found)
    assert found[0] != found[1]


def test_what_two_files_of_one_name_import_is_their_own(tmp_path: Path) -> None:
    for name, value in (("a", 1), ("b", 2)):
        (tmp_path / name).mkdir()
        write(tmp_path / name, "helper.py", f"DEGREE = {value}")
        write(
            tmp_path / name,
            "mine.py",
            """
            from helper import DEGREE

            class Mine:
                def decide(self, run):
                    return [(i, 1.0) for i in range(DEGREE)]
            """,
        )
    found = []
    for name in ("a", "b", "a"):
        with beside(tmp_path / name):
            settings = POLICIES.parse("python(class=./mine.py:Mine)")
        found.append(settings.fingerprint())
    assert found[0] == found[2] != found[1]
    assert "helper" not in sys.modules


def test_errors_of_a_workload_say_where(tmp_path: Path) -> None:
    write(tmp_path, "bad.py", "class Bad:\n    def batches(self):\n        yield [3]\n        yield [4, None]\n")
    with beside(tmp_path):
        workload = SOURCES.parse("python(class=./bad.py:Bad)").build(0)
    with pytest.raises(OutsideError, match="key of type object, behind 1 accesses; expected whole numbers"):
        workload.length()
    with pytest.raises(InputError, match="there is no module 'no_such'"):
        SOURCES.parse("python(class=no_such.thing:Bad)")
