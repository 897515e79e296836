"""``tierfetch search``: what is searched, how trials are made and stopped, what is told; what Optuna proposes."""

from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from experiments import search as command
from experiments.exits import RunsFailedError
from experiments.extras import need
from experiments.loading import said_of
from experiments.results import KeptResults
from experiments.searching.driver import Wanted, search
from experiments.searching.space import OWN, Places, Space
from experiments.searching.trials import Goal, Making, Result, is_worse, made
from experiments.variants import KeptVariants
from simulator.errors import InputError
from tests.test_experiment import write

needs_optuna = pytest.mark.skipif(
    find_spec("optuna") is None, reason="needs Optuna: pip install 'tierfetch[search]'; make test-search"
)
N, EVICTION, CAPACITY = "arms.next_n.policy.n", "system.tiers.hbm.eviction", "system.tiers.hbm.capacity"
CONFIG: dict[str, Any] = {
    "name": "small",
    "seeds": [0, 1, 2, 3, 4],
    "workload": {"source": {"kind": "zipf", "accesses": 300, "n_keys": 200}},
    "arms": ["none", "next_n(n=1)", "stride"],
    "output": {"accesses": False, "prefetches": False, "inferences": False},
    "sweep": {N: "2..8..2"},
}
LATENCY = Goal("mean_latency_ns", is_minimized=True)


def space_of(
    arm: str | None = None, more: list[str] | None = None, sets: list[str] | None = None, **config: Any
) -> Space:
    path = Path("small.yaml")
    said = said_of(CONFIG | config, path, sets, None, more, may_be_large=True)
    assert said.sweep is not None
    return Space(path, said, "", said.sweep, arm)


class Proposed:
    """As that of Optuna is used."""

    def __init__(self, setting: Any, told: list[Any]) -> None:
        self.setting, self._told, self._steps = setting, told, list[tuple[int, float]]()

    def report(self, step: int, value: float) -> None:
        self._steps.append((step, value))

    def done(self, value: float) -> None:
        self._told.append(("done", value, self._steps))

    def pruned(self) -> None:
        self._told.append(("pruned", None, self._steps))

    def failed(self) -> None:
        self._told.append(("failed", None, self._steps))


class InOrder:
    """Asks for all combinations in turn."""

    refused: tuple[str, ...] = ()

    def __init__(self, space: Space, places: list[Places]) -> None:
        self.told: list[Any] = []
        self._left = [Proposed(space.setting(one, {}), self.told) for one in places]

    def next(self) -> Proposed | None:
        return self._left.pop(0) if self._left else None


def searched(space: Space, asking: Any, out: Path, **wanted: Any) -> str:
    console = Console(width=150, record=True, file=StringIO())
    goal = wanted.pop("goal", LATENCY)
    search(space, Wanted(goal, 5, wanted.pop("n_confirm", 3), 1, quiet=False), asking, out, console)
    return console.export_text()


def test_ranges_have_an_order_and_lists_have_none() -> None:
    sweep = {
        N: "1..8", EVICTION: ["lru", "fifo"], "system.tiers.dram.latency": "log(100 ns, 10 us, 5)",
        "zip": {CAPACITY: ["1 MiB", "2 MiB"], "system.tiers.dram.capacity": ["8 MiB", "16 MiB"]},
    }  # fmt: skip
    space = space_of(sweep=sweep, system={"preset": "h100-sxm-pcie5"})
    assert [(axis.keys[0], len(axis.rows), axis.is_ordered) for axis in space.axes] == [
        (N, 8, True), (EVICTION, 2, False), ("system.tiers.dram.latency", 5, True), (CAPACITY, 2, False),
    ]  # fmt: skip
    assert space.n == 8 * 2 * 5 * 2
    setting = space.setting((7, 1, 4, 1), {})
    assert [arm.name for arm in setting.experiment.arms] == ["next_n"] == [setting.experiment.baseline]
    assert setting.experiment.arms[0].policy.core.n == 8  # type: ignore[attr-defined]
    tiers = {tier.name: tier for tier in setting.experiment.system.tiers}
    assert (tiers["hbm"].capacity, tiers["dram"].capacity) == (2 << 20, 16 << 20)
    assert tiers["hbm"].eviction == "fifo" or tiers["hbm"].eviction.kind == "fifo"  # type: ignore[union-attr]
    assert setting.experiment.name == f"small-{setting.name}"
    assert space.own.name == f"small-{OWN}"


