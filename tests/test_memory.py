"""Memory of a run does not grow with the trace."""

import gc
import weakref

import numpy as np
import pytest

from policies.next_n import NextNPolicy
from policies.none import NonePolicy
from simulator import state
from simulator.accounting import Books
from simulator.config import Closed
from simulator.engine import Engine
from simulator.trace import make_batch
from tests.strategies import FREE, ListWorkload, system


@pytest.mark.parametrize("policy", [NonePolicy, NextNPolicy])
def test_the_arrays_stay_as_large_as_they_are(policy: type, monkeypatch: pytest.MonkeyPatch) -> None:
    # Distributions grow with the different values in them, up to a bound; here they begin large enough.
    monkeypatch.setattr(state, "_FIRST_COUNTS", 1 << 16)
    rng = np.random.default_rng(2)
    sizes = []
    for n in (20_000, 80_000):
        keys = rng.integers(0, 3000, n)
        closed = Closed.model_validate({"kind": "closed", "think": "300 ns"})
        made = Engine(system(900), closed, ListWorkload(make_batch(keys), 4096), policy(), FREE, Books(None, 10**6))
        made.run()
        arrays = made._machine.run.ints, made._residency.arena, made._shadow.arena, made._feed.window
        sizes.append([len(array) for array in arrays])
    # Keys leave the sets again and again, which must not leave anything behind.
    assert all(long <= 1.1 * short for short, long in zip(*sizes, strict=True)), sizes


def test_memory_goes_with_its_run() -> None:
    """A circle of references would keep it until Python looks for such: as much again for each run of an experiment."""
    closed = Closed.model_validate({"kind": "closed"})
    gc.disable()
    try:
        made = Engine(
            system(9), closed, ListWorkload(make_batch(range(500)), 64), NextNPolicy(), FREE, Books(None, 100)
        )
        made.run()
        arrays = [made._machine.run.ints, made._residency.arena, made._shadow.arena, made._feed.window]
        gone = [weakref.ref(array) for array in arrays]
        del made, arrays
        assert [ref() is None for ref in gone] == [True] * 4
    finally:
        gc.enable()
