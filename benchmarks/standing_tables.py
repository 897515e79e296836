"""The tables of ``benchmarks.standings``, in Markdown."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.verdicts import ORACLE, Slice, Standing, best_of, mean_share, standings
from experiments.compare.seeds import Difference
from experiments.compare.verdict import BETTER, WORSE

FREE, MEASURED = ".free", ".measured"


@dataclass(frozen=True)
class Learned:
    """What a model was worth beside its controls, on the validation part of a slice."""

    trace: str
    first: int
    arm: str
    named_ratio: float
    control: str
    control_ratio: float
    beats_control: bool
    is_held_back: bool
    n_restarts: int
    judged_ratio: float
    """Best guesses that came true in the judged part."""

    @classmethod
    def of(cls, trace: str, first: int, row: Mapping[str, Any]) -> "Learned":
        """From a row of ``runs``."""
        return cls(
            trace, first, row["arm"].removesuffix(FREE), float(row["named_ratio"]), row["control"],
            float(row["control_top1_ratio"]), bool(row["beats_control"]), row["threshold"] == math.inf,
            int(row["n_restarts"]), float(row["top1_ratio"]),
        )  # fmt: skip


def tables(found: Mapping[str, Sequence[Slice]], classics: Sequence[str], learned: Sequence[Learned]) -> str:
    """All of them: in short, classics, each trace, models."""
    best = {trace: best_of(slices, classics) for trace, slices in found.items()}
    others = [arm for arm in next(iter(found.values()))[0].means if arm not in classics and arm != ORACLE]
    judged = {trace: standings(slices, others, best[trace]) for trace, slices in found.items()}
    parts = [in_short(found, best, judged), of_classics(found, classics, best)]
    parts += [of_trace(trace, slices, best[trace], judged[trace]) for trace, slices in found.items()]
    if learned:
        parts.append(of_models(learned))
    return "\n\n".join(parts)


def in_short(
    found: Mapping[str, Sequence[Slice]], best: Mapping[str, str], judged: Mapping[str, Sequence[Standing]]
) -> str:
    """A row a trace: the best of each sort."""
    lines = [
        "### In short", "",
        "| | slices | oracle | best classic | of the possible | best uncharged | over the best classic "
        "| of the possible | best measured | over the best classic |",
        "|---|---:|---:|---|---:|---|---:|---:|---|---:|",
    ]  # fmt: skip
    for trace, slices in found.items():
        oracle, classic = mean_share(slices, ORACLE), mean_share(slices, best[trace])
        possible = f"{(1 - classic) / (1 - oracle):.2f}" if oracle < 1 else "-"
        cells = [trace, f"{len(slices)}", f"{oracle:.3f}", f"{best[trace]} {classic:.3f}", possible]
        uncharged = [one for one in judged[trace] if not _is_charged(one.arm)]
        measured = [one for one in judged[trace] if one.arm.endswith(MEASURED)]
        for some in (uncharged, measured):
            if not some:
                cells += ["-", "-"]
                continue
            first = min(some, key=lambda one: one.share.mean)
            cells += [f"{_said(first.arm)} {first.share.mean:.3f}", _over(first)]
            if some is uncharged:
                cells.append(f"{first.possible:.2f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def of_classics(found: Mapping[str, Sequence[Slice]], classics: Sequence[str], best: Mapping[str, str]) -> str:
    """A row a policy, a column a trace; bold: the trace's best."""
    lines = [
        "### Classics, cold and warm", "",
        f"| | {' | '.join(found)} |", f"|---|{'---:|' * len(found)}",
    ]  # fmt: skip
    for arm in classics:
        shares = {trace: f"{mean_share(slices, arm):.3f}" for trace, slices in found.items()}
        cells = [f"**{share}**" if best[trace] == arm else share for trace, share in shares.items()]
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    return "\n".join(lines)


def of_trace(trace: str, slices: Sequence[Slice], best: str, judged: Sequence[Standing]) -> str:
    """A row an arm, the fastest first, between the oracle and the best classic."""
    begin = ", ".join(f"{one.first:,}" for one in slices)
    by_slice = ", ".join(f"{one.share(best):.3f}" for one in slices)
    lines = [
        f"### {trace}", "",
        f"Slices from access {begin}. Best classic: {best}, {mean_share(slices, best):.3f} ({by_slice}); "
        f"oracle {mean_share(slices, ORACLE):.3f}.", "",
        "| arm | charged | over none | least, most | of the possible | over the best classic | verdict "
        "| runs better, worse |",
        "|---|---|---:|---:|---:|---:|---|---:|",
    ]  # fmt: skip
    for one in sorted(judged, key=lambda one: one.share.mean):
        name, _, charge = one.arm.partition(".")
        n = sum(one.by_request.values())
        lines.append(
            f"| {name} | {charge or 'free'} | {one.share.mean:.3f}{_interval(one.share)} | {one.least:.3f}, "
            f"{one.most:.3f} | {one.possible:.2f} | {_over(one)} | {one.verdict} | "
            f"{one.by_request[BETTER]}, {one.by_request[WORSE]} of {n} |"
        )
    return "\n".join(lines)


def of_models(learned: Sequence[Learned]) -> str:
    """A row for each slice and target, its seeds side by side."""
    lines = [
        "### Models beside their controls", "",
        "| trace | from | model | named | best control | | beats it | held back | restarts | came true |",
        "|---|---:|---|---|---|---:|---:|---:|---:|---|",
    ]  # fmt: skip
    for key in dict.fromkeys((one.trace, one.first, one.arm) for one in learned):
        some = [one for one in learned if (one.trace, one.first, one.arm) == key]
        controls = ", ".join(dict.fromkeys(one.control for one in some))
        n = len(some)
        lines.append(
            f"| {key[0]} | {key[1]:,} | {key[2]} | {_each(one.named_ratio for one in some)} | {controls} | "
            f"{some[0].control_ratio:.3f} | {sum(one.beats_control for one in some)} of {n} | "
            f"{sum(one.is_held_back for one in some)} of {n} | {sum(one.n_restarts for one in some)} | "
            f"{_each(one.judged_ratio for one in some)} |"
        )
    return "\n".join(lines)


def _each(values: Any) -> str:
    return ", ".join("-" if math.isnan(value) else f"{value:.3f}" for value in values)


def _is_charged(arm: str) -> bool:
    return "." in arm and not arm.endswith(FREE)


def _said(arm: str) -> str:
    return arm.removesuffix(FREE).removesuffix(MEASURED)


def _interval(found: Difference, base: float = 1.0, centre: float = 0.0) -> str:
    if math.isnan(found.low):
        return ""
    return f" [{centre + found.low / base:.3f}, {centre + found.high / base:.3f}]"


def _over(one: Standing) -> str:
    base = one.share.mean / one.over_best
    return f"{one.over_best:.3f}{_interval(one.against, base, 1.0)}"
