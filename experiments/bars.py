"""Bars of characters for the terminal: shares by how dense a block is, or by signs where it can draw none."""

from collections.abc import Mapping, Sequence

from rich.console import Console

OUTCOMES = {"n_hit": "hit", "n_hit_prefetched": "prefetched", "n_late": "late", "n_merged": "merged", "n_miss": "miss"}
"""The outcomes of accesses by their columns, in the order in which a bar has them."""
_BLOCKS, _SIGNS = "█▓▒░·", "#+~o."
_LEVELS = "▁▂▃▄▅▆▇█"


def draws_blocks(console: Console) -> bool:
    """Whether what the terminal's encoding can say includes blocks."""
    return not console.options.ascii_only


def bar(counts: Mapping[str, float | None], width: int, *, blocks: bool) -> str:
    """Outcomes as shares of a bar; of all lengths that could be, each is the nearest whole one."""
    values = [counts.get(name) or 0.0 for name in OUTCOMES]
    total = sum(values)
    if not total:
        return ""
    exact = [value / total * width for value in values]
    lengths = [int(length) for length in exact]
    by_rest = sorted(range(len(exact)), key=lambda i: lengths[i] - exact[i])
    for i in by_rest[: width - sum(lengths)]:
        lengths[i] += 1
    return "".join(sign * n for sign, n in zip(_BLOCKS if blocks else _SIGNS, lengths, strict=True))


def legend(*, blocks: bool) -> str:
    """What the parts of such a bar stand for."""
    return ", ".join(
        f"{sign} {name}" for sign, name in zip(_BLOCKS if blocks else _SIGNS, OUTCOMES.values(), strict=True)
    )


def line(values: Sequence[float], width: int) -> str:
    """The last of a series of values as a line of blocks, from 0 to the highest of them."""
    shown = values[-width:]
    step = max(shown, default=0.0) / (len(_LEVELS) - 1) or 1.0
    return "".join(_LEVELS[round(value / step)] for value in shown)
