"""A probe has blocks to miss, however uneven its clients are, and ends."""

import signal
import threading
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.loading import load, only
from experiments.progress import make_console
from experiments.validation import prober
from experiments.validation.asked import asked
from experiments.validation.probing import Mix, probed
from experiments.validation.scaled import scaled
from experiments.validation.standing_in import Wanted
from experiments.validation.walk import Walk
from live import MemoryStore, MemoryTier, Recorder, TieredCache
from live.contents import fill
from tests.dram_over_file import CONFIGS, machine
from tests.test_validation_probe import BLOCK, NOTHING, pattern_of


def within(seconds: float, call: Any) -> Any:
    """What a call returns; one that goes on for ever is left alone."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(call()), daemon=True)
    thread.start()
    thread.join(seconds)
    assert found, "it goes on for ever, or has failed"
    return found[0]


@pytest.mark.parametrize("n_held", [3, 4])
def test_where_all_blocks_are_there_one_of_them_is_taken(n_held: int) -> None:
    store = MemoryStore(BLOCK)
    fill(store, range(4))
    with TieredCache([MemoryTier(name="dram", capacity="1 MiB")], store) as cache:
        cache.get_many(range(n_held))
        walk = Walk(cache, None, range(4), 4, Wanted({}, {}), np.random.default_rng(0))  # type: ignore[arg-type]
        found = within(10, walk._absent)
        assert found == 3 if n_held == 3 else found in range(4)


# What comes first trains.
PARTS = "{kind: phases, phases: [{kind: sequential, accesses: 200, block: 64 KiB}, {kind: interleave, parts: [%s]}]}"


@pytest.mark.parametrize(
    ("source", "blocks", "arm"),
    [
        # Nothing is evicted; nearly all of it is prefetched, and 30 misses are still to be timed.
        ("{kind: sequential, accesses: 60, block: 64 KiB}", 64, "next_n"),
        # One client of eight does nearly everything, with an eighth of the keys.
        (PARTS % ", ".join([
            "{kind: random, accesses: 160, n_keys: 1000, block: 64 KiB}",
            *["{kind: sequential, accesses: 5, block: 64 KiB}"] * 7,
        ]), 40, "none"),
        # The same where all of it has room.
        (PARTS % ", ".join([
            "{kind: sequential, accesses: 190, block: 64 KiB}",
            *["{kind: sequential, accesses: 5, block: 64 KiB}"] * 2,
        ]), 400, "none"),
    ],
)  # fmt: skip
def test_there_is_always_something_to_miss(source: str, blocks: int, arm: str, tmp_path: Path) -> None:
    path = CONFIGS / "mixed.yaml"
    sets = [f"workload.source={source}", f"system.tiers.0.capacity={blocks * 64} KiB"]
    said = asked(1000, None, None, "2 ms", f"none,{arm}" if arm != "none" else arm, Path("nowhere"), None)
    experiment = scaled(path, only(load(path, sets=sets, seeds=[0])), machine(), said).experiment
    made = prober.Prober(experiment, 65536, tmp_path, make_console())
    costs = within(30, lambda: made.probe(experiment.arms[-1]))
    assert min(len(costs.hits), len(costs.misses)) >= 25


def test_an_interrupt_does_not_wait_for_clients_that_think() -> None:
    patterns = [pattern_of(stream, *[("get", i, NOTHING) for i in range(5)]) for stream in range(2)]
    wanted, keys = Wanted({}, {}), range(40)

    def make_cache(recorder: Recorder, n: int) -> TieredCache:
        store = MemoryStore(BLOCK)
        fill(store, keys)
        tier = MemoryTier(name="dram", capacity=f"{n * BLOCK} B")
        return TieredCache([tier], store, recorder=recorder)

    with make_cache(Recorder(), 10) as cache:
        # What is compiled is, then.
        cache.get_many(keys)
    began, main = time.monotonic(), threading.main_thread().ident
    assert main is not None
    threading.Timer(0.5, signal.pthread_kill, (main, signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        probed(
            make_cache, lambda _: nullcontext(), Mix(patterns, 5 * 10**9, keys, 10, 10, [1]), wanted,
            np.random.default_rng(0),
        )  # fmt: skip
    assert time.monotonic() - began < 4
