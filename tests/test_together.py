"""Experiments whose runs go side by side: who begins when, and what nothing may be beside."""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from experiments.callbacks import Callbacks
from experiments.common import Common
from experiments.crews import Group, Result, Steps, Task, Work
from experiments.exits import RunsDiedError, RunsFailedError
from experiments.kept import Kept
from experiments.loading import load
from experiments.making_runs import Making
from experiments.many import _Failed
from experiments.plan import Run
from experiments.progress import RunProgress, make_console
from experiments.single import sources_of
from experiments.together import MOST_OPEN, Together
from simulator.errors import InputError
from tests.test_experiment import call, write

BESIDE, ALONE = "beside", "alone"


class _Crew:
    """Makes a task a step, and writes down what happens."""

    def __init__(self, name: str, said: list[str], n_at_once: int = 2) -> None:
        self.name, self.said, self.n_at_once = name, said, n_at_once
        self._tasks = deque[tuple[Work, Task]]()

    @property
    def n_waiting(self) -> int:
        return max(len(self._tasks) - self.n_at_once, 0)

    @property
    def is_busy(self) -> bool:
        return bool(self._tasks)

    def add(self, work: Any, tasks: Sequence[Any]) -> None:
        self._tasks.extend((work, task) for task in tasks)

    def step(self) -> Iterator[tuple[Work, Task, Result]]:
        work, task = self._tasks.popleft()
        self.said.append(f"{self.name} {task}")
        yield work, task, None

    def rest(self) -> None:
        assert not self._tasks
        self.said.append(f"{self.name} rests")

    def close(self) -> None:
        self._tasks.clear()
        self.said.append(f"{self.name} ends")


def together(said: list[str], *, one_by_one: bool = True) -> Together[str]:
    return Together(lambda: _Crew(BESIDE, said), lambda: _Crew(ALONE, said), one_by_one=one_by_one)  # type: ignore[arg-type]


def steps(name: str, n_beside: int, n_alone: int, said: list[str], error: Exception | None = None) -> Steps[str]:
    said.append(f"{name} begins")
    work: Any = object()
    try:
        for n, is_alone in ((n_beside, False), (n_alone, True)):
            tasks: list[Any] = [f"{name}{i}" for i in range(n)]
            for i in range(n):
                yield Group(work, tasks, is_alone) if i == 0 else None
        if error is not None:
            raise error
    finally:
        said.append(f"{name} is written")
    return name


def test_the_next_one_begins_while_the_last_runs_are_made() -> None:
    said: list[str] = []
    of = together(said)
    ended = [one.value for one in of.run(iter([steps(name, 3, 0, said) for name in "abc"]))]
    assert ended == ["a", "b", "c"]
    # Two at once: with one of a's waiting b is not needed yet, and with none it is.
    assert said[:4] == ["a begins", "b begins", "beside a0", "beside a1"]
    assert said.index("c begins") < said.index("beside b2")
    assert said.index("a is written") < said.index("c begins")


@pytest.mark.parametrize("one_by_one", [True, False])
def test_what_is_made_alone_comes_when_all_else_is_made_and_nothing_is_written_meanwhile(one_by_one: bool) -> None:
    said: list[str] = []
    of = together(said, one_by_one=one_by_one)
    plan = [("a", 2, 2), ("b", 1, 0), ("c", 0, 1), ("d", 2, 2)]
    ended = [one.value for one in of.run(iter([steps(*one, said) for one in plan]))]
    assert sorted(map(str, ended)) == ["a", "b", "c", "d"]
    first = next(i for i, line in enumerate(said) if line.startswith(ALONE))
    assert not [line for line in said[first:] if line.startswith(f"{BESIDE} ") and line != "beside ends"]
    assert said[first - 1] == "beside rests"
    made = [line for line in said[first:] if not line.endswith(("rests", "ends"))]
    assert made == [
        "alone a0", "alone a1", "a is written", "alone c0", "c is written", "alone d0", "alone d1", "d is written",
    ]  # fmt: skip


