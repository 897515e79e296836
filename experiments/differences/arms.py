"""Which arms of two results are compared, and what may be claimed of two of them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from experiments.compare.table import Runs
from experiments.differences.settings import differing, judged
from experiments.results import KeptResults
from simulator.errors import InputError

PAIRED, UNPAIRED, NONE = "paired", "unpaired", "none"
Row = dict[str, Any]


class Matched(NamedTuple):
    """An arm of A and one of B; and those that the other one has no arm for."""

    pairs: list[tuple[str, str]]
    only_a: list[str]
    only_b: list[str]


def matched(a: KeptResults, b: KeptResults, said: Sequence[str] = ()) -> Matched:
    """Arms of one name, and those of ``A_ARM=B_ARM``. Raises InputError if there is none of a name, or one is twice."""
    given: dict[str, str] = {}
    for text in said:
        of_a, equals, of_b = (part.strip() for part in text.partition("="))
        if not equals:
            raise InputError(f"--arm {text}: expected A_ARM=B_ARM, an arm of the first result and one of the second")
        for name, kept in ((of_a, a), (of_b, b)):
            if name not in kept.arms:
                raise InputError(
                    f"--arm {text}: {kept.folder} has no arm {name!r}; expected one of {', '.join(kept.arms)}"
                )
        if of_a in given or of_b in given.values():
            raise InputError(f"--arm {text}: one of the two is there twice; expected each arm once")
        given[of_a] = of_b
    free = [arm for arm in b.arms if arm not in given.values()]
    pairs = [(arm, given.get(arm, arm)) for arm in a.arms if arm in given or arm in free]
    taken = {arm for _, arm in pairs}
    return Matched(
        pairs, [arm for arm in a.arms if arm not in dict(pairs)], [arm for arm in b.arms if arm not in taken]
    )


class Basis(NamedTuple):
    """How two arms may be compared, over which seeds, and in words why so."""

    kind: str
    seeds_a: list[int]
    seeds_b: list[int]
    why: str


def basis_of(a: KeptResults, b: KeptResults, runs_a: Runs, runs_b: Runs) -> Basis:
    """Pairs where a seed made the same trace for both; samples of one kind where seeds differ; else nothing."""
    both = [seed for seed in runs_a if seed in runs_b]
    if not runs_a or not runs_b:
        return Basis(NONE, list(runs_a), list(runs_b), f"no finished run in {'B' if runs_a else 'A'}")
    if not both:
        return _of_other_seeds(a, b, list(runs_a), list(runs_b))
    other = [seed for seed in both if _of(runs_a, seed, "trace_sha256") != _of(runs_b, seed, "trace_sha256")]
    if other:
        return Basis(NONE, both, both, f"other trace (seed{_s(other)} {_listed(other)})")
    for seed in both:
        parts = [_judged_part(runs, seed) for runs in (runs_a, runs_b)]
        if parts[0] != parts[1]:
            texts = [f"{n:,} accesses from {first:,} on" for first, n in parts]
            return Basis(NONE, both, both, f"judged on other accesses (seed {seed}: {texts[0]}; {texts[1]})")
    aside = [f"{seed} of {name}" for name, runs in (("A", runs_a), ("B", runs_b)) for seed in runs if seed not in both]
    why = f"same traces, seed{_s(both)} {_listed(both)}" + (f"; without {_listed(aside)}" if aside else "")
    return Basis(PAIRED, both, both, why)


def _of_other_seeds(a: KeptResults, b: KeptResults, seeds_a: list[int], seeds_b: list[int]) -> Basis:
    configs = [judged(kept.kept.about["config"]) for kept in (a, b)]
    if differing([config["workload"] for config in configs]):
        return Basis(NONE, seeds_a, seeds_b, "other workload, and other seeds")
    if a.warm_up != b.warm_up:
        return Basis(NONE, seeds_a, seeds_b, "judged after another warm-up, and other seeds")
    if sorted(a.kept.about.get("traces_sha256", {}).values()) != sorted(b.kept.about.get("traces_sha256", {}).values()):
        return Basis(NONE, seeds_a, seeds_b, "other trace files, and other seeds")
    which = f"seed{_s(seeds_a)} {_listed(seeds_a)} of A, {_listed(seeds_b)} of B"
    hashes = {found.row["trace_sha256"] for kept in (a, b) for found in kept.kept.runs.values()}
    what = "one trace, other seeds" if len(hashes) == 1 else "other traces of the same workload"
    return Basis(UNPAIRED, seeds_a, seeds_b, f"{what}, {which}")


def runs_of(kept: KeptResults, arm: str) -> Runs:
    """The rows of an arm that were asked for last, by seed."""
    found: Runs = {}
    for row in kept.rows:
        if row["arm"] == arm:
            found.setdefault(row["seed"], []).append(row)
    return found


def _of(runs: Runs, seed: int, name: str) -> Any:
    return runs[seed][0].get(name)


def _judged_part(runs: Runs, seed: int) -> tuple[int, int]:
    """The first access that is judged, and how many are."""
    # Results from before there was a warm-up do not say that there was none.
    first = (_of(runs, seed, "n_train_accesses") or 0) + (_of(runs, seed, "n_warm_up_accesses") or 0)
    return first, _of(runs, seed, "n_accesses")


def _s(seeds: Sequence[Any]) -> str:
    return "s" * (len(seeds) != 1)


def _listed(items: Sequence[Any], most: int = 8) -> str:
    more = len(items) - most
    return ", ".join(map(str, items[:most])) + (f" and {more} more" if more > 0 else "")
