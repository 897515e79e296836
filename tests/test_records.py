"""Records: one declaration, the same fields in compiled code, Python and NumPy; and errors that are seen."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Annotated

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.none import NonePolicy
from simulator import flight
from simulator.arrays import NONE, At, Ints, home, minus, plus, times
from simulator.compiled import CHECKED, address_of, compiled, ints_at
from simulator.config import Closed
from simulator.records import lists, moving
from simulator.records.checked import WrongRecordError, declare
from simulator.records.lists import List, Node
from simulator.records.moving import Access, Pool, Transfer
from simulator.records.record import Record, nth, view
from simulator.records.rows import nth_access_row
from simulator.records.run import Run, run_at
from simulator.state import Machine
from tests.strategies import books, system

ROOT = Path(__file__).parents[1]
only_checked = pytest.mark.skipif(not CHECKED, reason="for rules that run as Python: NUMBA_DISABLE_JIT=1")


class Pair(Record):
    """Two words."""

    left: int
    right: int


class Whole(Record, line=4):
    """Some of everything."""

    first: int
    pair: Pair
    few: Annotated[Ints, 3]
    pairs: Annotated[Sequence[Pair], 2]
    last: At[Pair]


whole_at, nth_pair = view(Whole), nth(Pair)


@compiled
def _write(memory: int, place: At[Whole]) -> int:
    words = ints_at(memory)
    whole = whole_at(words, place)
    whole.first, whole.pair.right, whole.last = 1, 2, place
    for i in range(3):
        whole.few[i] = 10 + i
    whole.few[1] += 5
    pair = whole.pairs[1]
    pair.left = 7
    nth_pair(words, place, 8).right = 99
    return whole.pairs[1].left + whole.few[1]


def test_compiled_code_python_and_numpy_see_the_same() -> None:
    memory = np.zeros(40, np.int64)
    assert Whole.words == 12
    assert Whole.word("few") == 3
    assert _write(address_of(memory), 4) == 7 + 16
    whole = Whole(memory, 4)
    assert (whole.first, whole.pair.right, whole.few.tolist(), whole.pairs[1].left, whole.last) == (
        1,
        2,
        [10, 16, 12],
        7,
        4,
    )
    row = Whole.as_rows(memory[4:16])[0]
    assert (row["first"], row["pair"]["right"], row["few"].tolist(), row["pairs"]["left"].tolist()) == (
        1,
        2,
        [10, 16, 12],
        [0, 7],
    )
    assert np.flatnonzero(memory).tolist() == [4, 6, 7, 8, 9, 12, 14, 21]
    assert memory[21] == 99
    whole.pair.left = -3
    assert memory[5] == -3


class Item(Record):
    """In two lists at once."""

    at: At["Item"]
    one: Node
    other: Node


IN_ONE, IN_OTHER = Item.word("one"), Item.word("other")


class Ends(Record):
    """At the start of the memory."""

    lists: Annotated[Sequence[List], 2]


ends_at = view(Ends)


@compiled
def _list(memory: int, what: int, which: int, place: At[Item]) -> None:
    words = ints_at(memory)
    list_, links = ends_at(words, NONE + 1).lists[which], IN_OTHER if which else IN_ONE
    if what == 0:
        lists.clear(list_)
    elif what == 1:
        lists.prepend(words, list_, place, links)
    elif what == 2:
        lists.append(words, list_, place, links)
    else:
        lists.remove(words, list_, place, links)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5), st.booleans()), max_size=40))
def test_lists_are_those_of_python(steps: list[tuple[int, int, bool]]) -> None:
    memory = np.zeros(Ends.words + 6 * Item.words, np.int64)
    places = [Ends.words + i * Item.words for i in range(6)]
    for which in (0, 1):
        _list(address_of(memory), 0, which, 0)
    naive: list[list[int]] = [[], []]
    for which, i, in_front in steps:
        place = places[i]
        if place in naive[which]:
            naive[which].remove(place)
            _list(address_of(memory), 3, which, place)
        elif in_front:
            naive[which].insert(0, place)
            _list(address_of(memory), 1, which, place)
        else:
            naive[which].append(place)
            _list(address_of(memory), 2, which, place)
    for which, node in ((0, "one"), (1, "other")):
        ends = Ends(memory, 0).lists[which]
        for start, step in ((ends.first, "next"), (ends.last, "prev")):
            found, place = [], start
            while place != NONE:
                found.append(place)
                place = getattr(getattr(Item(memory, place), node), step)
            assert found == naive[which][:: 1 if step == "next" else -1]


@compiled
def _wrapped(a: int, b: int) -> tuple[int, int, int, int]:
    return plus(a, b), minus(a, b), times(a, b), home(a, (1 << 40) - 1)


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1))
def test_keys_wrap(a: int, b: int) -> None:
    x = a % 2**64
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
    expected = [(n + 2**63) % 2**64 - 2**63 for n in (a + b, a - b, a * b)]
    assert list(_wrapped(a, b)) == [*expected, (x ^ (x >> 31)) % 2**40]


def machine() -> Machine:
    return Machine(system(10), Closed.model_validate({"kind": "closed"}), NonePolicy(), books(), 2)


def test_a_place_is_the_same_before_and_after_memory_grows() -> None:
    made = machine()
    before = made.run.pools.transfers.free
    made.reserve("transfers", 500)
    made.reserve("accesses", 500)
    free: list[int] = []
    place = made.run.pools.transfers.free
    while place != NONE:
        free.append(place)
        transfer = Transfer(made.run.ints, place)
        assert transfer.at == place
        place = transfer.next_free
    assert before in free
    assert len(free) == len(set(free)) == made.run.pools.transfers.n_free >= 500


@compiled
def _fly(memory: int, what: int, key: int, place: At[Transfer]) -> At[Transfer]:
    run = run_at(memory)
    if what == 0:
        return moving.take(run, run.pools.transfers)
    if what == 1:
        t = moving.transfer_at(run, place)
        t.key = key
        flight.enter(run, t)
    elif what == 2:
        flight.leave(run, moving.transfer_at(run, place))
    return flight.find(run, key)


def test_blocks_in_flight_are_a_dict() -> None:
    """Where probes go round the end of the table, from its last three places to its first three."""
    made = machine()
    mask, chance = made.run.flight_mask, Random(1)
    keys = [key for key in range(3000) if (_wrapped(key, 0)[3] + 3) & mask < 6][:12]
    places = {key: _fly(made.address, 0, key, At(0)) for key in keys}
    in_flight: set[int] = set()
    for key in chance.choices(keys, k=1000):
        _fly(made.address, 2 if key in in_flight else 1, key, places[key])
        in_flight ^= {key}
        found = [_fly(made.address, 3, key, places[key]) for key in keys]
        assert found == [places[key] if key in in_flight else NONE for key in keys]


@only_checked
def test_a_wrong_record_raises() -> None:
    run = machine().run
    transfer = moving.take(run, run.pools.transfers)
    moving.transfer_at(run, transfer)
    with pytest.raises(WrongRecordError, match=r"Question at .*: there is none"):
        moving.question_at(run, transfer)
    with pytest.raises(WrongRecordError, match=r"Transfer at .*: it was given back"):
        moving.transfer_at(run, run.pools.transfers.free)
    with pytest.raises(WrongRecordError, match=r"Transfer at .*: there is none"):
        moving.transfer_at(run, transfer + 1)
    with pytest.raises(WrongRecordError, match="beyond the memory"):
        moving.access_at(run, NONE)
    moving.give_back(run, run.pools.transfers, Transfer(run.ints, transfer))
    with pytest.raises(WrongRecordError, match="given back twice"):
        moving.give_back(run, run.pools.transfers, Transfer(run.ints, transfer))


@only_checked
def test_a_row_beyond_its_buffer_raises() -> None:
    run = machine().run
    rows = run.rows.accesses
    nth_access_row(run, rows.rows, rows.capacity - 1).key = 1
    with pytest.raises(WrongRecordError, match=r"AccessRow at .*: there is none"):
        nth_access_row(run, rows.rows, rows.capacity)
    with pytest.raises(OverflowError):
        nth_access_row(run, rows.rows, 0).key = 2**63


@only_checked
def test_a_pool_knows_its_records() -> None:
    memory = np.zeros(Pool.words + 3 * Access.words, np.int64)
    declare(memory, Access, Pool.words, 3, is_pool=True)
    with pytest.raises(WrongRecordError):
        moving.access_at(memory, Pool.words)
    assert isinstance(Run.dtype.names, tuple)


def test_the_type_checker_tells_a_transfer_from_a_question(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "from simulator.links import promote\n"
        "from simulator.records.moving import Question, Transfer, transfer_at\n"
        "from simulator.records.run import Run\n\n\n"
        "def go(run: Run, q: Question, t: Transfer) -> None:\n"
        "    promote(run, t)\n"
        "    promote(run, q)\n"
        "    transfer_at(run, q.at)\n"
        "    t.prefetch = q.at\n"
        "    t.quened_ns = 1\n"
    )
    command = [sys.executable, "-m", "mypy", "--no-error-summary", str(wrong)]
    found = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    lines = [line for line in found.stdout.splitlines() if "error" in line]
    assert [line.split(":")[1] for line in lines] == ["8", "9", "10", "11"], found.stdout + found.stderr


def test_rules_run_as_plain_python() -> None:
    # What is worked by hand, random systems against the model, records that are wrong: all without a compiler. Left out
    # is what has none anyway: a test of the model alone, and one of types.
    chosen = [
        "tests/test_records.py", "tests/test_engine_golden.py", "tests/test_rules.py", "tests/test_residency.py",
        "tests/test_engines.py::test_random_systems",
        "--deselect", "tests/test_rules.py::test_no_write_is_lost",
        "--deselect", "tests/test_records.py::test_the_type_checker_tells_a_transfer_from_a_question",
    ]  # fmt: skip
    if CHECKED:
        pytest.skip("this is it")
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-x", *chosen]
    done = subprocess.run(command, check=False, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