def test_so_many_are_open_at_most() -> None:
    """Their measured runs are made, and then more begin, none of them beside what is measured."""
    said: list[str] = []
    n = 2 * MOST_OPEN + 3
    ended = list(together(said).run(iter([steps(f"e{i}-", 1, 1, said) for i in range(n)])))
    assert len(ended) == n
    n_open = most = 0
    for line in said:
        n_open += line.endswith("begins") - line.endswith("is written")
        most = max(most, n_open)
    assert most == MOST_OPEN
    kinds = [line.split()[0] for line in said if line.startswith((BESIDE, ALONE)) and "-" in line]
    assert sum(a != b for a, b in pairwise(kinds)) == 5


def test_processes_end_before_it_is_written_what_is_left() -> None:
    said: list[str] = []
    wrong = InputError("wrong")
    with pytest.raises(InputError, match="wrong"):
        list(together(said).run(iter([steps("a", 5, 0, said), steps("b", 0, 0, said, wrong)])))
    assert said.index("beside ends") < said.index("a is written")


def test_of_one_whose_processes_died_it_is_said_and_others_go_on() -> None:
    said: list[str] = []
    died = RunsDiedError("died")
    ended = list(together(said).run(iter([steps("a", 1, 0, said, died), steps("b", 1, 0, said)])))
    assert [(one.number, one.value, one.error) for one in ended] == [(0, None, died), (1, "b", None)]


def test_traces_are_written_once_and_go_when_nobody_needs_them(tmp_path: Path) -> None:
    source = {"kind": "random", "accesses": 50, "n_keys": 9, "block": "1 B"}
    sweep = {"workload.source.accesses": [50, 60], "system.tiers.hbm.capacity": ["1 MiB", "2 MiB"]}
    content = {"name": "s", "seeds": [0, 1], "workload": {"source": source}, "arms": ["none", "next_n"], "sweep": sweep}
    a, b, c, d = load(write(tmp_path, content)).values()
    common = Common(tmp_path / "traces", [a, b, c, d], 2, 2, lambda: None)

    def n_files() -> int:
        return len(list((tmp_path / "traces").glob("*/*/key.npy")))

    common.begins(a)
    with common.traces_of(a, [0, 1], {}) as of_a:
        common.begins(b)
        with common.traces_of(b, [0, 1], {}) as of_b:
            assert [of_a[seed] is of_b[seed] for seed in (0, 1)] == [True, True]
            assert n_files() == 2
            common.begins(c)
            with common.traces_of(c, [0], {}) as of_c:
                assert of_c[0].length() == 60
                assert n_files() == 3
    # Of 50 accesses there are no more to come, of 60 there are.
    assert n_files() == 1
    common.begins(d)
    with common.traces_of(d, [0], {}) as of_d:
        assert of_d[0] is of_c[0]
    assert n_files() == 0


def test_a_sweep_by_processes(tmp_path: Path) -> None:
    """What is measured overlaps nothing of any experiment, and the rest is as one by one."""
    arms: list[Any] = ["none", {"name": "measured", "policy": {"kind": "next_n"}, "charge": {"kind": "measured"}}]
    source = {"kind": "random", "accesses": 300, "n_keys": 40}
    sweep = {"system.tiers.hbm.capacity": ["1 MiB", "2 MiB"]}
    path = write(tmp_path, {"name": "s", "seeds": [0], "workload": {"source": source}, "arms": arms, "sweep": sweep})
    for jobs in ("1", "2"):
        assert call(path, "--out", tmp_path / jobs, "--jobs", jobs, "--quiet").exit_code == 0
    names = ["capacity-1MiB", "capacity-2MiB"]
    assert sorted(found.name for found in (tmp_path / "2").iterdir()) == names
    rows = [row for name in names for row in pq.read_table(tmp_path / "2" / name / "runs.parquet").to_pylist()]
    assert [row["arm"] for row in rows] == ["none", "measured"] * 2
    for one in rows:
        beside = [o for o in rows if o is not one and o["began_s"] < one["ended_s"] and one["began_s"] < o["ended_s"]]
        assert one["arm"] != "measured" or not beside
    measured, others = ([row for row in rows if row["latencies"] == kind] for kind in ("measured", "free"))
    assert min(row["began_s"] for row in measured) > max(row["ended_s"] for row in others)
    for name in names:
        table = Path(name) / "accesses" / "none-0.parquet"
        assert (tmp_path / "2" / table).read_bytes() == (tmp_path / "1" / table).read_bytes()