def test_conditions_hold_and_names_tell_settings_apart() -> None:
    space = space_of(sweep={N: "1..8", EVICTION: ["lru", "fifo"], "when": f"{N} < 4 or {EVICTION} == 'fifo'"})
    assert space.allows((2, 0))
    assert not space.allows((3, 0))
    assert space.allows((3, 1))
    one = space.setting((0, 0), {})
    assert space.setting((0, 0), {one.name: one.point}).name == one.name
    other = space.setting((1, 0), {"n-2_eviction-lru": one.point})
    assert other.name != "n-2_eviction-lru"


def test_a_grid_too_large_to_sweep_can_be_searched() -> None:
    space = space_of(sweep={N: "1..1000", CAPACITY: "log(1 MiB, 1 GiB, 1000)"})
    assert space.n == 10**6
    assert space.all() is None


@pytest.mark.parametrize(
    ("config", "arm", "problem"),
    [
        ({"sweep": {"workload.source.accesses": "1..4"}}, None, "workload.source.accesses: cannot be searched"),
        ({"sweep": {"arms.far.policy.n": "1..4"}}, None, "there is no such arm"),
        ({"sweep": {N: "1..4", "arms.stride.policy.degree": "1..4"}}, None, "expected one of next_n, stride"),
        ({"sweep": {N: "1..4"}}, "stride", "--arm stride: keys of next_n change nothing in it"),
        ({"sweep": {CAPACITY: ["1 MiB"]}}, None, "--arm: there are several; expected one of next_n, stride"),
        ({}, "far", "--arm far: there is no such arm; expected one of none, next_n, stride"),
        ({"sweep": {N: "1..4", "sample": {"n": 2}}}, None, "sample: a search draws by itself"),
        ({"warm_up": "mser5"}, None, "warm_up: mser5 would judge each setting on other accesses"),
        ({"sweep": {"arms.next_n.policy.far": "1..4"}}, None, "unknown key 'far'"),
        ({"sweep": {N: [1, "many"]}}, None, "got 'many'"),
        ({"sets": [f"{N}=2"]}, None, f"{N}: is searched, and set by --set"),
    ],
)
def test_what_cannot_be_searched(config: dict[str, Any], arm: str | None, problem: str) -> None:
    with pytest.raises(InputError) as error:
        space_of(arm, **config)
    assert problem in "\n".join(map(str, error.value.args))


def test_a_value_may_fit_some_others_alone() -> None:
    policies = ["next_n(n=2)", {"kind": "stride", "degree": 1}]
    space = space_of(sweep={"arms.next_n.policy": policies, "arms.next_n.policy.degree": "2..3"})
    assert space.setting((1, 1), {}).experiment.arms[0].policy.core.degree == 3  # type: ignore[attr-defined]
    with pytest.raises(InputError, match=r"with arms.next_n.policy next_n\(n=2\), arms.next_n.policy.degree 2"):
        space.setting((0, 0), {})


def test_a_trial_is_stopped_once_it_is_shown_to_be_worse() -> None:
    best = {0: 10.0, 1: 12.0, 2: 11.0}
    assert is_worse(LATENCY, {0: 11.0, 1: 13.1, 2: 12.1}, best)
    assert not is_worse(LATENCY, {0: 9.0, 1: 11.1, 2: 10.1}, best)
    assert not is_worse(LATENCY, {0: 9.0, 1: 15.0, 2: 11.0}, best)
    assert is_worse(Goal("hit_ratio", is_minimized=False), {0: 9.0, 1: 11.1, 2: 10.1}, best)
    # One seed tells nothing.
    assert not is_worse(LATENCY, {0: 11.0}, best)


