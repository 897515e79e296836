"""The residency where rules run as plain Python: what compiled code would do unseen is an error there."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from simulator.arrays import At, signed
from simulator.compiled import CHECKED
from simulator.records.arena import Arena, Block, Victim, block_at, entry_at, state_of, victim_at
from simulator.records.checked import WrongRecordError
from simulator.residency import blocks, moves
from simulator.residency.lfu import State as LfuState
from simulator.residency.residency import Residency
from simulator.residency.s3fifo import State as S3FifoState

HERE = Path(__file__).parent
SHARE_OF = (
    "test_checked_residency.py",
    "test_evictions.py::test_compiled_equals_plain",
    "test_evictions.py::test_admission_and_prefetched_blocks",
    "test_eviction_settings.py::test_settings_are_honoured",
)
checked = pytest.mark.skipif(not CHECKED, reason="run by test_a_share_runs_checked, in a process of its own")


@pytest.mark.skipif(CHECKED, reason="this is it")
def test_a_share_runs_checked() -> None:
    """This file, and a share of the tests of evictions; those of residency are run so by `test_records`."""
    nodes = [str(HERE / name) for name in SHARE_OF]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *nodes],
        cwd=HERE.parent, env={**os.environ, "NUMBA_DISABLE_JIT": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout


@pytest.fixture
def residency() -> Residency:
    made = Residency([(3, "lru"), (5, "lfu")], first_slots=2)
    for key in range(8):
        made.insert(0, key, 1)
        made.insert(1, key, 1)
    return made


def head(residency: Residency) -> Arena:
    return Arena(residency.arena, 0)


@checked
def test_a_slot_that_was_given_back(residency: Residency) -> None:
    arena = head(residency)
    slot = blocks.find(arena, signed(7))
    assert block_at(arena, slot).key == 7
    assert entry_at(arena, 1, slot).aux == 1
    residency.remove(0, 7)
    block_at(arena, slot)
    residency.remove(1, 7)
    for opens in (lambda: block_at(arena, slot), lambda: entry_at(arena, 1, slot), lambda: blocks.free(arena, slot)):
        with pytest.raises(WrongRecordError, match="given back"):
            opens()


@checked
def test_a_place_where_no_row_begins(residency: Residency) -> None:
    arena = head(residency)
    slot = blocks.find(arena, signed(7))
    for place in (slot + 1, arena.first_row + arena.n_slots * arena.width, At(0)):
        with pytest.raises(WrongRecordError, match=f"Block at {place}: there is none"):
            block_at(arena, place)
    with pytest.raises(WrongRecordError, match=r"Entry at .*: there is none"):
        entry_at(arena, 2, slot)
    with pytest.raises(WrongRecordError, match="beyond the memory"):
        block_at(arena, At(residency.arena.size))


@checked
def test_the_state_of_another_policy(residency: Residency) -> None:
    arena = head(residency)
    state_of(LfuState)(arena, 1)
    for level in (0, 1):
        with pytest.raises(WrongRecordError, match="there is none"):
            state_of(S3FifoState)(arena, level)
    with pytest.raises(WrongRecordError, match="there is none"):
        state_of(LfuState)(arena, 0)


@checked
def test_a_row_of_a_victim_beyond_the_buffer(residency: Residency) -> None:
    """An insertion that may tell of more victims than there is room for."""
    last = residency._victims.size - Victim.words
    victim_at(residency._victims, At(last))
    with pytest.raises(WrongRecordError, match="beyond the memory"):
        moves.insert(head(residency), 0, 100, 3, 0, -1, residency._victims, At(last), 64, True)


@checked
def test_what_is_known_of_slots_outlives_growth(residency: Residency) -> None:
    before = residency.arena
    slot = blocks.find(head(residency), signed(6))
    residency.remove(0, 7)
    free = blocks.find(head(residency), signed(7))
    residency.remove(1, 7)
    residency.reserve(100)
    assert residency.arena is not before
    assert block_at(head(residency), slot).key == 6
    with pytest.raises(WrongRecordError, match="given back"):
        block_at(head(residency), free)
    arena = head(residency)
    with pytest.raises(WrongRecordError, match="given back"):
        block_at(arena, At(arena.first_row + (arena.n_slots - 1) * arena.width))


@checked
def test_a_number_that_does_not_fit() -> None:
    with pytest.raises(OverflowError):
        Block(np.zeros(8, np.int64), 0).key = 2**63
