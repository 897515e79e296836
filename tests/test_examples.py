"""The examples run, say what they should, and stay short."""

import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import tierfetch
from examples import checkpoint_traffic, click_model, failing_link, moe_language_model, queue_lengths
from experiments.prepared import model_of
from simulator.errors import InputError

CONFIG = str(Path(__file__).parents[1] / "configs" / "mixed.yaml")
MOST_LINES = 45
# What a model is and how it is trained is in it, too.
TRAINED = {"moe_language_model.py": 200, "click_model.py": 150}


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """The part of the trace that is judged is a tenth of it: the times of the examples shrink with it."""

    def shorter(config: str, arm: str, seed: int = 0, sets: Any = ()) -> Any:
        return model_of(config, arm, seed, [*sets, "workload.train_ratio=0.9"])

    for example in (checkpoint_traffic, failing_link, queue_lengths):
        monkeypatch.setattr(example, "model_of", shorter)


def test_they_are_short() -> None:
    for path in (Path(CONFIG).parents[1] / "examples").glob("*.py"):
        assert len(path.read_text().splitlines()) <= TRAINED.get(path.name, MOST_LINES), path


def test_each_says_something_when_it_is_run() -> None:
    for path in (Path(CONFIG).parents[1] / "examples").glob("[a-z]*.py"):
        assert 'if __name__ == "__main__":\n    ' in path.read_text(), path


@pytest.mark.parametrize(
    ("name", "said"), [("dictionary_cache", "found their block there"), ("serving_queue", "prefetch 42")]
)
def test_caches_of_ones_own_are_shown(name: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(Path(CONFIG).parents[1] / "examples" / f"{name}.py"), run_name="__main__")
    assert said in capsys.readouterr().out


def test_checkpoints_cost(short: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint_traffic, "EVERY_NS", 100_000_000)
    monkeypatch.setattr(checkpoint_traffic, "TAKES_NS", 40_000_000)
    without, beside = checkpoint_traffic.main(CONFIG)
    assert beside > 1.2 * without


def test_a_link_fails_and_comes_back(short: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failing_link, "FAILS_NS", 200_000_000)
    monkeypatch.setattr(failing_link, "IS_BACK_NS", 300_000_000)
    longest, afterwards = failing_link.main(CONFIG)
    # The access that the failure found waits it out; once the link is back, none waits for longer than a fetch takes.
    assert 98_000_000 < longest < 102_000_000
    assert afterwards < 1_200_000


def test_queues_are_watched_and_drawn(short: None, tmp_path: Path) -> None:
    found = queue_lengths.main(CONFIG, picture=str(tmp_path / "queues.png"))
    assert list(found) == ["hbm_dram", "dram_origin"]
    assert max(found["dram_origin"]) > 0
    assert (tmp_path / "queues.png").read_bytes()[:4] == b"\x89PNG"


@pytest.fixture
def threads() -> Iterator[None]:
    n_threads = torch.get_num_threads()
    yield
    torch.set_num_threads(n_threads)


def test_a_language_model_is_recorded(
    threads: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moe_language_model, "CONTEXT", 80)
    path = tmp_path / "moe.parquet"
    loss, persistence = moe_language_model.main(str(path), steps=10, rounds=1, batch=2)
    # A guess that knows nothing of bytes has 5.5 nats.
    assert loss < 4.5
    assert f"{path}: " in capsys.readouterr().out
    rows = tierfetch.Trace.read(path).to_pandas()
    # A prompt, then each place up to the end of the context, and what its two tokens need of each layer.
    assert rows["request"].nunique() == (1 + 80 - 64) * 4
    assert rows.groupby("request")["layer"].first().tolist() == [0, 1, 2, 3] * 17
    assert not rows.duplicated(["request", "key"]).any()
    assert rows["size_bytes"].unique().tolist() == [(2 * 128 * 256 + 256 + 128) * 4]
    assert all(0 <= share <= 1 for share in persistence)
    again = moe_language_model.main(str(tmp_path / "again.parquet"), steps=10, rounds=1, batch=2)
    assert again == (loss, persistence)
    assert tierfetch.Trace.read(tmp_path / "again.parquet").to_pandas()["key"].equals(rows["key"])


def test_a_click_model_is_recorded(threads: None, tmp_path: Path) -> None:
    path = tmp_path / "clicks.parquet"
    ranked_right = click_model.main(str(path), steps=60, requests=50, batch=3)
    assert ranked_right > 0.55
    rows = tierfetch.Trace.read(path).to_pandas()
    assert rows["request"].tolist() == [number for number in range(50) for _ in range(3 * (1 + 1 + 8))]
    assert rows.groupby("table")["size_bytes"].agg(["count", "min", "max"]).values.tolist() == [
        [150, 128, 128], [150, 128, 128], [1200, 128, 128],
    ]  # fmt: skip


def test_an_unknown_arm_is_named() -> None:
    with pytest.raises(InputError, match=r"there is no arm 'lru'; expected one of none, next_n, lstm"):
        model_of(CONFIG, "lru")


def test_an_unknown_event_is_named() -> None:
    with pytest.raises(ValueError, match="unknown event 'finished'; expected one of issued, served"):
        model_of(CONFIG, "none").on("finished", print)


def test_a_model_runs_once() -> None:
    model = model_of(CONFIG, "none", sets=["workload.train_ratio=0.99"])
    model.run()
    with pytest.raises(RuntimeError, match="a Model runs once"):
        model.run()


def test_the_clock_has_whole_nanoseconds() -> None:
    def hold(model: Any) -> Any:
        # SimPy's own signature: priority, preempt.
        with model.links["hbm_dram"].request(-1, False) as channel:
            yield channel
            yield model.env.timeout(2_000_000.5)

    model = model_of(CONFIG, "none", sets=["workload.train_ratio=0.99", "system.links.0.channels=1"])
    model.env.process(hold(model))
    with pytest.raises(ValueError, match=r"the clock is at .*\.5 ns; expected whole nanoseconds"):
        model.run()