def test_what_is_tried_kept_and_told(tmp_path: Path) -> None:
    space, out = space_of(), tmp_path / "out"
    # The further ahead, the better on this workload.
    places: list[Places] = [(3,), (0,), (1,)]
    asking = InOrder(space, places)
    text = searched(space, asking, out)
    (done, value, steps), (pruned, _, of_pruned), _ = asking.told
    assert (done, pruned) == ("done", "pruned")
    assert [step for step, _ in steps] == [0, 1, 2, 3, 4]
    assert value == pytest.approx(sum(value for _, value in steps) / 5)
    assert 3 <= len(of_pruned) < 5
    assert "[2/5] n-2: " in text
    assert f"stopped after {len(of_pruned)} seeds" in text
    assert "All 3 combinations that count were tried" in text
    found = KeptVariants.open(out)
    found.check_whole()
    assert set(found.of) == {OWN, "n-8", "n-2", "n-4"}
    assert found.columns()[N] == [2, 4, 8, 1]
    assert found.of["n-2"].seeds == list(range(len(of_pruned)))
    best = min(
        (sum(row["mean_latency_ns"] for row in kept.rows) / 5, name)
        for name, kept in found.of.items()
        if len(kept.seeds) == 5
    )[1]
    assert f"Best: {N}={best.removeprefix('n-')}" in text
    # Its lead is told from seeds that no trial has seen, and by pairs.
    again = {name: KeptResults.open(out / "confirm" / name) for name in (OWN, best)}
    assert [kept.seeds for kept in again.values()] == [[5, 6, 7]] * 2
    ours, theirs = ([row["mean_latency_ns"] for row in again[name].rows] for name in (best, OWN))
    mean = sum(one - other for one, other in zip(ours, theirs, strict=True)) / sum(theirs)
    assert "on 3 fresh seeds: -" in text
    assert f"({mean:+.1%})" in text[text.index("fresh seeds: -") :]
    # Said again it makes no run, and comes to the same.
    before = {path: path.stat().st_mtime_ns for path in out.rglob("windows/*")}
    assert searched(space, InOrder(space, places), out) == text
    assert {path: path.stat().st_mtime_ns for path in out.rglob("windows/*")} == before


def test_the_configs_own_settings_may_be_the_best(tmp_path: Path) -> None:
    space, goal = space_of(sweep={N: "1..2"}), Goal("mean_latency_ns", is_minimized=False)
    asking = InOrder(space, [(1,), (0,)])
    text = searched(space, asking, tmp_path / "out", goal=goal)
    # The first of the range is the config as it is: nothing is run for it, and it is told.
    assert [what for what, *_ in asking.told] == ["pruned", "done"]
    assert not (tmp_path / "out" / "n-1").exists()
    assert "The config's own settings are the best that were tried" in text
    assert "fresh" not in text


def test_where_seeds_change_nothing(tmp_path: Path) -> None:
    space = space_of(workload={"source": {"kind": "sequential", "accesses": 200}}, seeds=[0, 1, 2, 3, 4])
    text = searched(space, InOrder(space, [(3,)]), tmp_path / "out")
    assert "the difference is exact for this trace" in text
    assert KeptResults.open(tmp_path / "out" / "n-8").seeds == [0, 1, 2]


def test_a_setting_that_fails_stops_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from experiments.searching import driver

    def failing(making: Making, name: str, *rest: Any) -> Result:
        if name == "n-2":
            raise RunsFailedError("error: arm next_n, seed 0: it broke")
        return made(making, name, *rest)

    monkeypatch.setattr(driver, "made", failing)
    space = space_of()
    asking = InOrder(space, [(0,), (3,)])
    with pytest.raises(RunsFailedError, match="it broke"):
        searched(space, asking, tmp_path / "out", n_confirm=0)
    assert [what for what, *_ in asking.told] == ["failed", "done"]


def called(path: Path, *options: object) -> Any:
    return CliRunner().invoke(command.app, [str(path), *map(str, options)])


