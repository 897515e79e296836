"""What is told of a search: a line for each trial, the closing table, and what the best setting is worth."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from experiments.compare.seeds import Difference
from experiments.compare.table import COMPARED
from experiments.compare.verdict import TOO_FEW, verdict
from experiments.differences.settings import value_text
from experiments.plan import is_timed, n_repeats
from experiments.report import COUNT, RATIO, ROWS, TIME, number_text
from experiments.searching.confirming import CONFIRM, Confirmed
from experiments.searching.space import OWN, Space
from experiments.searching.trials import Goal, Result, difference
from experiments.variants import short

_MOST = 10
_KINDS = {metric: kind for _, metric, kind in ROWS}


def _number(goal: Goal, value: float) -> str:
    kind = _KINDS.get(goal.metric, TIME if goal.metric.endswith("_ns") else RATIO if "ratio" in goal.metric else COUNT)
    return number_text(value, kind)


def _signed(goal: Goal, value: float) -> str:
    return ("-" if value < 0 else "+") + _number(goal, abs(value))


def _against(goal: Goal, found: Difference, base_mean: float) -> str:
    """A difference with its interval."""
    text = _signed(goal, found.mean)
    if base_mean:
        text += f" ({found.mean / abs(base_mean):+.1%})"
    if found.low != found.low:
        return f"{text}, no interval"
    return f"{text} [{_signed(goal, found.low)}, {_signed(goal, found.high)}]"


def trial_text(goal: Goal, result: Result, own: Result) -> str:
    """What came of a trial, in a line."""
    shared = [own.values[seed] for seed in result.values]
    found, base = difference(result.values, own.values), sum(shared) / len(shared)
    text = f"{_number(goal, result.mean)}"
    if base:
        text += f" ({found.mean / abs(base):+.1%})"
    return text if result.is_whole else f"{text}; stopped after {len(result.values)} seeds"


def say_end(
    console: Any, goal: Goal, own: Result, results: Sequence[Result], best: Result, fresh: Confirmed | None, out: Path
) -> None:
    """The best settings, and by how much the first of them is better than the config's own."""

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    whole = sorted((one for one in results if one.is_whole), key=lambda one: goal.sign * one.mean)
    console.print(_table(goal, own, whole))
    n_stopped, n = len(results) - len(whole), len(results)
    say(f"{n:,} trials, {n_stopped:,} of them stopped early; brackets: 95 % interval of the paired difference")
    lower_is_better = COMPARED[goal.metric]
    if best.name == OWN:
        say(f"The config's own settings are the best that were tried: {goal.metric} {_number(goal, own.mean)}.")
    else:
        settings = ", ".join(f"{key}={value_text(value)}" for key, value in best.point.items())
        say(f"Best: {settings}")
        found = difference(best.values, own.values)
        say(f"  on the seeds that chose it: {_against(goal, found, own.mean)}; likely too good, as the best of {n:,}")
        if fresh is None:
            say("  not confirmed: --confirm N runs it on N fresh seeds, which did not choose it")
        elif fresh.found is None:
            say("  seeds change nothing here: the difference is exact for this trace, and says nothing of another one")
        else:
            p_value = fresh.found.p_value
            said = verdict(fresh.found, p_value, fresh.own_mean, lower_is_better=lower_is_better)
            said = TOO_FEW if p_value != p_value else said
            say(f"  on {fresh.n_seeds} fresh seeds: {_against(goal, fresh.found, fresh.own_mean)}: {said}")
    say(f"Tables: {out}" + (f"; of fresh seeds: {out / CONFIRM}" if fresh is not None else ""))
    say(f"tierfetch show, list and export take it as variants, and so does Results.open({str(out)!r}).")


def _table(goal: Goal, own: Result, whole: Sequence[Result]) -> Table:
    keys = list(whole[0].point) if whole else []
    titles, table = short(keys), Table()
    for title in ["", *(titles[key] for key in keys), goal.metric, "vs own"]:
        table.add_column(title, overflow="fold")
    for place, one in enumerate(whole[:_MOST], 1):
        cells = [value_text(one.point[key]) for key in keys]
        against = "" if one.name == OWN else _against(goal, difference(one.values, own.values), own.mean)
        table.add_row(str(place), *cells, _number(goal, one.mean), against)
    table.add_section()
    table.add_row(OWN, *("" for _ in keys), _number(goal, own.mean), "")
    return table


def dry(space: Space, n_trials: int, n_confirm: int, jobs: int, out: Path, console: Any) -> None:
    """What would run at most, about how long, and how much disk it takes.

    Raises:
        InputError: a run's input is wrong, or there is no room.
    """
    from experiments.dry_run import estimated, problems_of, say_disk, say_time
    from experiments.plan import planned
    from simulator.errors import InputError

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    own, arm = space.own, space.own.arms[0]
    problems = list(dict.fromkeys(problems_of(own, out / OWN, planned(own), force=False)))
    if problems:
        raise InputError(*problems)
    n_tried, n_seeds, repeats = min(n_trials, space.n), len(own.seeds), n_repeats(own, arm)
    n_runs = repeats * (n_seeds * (n_tried + 1) + 2 * n_confirm)
    confirmed = f", the best and those with {n_confirm} fresh one{'s' * (n_confirm != 1)}" if n_confirm else ""
    say(f"{out.name}: arm {space.arm}, {space.n:,} combinations of {', '.join(k for a in space.axes for k in a.keys)}")
    say(
        f"  at most {n_runs:,} runs: {n_tried:,} trials and the config's own settings with "
        f"{n_seeds} seed{'s' * (n_seeds != 1)}{confirmed}; trials that are clearly worse are stopped early"
    )
    n_accesses = own.workload.source.build(own.seeds[0]).length()
    say("  timing a short run ...")
    one = estimated(own, [arm], n_accesses, say)
    wall_s = one.wall_s[arm.name] * n_runs
    alone, beside = (wall_s, 0.0) if is_timed(arm) else (0.0, wall_s)
    say_time(say, alone, beside, jobs)
    say_disk(say, out, one.n_bytes[arm.name] * n_runs)