def test_what_is_said_of_experiments_of_which_something_is_wrong() -> None:
    failed = _Failed()
    failed.note("a", RunsFailedError("error: arm x: KeyError", "  ./x.py:3"))
    with pytest.raises(RunsFailedError) as only_failed:
        failed.tell()
    assert only_failed.value.args == ("error: a: arm x: KeyError", "  ./x.py:3")
    failed.note("b", None)
    failed.note("c", RunsDiedError("arm y: the process died", "error: arm x: KeyError"))
    with pytest.raises(RunsDiedError) as died:
        failed.tell()
    assert died.value.args == (
        "a: arm x: KeyError", "  ./x.py:3", "error: c: arm y: the process died", "error: c: arm x: KeyError",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("swept", "problem"),
    [
        ({"system.tiers.hbn.capacity": ["1 MiB", "2 MiB"]}, "hbn"),
        ({"system.tiers.hbm.capacity": []}, "system.tiers.hbm.capacity: has no values"),
        (
            {"arms.next_n.policy.n": "1..10000", "system.tiers.hbm.capacity": "linear(1 MiB, 2 MiB, 1000)"},
            "has 10,000,000 combinations (10000 x 1000); expected at most 100,000",
        ),
    ],
)
def test_a_bad_sweep_is_one_line_and_leaves_nothing(tmp_path: Path, swept: dict[str, Any], problem: str) -> None:
    source = {"kind": "random", "accesses": 50, "n_keys": 9}
    content = {"name": "s", "workload": {"source": source}, "arms": ["none", "next_n"], "sweep": swept}
    found = call(write(tmp_path, content), "--out", tmp_path / "out", "--jobs", "2")
    assert found.exit_code == 2
    (line,) = found.output.splitlines()
    assert line.startswith(f"error: {tmp_path / 'config.yaml'}: ")
    assert problem in line
    assert not (tmp_path / "out").exists()


OWN = """
class Own:
    def decide(self, run):
        return []
"""


def test_sources_are_those_of_before_the_sweep(tmp_path: Path) -> None:
    """Processes have imported what was there then: what is found later would be another hash than what they run."""
    (tmp_path / "own.py").write_text(OWN)
    arms = ["none", {"name": "own", "policy": {"kind": "python", "class": "./own.py:Own"}, "charge": "free"}]
    sweep = {"system.tiers.hbm.capacity": ["1 MiB", "2 MiB"]}
    source = {"kind": "random", "accesses": 50, "n_keys": 9}
    content = {"name": "s", "seeds": [0], "workload": {"source": source}, "arms": arms, "sweep": sweep}
    one, other = load(write(tmp_path, content)).values()
    common = Common(tmp_path / "traces", [one, other], 2, 2, lambda: None)
    own = one.arms[1]
    before = common.sources_of(one, own)
    assert before == sources_of(other, other.arms[1])
    (tmp_path / "own.py").write_text(OWN + "# edited\n")
    assert sources_of(other, other.arms[1]) != common.sources_of(other, other.arms[1]) == before
    told = Callbacks([], other, tmp_path)
    making = Making(other, tmp_path, Kept(tmp_path), {}, told, None, None, common)
    with RunProgress(make_console(), quiet=True) as progress:
        making.choose(progress, force=False, title="")
    with pytest.raises(InputError, match="arm own, seed 0: its policy's sources were edited while it ran"):
        making._check_sources(Run(other.arms[1], 0))


def test_a_trace_in_a_file_is_read_once_for_its_length(tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("1\n2\n3\n4\n")
    source = {"kind": "ids", "path": str(tmp_path / "ids.txt"), "block": "1 B"}
    content = {
        "name": "s", "workload": {"source": source}, "arms": ["none", "next_n"],
        "sweep": {"system.tiers.hbm.capacity": ["1 MiB", "2 MiB"]},
    }  # fmt: skip
    one, other = load(write(tmp_path, content)).values()
    common = Common(tmp_path / "traces", [one, other], 2, 2, lambda: None)
    path = tmp_path / "ids.txt"
    files = {str(path): common.sha256(path)}
    read = common.read(one, 0, files)
    assert read is not None
    assert read is common.read(other, 1, files)
    path.write_text("1\n2\n3\n4\n5\n6\n")
    files = {str(path): common.sha256(path)}
    again = common.read(other, 1, files)
    assert again is not None
    # One that was edited is another one.
    assert again is not read
    assert again.length() == 6
