"""Several results set against the first one, and folders with several variants against each other."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from experiments.differences.first import first_sentence, moved_in
from experiments.differences.told import print_differences
from experiments.differences.whole import Differences, as_json, differences
from experiments.results import KeptResults
from experiments.variants import KeptVariants, opened
from simulator.errors import InputError

_MOST_WHOLE = 8
"""Of more comparisons the first sentences are all that is printed."""


class Compared(NamedTuple):
    """Two results of one variant, or of none; and what differs."""

    variant: str | None
    differences: Differences


class Set(NamedTuple):
    """All comparisons, and variants that one folder alone has: its path, and their names."""

    compared: list[Compared]
    alone: list[tuple[Path, list[str]]]


def compared(folders: Sequence[Path], arms: Sequence[str], n_most: int) -> Set:
    """Each result against the first, variants against those of the same name; of one folder, against its first one.

    Raises:
        InputError: there is nothing to compare, or something is damaged.
    """
    found = [opened(folder) for folder in folders]
    first = found[0]
    if len(found) == 1:
        if not isinstance(first, KeptVariants) or len(first.of) == 1:
            raise InputError(f"{folders[0]}: is one result; expected two or more, or a folder with several variants")
        base, *others = first.of.values()
        return Set([Compared(None, differences(base, one, arms=arms, n_most=n_most)) for one in others], [])
    pairs: list[tuple[str | None, KeptResults, KeptResults]] = []
    alone: list[tuple[Path, list[str]]] = []
    for one in found[1:]:
        if isinstance(one, KeptVariants) and isinstance(first, KeptVariants):
            pairs += [(name, kept, one.of[name]) for name, kept in first.of.items() if name in one.of]
            for these, those in ((first, one), (one, first)):
                alone += (
                    [(these.folder, names)] if (names := [name for name in these.of if name not in those.of]) else []
                )
        elif isinstance(one, KeptResults) and isinstance(first, KeptResults):
            pairs.append((None, first, one))
        else:
            several, single = (first, one) if isinstance(first, KeptVariants) else (one, first)
            assert isinstance(several, KeptVariants)
            some = several.folder / next(iter(several.of))
            raise InputError(
                f"{several.folder}: holds several variants, {single.folder} one result; expected one of them, such as "
                f"{some}"
            )
    if not pairs:
        raise InputError(
            f"{', '.join(map(str, folders))}: have no variant of one name; expected two results, such as one variant "
            "of each"
        )
    return Set([Compared(name, differences(a, b, arms=arms, n_most=n_most)) for name, a, b in pairs], alone)


def print_all(console: Console, found: Set) -> None:
    """All first sentences, where there are several; then each comparison."""

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    several = len(found.compared) > 1
    names = [("A", chr(ord("B") + i) if i < 25 else f"B{i}") for i in range(len(found.compared))]
    if any(one.variant is not None for one in found.compared):
        names = [("A", "B")] * len(names)
    if several:
        for one, (_, name) in zip(found.compared, names, strict=True):
            label = f"variant {one.variant}" if one.variant is not None else f"{name}, {one.differences.b.folder}"
            say(f"{label}: {first_sentence(one.differences)}")
    are_many = len(found.compared) > _MOST_WHOLE
    if are_many:
        some = found.compared[0].differences
        say(f"\nMore of one of them: tierfetch compare {some.a.folder} {some.b.folder}")
    for one, both in zip([] if are_many else found.compared, names, strict=False):
        if several:
            say("\n" + (f"Variant {one.variant}" if one.variant is not None else f"{both[1]} against {both[0]}"))
        print_differences(console, one.differences, both, is_whole=not several)
    for folder, variants in found.alone:
        say(f"\nVariants that {folder} alone has: {', '.join(variants)}")


def all_as_json(found: Set) -> dict[str, Any]:
    """Everything, as plain values."""
    return {
        "comparisons": [
            {
                "variant": one.variant,
                "first": first_sentence(one.differences),
                "differs": bool(moved_in(one.differences)),
                **as_json(one.differences),
            }
            for one in found.compared
        ],
        "variants_alone": [{"folder": str(folder), "variants": names} for folder, names in found.alone],
    }
