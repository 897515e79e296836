"""Variants of one experiment that lie below one folder, as ``tierfetch list`` names them: together."""

from collections import Counter
from pathlib import Path

from experiments.listing import Listed, best_text, head, some
from experiments.variants import KeptVariants, short

_MOST = 8


def in_groups(listed: list[Listed]) -> list[list[Listed]]:
    """Results one by one, and the variants of an experiment in a folder together, where the newest of them stands."""
    found: dict[tuple[Path, str], list[Listed]] = {}
    for one in listed:
        # A folder by itself is its own group: no other has its path.
        key = (one.folder, "") if one.variant is None else (one.folder.parent, one.name.removesuffix(one.variant))
        found.setdefault(key, []).append(one)
    return list(found.values())


def lines_of_variants(group: list[Listed]) -> list[str]:
    """What is said of the variants of an experiment."""
    parent = group[0].folder.parent
    kept = KeptVariants.of_these(parent, [one.folder for one in group])
    by_name = {one.variant: one for one in group}
    # In the order in which their tables are.
    of = [by_name[name] for name in kept.of]
    arms = list(dict.fromkeys(arm for one in of for arm in one.arms))
    seeds = sorted({seed for one in of for seed in one.seeds})
    lines = [
        head(str(parent), f"{kept.name}, {len(of)} variants", of),
        f"  arms {some(arms)}; seeds {some(seeds)}",
        f"  set differently: {some(list(kept.keys)) or 'nothing'}",
    ]
    best = Counter(one.best.arm for one in of if one.best is not None)
    if len(of) > _MOST:
        first = "; ".join(f"{arm} in {n}" for arm, n in best.most_common(_MOST))
        return [*lines, f"  variants {some(list(kept.of))}", *([f"  lowest mean latency: {first}"] if first else [])]
    titles = short(list(kept.keys))
    for name, one in zip(kept.of, of, strict=True):
        said = ", ".join(f"{titles[key]} {_short(text)}" for key, text in kept.settings_text(name).items())
        lines.append(
            f"  {name}" + (f" ({said})" if said else "") + (f": {best_text(one)}" if one.best else ": no finished run")
        )
    return lines


def _short(text: str, most: int = 40) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."
