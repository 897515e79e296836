"""All that differs between two results."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.differences.accesses import Changes
from experiments.differences.arms import PAIRED, Matched, basis_of, matched, runs_of
from experiments.differences.made import made_by
from experiments.differences.metrics import Arms, side_by_side
from experiments.differences.settings import TOLD, Absent, differing
from experiments.plan import stem_of
from experiments.results import KeptResults


class Differences(NamedTuple):
    """Of B from A; configs and what made them by key, each with both values."""

    a: KeptResults
    b: KeptResults
    matched: Matched
    config: dict[str, list[Any]]
    told: dict[str, list[Any]]
    """Keys that change nothing that comes out of a run, such as the seeds: which there are."""
    made: dict[str, list[Any]]
    arms: list[Arms]
    accesses: list[Changes | str]
    """Of each pair of arms; or why there is nothing to say."""


def differences(a: KeptResults, b: KeptResults, *, arms: Sequence[str] = (), n_most: int = 5) -> Differences:
    """What differs between two results.

    Args:
        a: What is compared with.
        b: What is compared.
        arms: Arms of other names that belong together, as ``A_ARM=B_ARM``.
        n_most: So many accesses are named, those whose latency changed most.

    Raises:
        InputError: there are no such arms, or a table is damaged.
    """
    pairs = matched(a, b, arms)
    config = differing([_of_arms(kept, pairs.pairs, i) for i, kept in enumerate((a, b))])
    found = []
    for arm_a, arm_b in pairs.pairs:
        runs = runs_of(a, arm_a), runs_of(b, arm_b)
        found.append((arm_a, arm_b, basis_of(a, b, *runs), *runs))
    compared = side_by_side(a, b, found)
    return Differences(
        a, b, pairs,
        {key: values for key, values in config.items() if key.split(".")[0] not in TOLD},
        {key: values for key, values in config.items() if key.split(".")[0] in TOLD},
        made_by(a, b, pairs.pairs), compared, [_accesses(a, b, one, n_most) for one in compared],
    )  # fmt: skip


def _of_arms(kept: KeptResults, pairs: list[tuple[str, str]], side: int) -> dict[str, Any]:
    """A config with the arms that are compared alone, by their names in A."""
    config = dict(kept.kept.about["config"])
    names = {both[side]: both[0] for both in pairs}
    arms = [arm | {"name": names[arm["name"]]} for arm in config["arms"] if arm["name"] in names]
    # In one order: which arm stands first changes nothing.
    order = [of_a for of_a, _ in pairs]
    return config | {
        "arms": sorted(arms, key=lambda arm: order.index(arm["name"])),
        "baseline": names.get(config["baseline"], config["baseline"]),
    }


def _accesses(a: KeptResults, b: KeptResults, one: Arms, n_most: int) -> Changes | str:
    if one.basis.kind != PAIRED:
        return "no access of the one is one of the other"
    changes = Changes(n_most)
    n_kept = 0
    for seed in one.basis.seeds_a:
        for repeat in range(min(len(one.runs_a[seed]), len(one.runs_b[seed]))):
            files = [_file(kept, arm, seed, repeat) for kept, arm in ((a, one.a), (b, one.b))]
            if files[0] is not None and files[1] is not None:
                changes.add(seed, repeat, files[0], files[1])
                n_kept += 1
    return changes if n_kept else "the table accesses is not kept by both; run with output.accesses: true"


def _file(kept: KeptResults, arm: str, seed: int, repeat: int) -> Path | None:
    path = kept.folder / "accesses" / f"{stem_of(arm, seed, repeat)}.parquet"
    return path if path.exists() else None


def as_json(found: Differences) -> dict[str, Any]:
    """All of it, as plain values; None where there is none, and where JSON has none, as for infinity."""
    return {
        "a": _told(found.a), "b": _told(found.b),
        "config": _both(found.config), "told": _both(found.told), "made_by": _both(found.made),
        "only_a": found.matched.only_a, "only_b": found.matched.only_b,
        "arms": [
            {
                "a": one.a, "b": one.b, "basis": one.basis.kind, "why": one.basis.why,
                "seeds_a": one.basis.seeds_a, "seeds_b": one.basis.seeds_b, "is_timed_once": one.is_timed,
                "metrics": list(map(_finite, one.rows)), "others": list(map(_finite, one.others)),
                "accesses": _of_accesses(changes),
            }
            for one, changes in zip(found.arms, found.accesses, strict=True)
        ],
    }  # fmt: skip


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in row.items()
    }


def _told(kept: KeptResults) -> dict[str, Any]:
    return {"folder": str(kept.folder), "name": kept.name, "seeds": kept.seeds, "missing": kept.missing()}


def _both(values: dict[str, list[Any]]) -> list[dict[str, Any]]:
    found = []
    for key, both in values.items():
        a, b = (None if isinstance(one, Absent) else one for one in both)
        lacks = [side for side, one in zip("ab", both, strict=True) if isinstance(one, Absent)]
        found.append({"key": key, "a": a, "b": b, "lacks": lacks})
    return found


def _of_accesses(changes: Changes | str) -> dict[str, Any]:
    if isinstance(changes, str):
        return {"why_none": changes}
    return {
        "n": changes.n, "n_same_outcome": changes.n_same, "n_other_latency": changes.n_moved,
        "n_only_a": changes.n_only_a, "n_only_b": changes.n_only_b,
        "outcomes": changes.pairs(), "most": [one._asdict() for one in changes.most],
    }  # fmt: skip