@pytest.mark.parametrize(
    ("config", "options", "problem"),
    [
        ({}, ["--minimize", "latency"], "--minimize latency: there is no such metric; expected one of hit_ratio"),
        ({}, ["--minimize", "hit_ratio", "--maximize", "hit_ratio"], "expected one of them"),
        ({"sweep": None}, [], "nothing to search; expected a sweep in the config, or --sweep KEY=VALUES"),
        ({}, ["--variant", "far"], "has no variant 'far'; expected none"),
        ({"variants": [{"name": "a", "set": {}}, {"name": "b", "set": {}}]}, [], "--variant: expected one of a, b"),
        ({"sweep": {N: "8..1"}}, [], "'8..1' is empty"),
    ],
)
def test_what_is_refused(config: dict[str, Any], options: list[str], problem: str, tmp_path: Path) -> None:
    raw = {key: value for key, value in (CONFIG | config).items() if value is not None}
    found = called(write(tmp_path, raw), *options, "--out", tmp_path / "out")
    assert found.exit_code == 2, found.output
    assert problem in " ".join(found.output.split())
    assert not (tmp_path / "out").exists()


def test_a_dry_run_says_how_many_runs_at_most(tmp_path: Path) -> None:
    found = called(write(tmp_path, CONFIG), "--out", tmp_path / "out", "--trials", "3", "--confirm", "2", "--dry-run")
    assert found.exit_code == 0, found.output
    # 5 seeds of 3 trials and the config's own, 2 of two.
    assert "at most 24 runs: 3 trials and the config's own settings with 5 seeds" in " ".join(found.output.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(find_spec("optuna") is not None, reason="Optuna is there")
def test_without_the_extra_it_is_named(tmp_path: Path) -> None:
    found = called(write(tmp_path, CONFIG), "--out", tmp_path / "out")
    assert found.exit_code == 2
    assert "pip install 'tierfetch[search]'" in found.output
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError):
        need("search", "optuna")


@needs_optuna
def test_the_same_seed_proposes_the_same_and_none_twice() -> None:
    from experiments.searching.asking import Asking

    space = space_of(sweep={N: "1..30", EVICTION: ["lru", "fifo"], "when": f"{N} != 7"})

    def names(seed: int, n: int) -> list[str]:
        asking, found = Asking(space, is_minimized=True, seed=seed), list[str]()
        while len(found) < n and (proposed := asking.next()) is not None:
            found.append(proposed.setting.name)
            proposed.report(0, 1.0)
            if len(found) % 3:
                proposed.done(float(proposed.setting.point[N]))
            else:
                proposed.pruned()
        return found

    assert names(0, 25) == names(0, 40)[:25]
    assert names(1, 25) != names(0, 25)
    every = names(0, 100)
    assert len(every) == len(set(every)) == 58
    assert not any(name.startswith("n-7_") for name in every)


@needs_optuna
def test_proposals_go_where_it_is_good() -> None:
    from experiments.searching.asking import Asking

    asking = Asking(space_of(sweep={N: "1..1000"}), is_minimized=True, seed=0)
    values = []
    for _ in range(40):
        proposed = asking.next()
        assert proposed is not None
        values.append(abs(proposed.setting.point[N] - 700))
        proposed.done(float(values[-1]))
    # Of uniform draws half would be further than 250.
    assert sorted(values[20:])[10] < 150


def proposals(output: str) -> list[str]:
    return [line.partition("] ")[2] for line in output.splitlines() if line.startswith("[")]


@needs_optuna
def test_a_search_from_its_command(tmp_path: Path) -> None:
    path, out = write(tmp_path, CONFIG), tmp_path / "out"
    first = called(path, "--trials", "3", "--confirm", "2", "--out", out)
    assert first.exit_code == 0, first.output
    assert called(path, "--trials", "3", "--confirm", "2", "--out", out).output == first.output
    more = called(path, "--trials", "99", "--confirm", "0", "--out", out)
    assert more.exit_code == 0, more.output
    assert "All 4 combinations that count were tried" in more.output
    assert proposals(more.output)[:3] == proposals(first.output)
    assert len(KeptVariants.open(out).of) == 5
