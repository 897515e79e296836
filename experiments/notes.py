"""What a reader of the closing table should know besides: a line each, or none."""

import math
import os
from collections.abc import Iterator
from typing import Any

from experiments.compare.table import COMPARED, came_out_the_same
from experiments.config import Experiment
from experiments.plan import is_timed
from experiments.report import bytes_text, time_text
from simulator.config import WriteBack
from workloads.sizes import Sizes

_MANY_ISSUED = 1000
_PAUSED_OVER_CHARGED = 1.5
_FEW_ANSWERED_RATIO = 0.5
_MANY_AT_ONCE = 1.5
_MANY_REFUSED_RATIO, _MANY_PROPOSED = 0.2, 1000
_MEAN_OVER_MEDIAN, _P99_OVER_MEDIAN = 2, 10
Row = dict[str, Any]


def notes(experiment: Experiment, rows: list[Row], sizes: Sizes) -> list[str]:
    """Lines about what was measured, and what went oddly; ``sizes`` are those of the trace of the first seed."""
    return [
        *_of_controls(experiment, rows), *_of_questions(rows), *_of_pace(rows), *_of_noise(experiment, rows),
        *_of_same_seeds(experiment, rows), *_of_same_repeats(rows),
        *_of_uneven(rows), *_of_arrivals(experiment, rows), *_of_cut(experiment, rows),
        *_of_room(experiment, rows, sizes), *_of_sizes(sizes), *_of_prefetches(rows),
        *_of_large(rows), *_of_write_backs(experiment, rows), *_of_budget(rows),
    ]  # fmt: skip


def _of_questions(rows: list[Row]) -> Iterator[str]:
    """Where most questions came to nothing, and what became of them (rule R14)."""
    ends = {
        "superseded": "superseded by a newer one of their stream", "stale": "stale",
        "queue_full": "found the queue full", "pending_at_end": "open at the end",
    }  # fmt: skip
    for arm in dict.fromkeys(row["arm"] for row in rows):
        of_arm = [row for row in rows if row["arm"] == arm]
        n_of = {end: sum(row[f"n_questions_{end}"] for row in of_arm) for end in ("answered", *ends)}
        n_asked = sum(row["n_asked"] for row in of_arm)
        if n_of["answered"] < _FEW_ANSWERED_RATIO * n_asked:
            others = ", ".join(f"{n_of[end]:,} {said}" for end, said in ends.items() if n_of[end])
            yield f"{arm}: of {n_asked:,} questions {n_of['answered']:,} were answered in time: {others}."


def _of_controls(experiment: Experiment, rows: list[Row]) -> Iterator[str]:
    """Trained models that name no more than what needs no network."""
    for arm in experiment.arms:
        of_arm = [row for row in rows if row["arm"] == arm.name and row.get("beats_control") is not None]
        beaten = [row for row in of_arm if not row["beats_control"]]
        if not beaten:
            continue
        worst = min(beaten, key=lambda row: row["named_ratio"] - row["control_top1_ratio"])
        n_held = sum(row["threshold"] == math.inf for row in beaten)
        held = (
            f" With {n_held} of them it knows no more than a guess that looks at nothing does, and rule: cost asks for "
            "nothing." if n_held else ""
        )  # fmt: skip
        yield (
            f"{arm.name}: WARNING: with {len(beaten)} of {len(of_arm)} models it is no better than its controls: on "
            f"the validation part it named {worst['named_ratio']:.3f} of the accesses beforehand, {worst['control']} "
            f"{worst['control_top1_ratio']:.3f}.{held}"
        )


def _of_pace(rows: list[Row]) -> Iterator[str]:
    """Questions that took much longer at the pace of what is simulated than what was charged for them."""
    for arm in dict.fromkeys(row["arm"] for row in rows if row.get("charge_pace") == "back_to_back"):
        of_arm = [row for row in rows if row["arm"] == arm and row["p50_inference_charged_ns"]]
        worst = max(
            (row for row in of_arm if row["p50_inference_simulated_ns"]),
            key=lambda row: row["p50_inference_simulated_ns"] / row["p50_inference_charged_ns"],
            default=None,
        )
        if worst is None or worst["latencies"] != "measured":
            continue
        charged, there = worst["p50_inference_charged_ns"], worst["p50_inference_simulated_ns"]
        if there > _PAUSED_OVER_CHARGED * charged:
            yield (
                f"{arm}: charged {time_text(charged)} a question, as timed back to back; after pauses of "
                f"{time_text(worst['inference_pause_ns'])}, as it is asked in the simulation, it takes "
                f"{time_text(there)} here, and {time_text(worst['p50_inference_cold_ns'])} after other work. "
                "charge: {kind: measured, pace: simulated} charges that."
            )


def _of_noise(experiment: Experiment, rows: list[Row]) -> Iterator[str]:
    timed = [arm.name for arm in experiment.arms if is_timed(arm)]
    if timed and experiment.repeats == 1 and len(experiment.arms) > 1:
        yield (
            f"{', '.join(timed)}: measured once a seed, so the machine's own noise is not in the intervals; "
            "repeats: 3 would measure it."
        )


def _of_same_seeds(experiment: Experiment, rows: list[Row]) -> Iterator[str]:
    """A recorded trace is the same with each seed; where nothing is drawn either, seeds are no samples."""
    n = len({row["seed"] for row in rows})
    same = [arm.name for arm in experiment.arms if came_out_the_same(row for row in rows if row["arm"] == arm.name)]
    others = [name for name in same if name != experiment.baseline]
    if n > 1 and others and experiment.baseline in same:
        yield (
            f"{', '.join(others)}: as {experiment.baseline}, the same with each of {n} seeds, so these are one sample, "
            "too few for intervals and verdicts over seeds. One seed is compared by its requests."
        )


def _of_same_repeats(rows: list[Row]) -> Iterator[str]:
    for arm in dict.fromkeys(row["arm"] for row in rows if row["repeat"]):
        of_arm = [row for row in rows if row["arm"] == arm]
        found = {(row["seed"], *(row[metric] for metric in COMPARED)) for row in of_arm}
        if len(found) == len({row["seed"] for row in of_arm}):
            n = max(row["repeat"] for row in of_arm) + 1
            why = (
                "" if any(row["mean_inference_charged_ns"] for row in of_arm) else " (what a table answers takes 0 ns)"
            )
            yield (
                f"{arm}: its {n} repeats came out identical{why}: there is no noise of the machine in its intervals, "
                "however narrow."
            )


def _of_cut(experiment: Experiment, rows: list[Row]) -> Iterator[str]:
    seeds = sorted({row["seed"] for row in rows if not row["has_settled"]})
    if seeds:
        yield (
            f"warm_up: mser5 found no point from which on {experiment.baseline} has settled "
            f"(seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}): half of its requests is cut, the most that "
            "is, and the rest may still be warm-up."
        )


def _of_room(experiment: Experiment, rows: list[Row], sizes: Sizes) -> Iterator[str]:
    """Where tier 0 evicted nothing it never held more than at the end; with room for one more block it was not full."""
    found: dict[tuple[int, int], list[str]] = {}
    for arm in experiment.arms:
        of_arm = [row for row in rows if row["arm"] == arm.name]
        if not of_arm or any(row["n_evicted"] for row in of_arm):
            continue
        capacity = experiment.system_of(arm).tiers[0].capacity - max(row["footprint_bytes"] for row in of_arm)
        most = max(row["resident_bytes"] for row in of_arm)
        if most + sizes.smallest <= capacity:
            found.setdefault((most, capacity), []).append(arm.name)
    for (most, capacity), arms in found.items():
        yield (
            f"{', '.join(arms)}: tier 0 never filled: at most {bytes_text(most)} of {bytes_text(capacity)} were used, "
            "so neither its capacity nor its eviction policy made a difference."
        )


def _of_sizes(sizes: Sizes) -> Iterator[str]:
    if sizes.widest is not None:
        key, low, high = sizes.widest
        yield (
            f"Sizes change between accesses: those of {sizes.n_resized:,} key{'s' * (sizes.n_resized > 1)}, such as "
            f"{key} from {low:,} to {high:,} bytes: a block keeps the size with which it came in (rule R29)."
        )


def _of_uneven(rows: list[Row]) -> Iterator[str]:
    """Latencies of which a few are far above the others: that is the machine's doing, not the model's."""
    for arm in dict.fromkeys(row["arm"] for row in rows if row["latencies"] == "measured"):
        of_arm = [row for row in rows if row["arm"] == arm and row["p50_inference_charged_ns"]]
        for what, name, most in (
            ("mean", "mean_inference_charged_ns", _MEAN_OVER_MEDIAN),
            ("p99", "p99_inference_charged_ns", _P99_OVER_MEDIAN),
        ):
            worst = max(of_arm, key=lambda row: row[name] / row["p50_inference_charged_ns"], default=None)
            if worst is not None and worst[name] > most * worst["p50_inference_charged_ns"]:
                seen = f"load average {worst['load_average']:.1f} on {os.cpu_count()} cores"
                yield (
                    f"{arm}, seed {worst['seed']}: the {what} charged, {time_text(worst[name])}, is "
                    f"{worst[name] / worst['p50_inference_charged_ns']:.1f} times the median: other load ({seen}), "
                    "the processor's clock, or garbage collection."
                )
                break


def _of_arrivals(experiment: Experiment, rows: list[Row]) -> Iterator[str]:
    arrivals, source = experiment.workload.arrivals, experiment.workload.source
    if arrivals.kind != "open" and source.lives_by_times:
        yield (
            f"arrivals: {arrivals.kind} leaves out the times that {source.kind} makes, when conversations pause and "
            "come back: {kind: open} uses them."
        )
    n = max(row["requests_per_time"] for row in rows)
    if arrivals.kind == "open" and n > _MANY_AT_ONCE:
        yield (
            f"The trace's clock is coarse: {n:.1f} requests share an arrival time, and are simulated as a burst. "
            "arrivals: {kind: open, spread: true} spreads them over the clock's tick; conclusions may differ."
        )


def _of_budget(rows: list[Row]) -> Iterator[str]:
    """Prefetches that the budget refuses are no policy's doing."""
    for arm in dict.fromkeys(row["arm"] for row in rows):
        of_arm = [row for row in rows if row["arm"] == arm]
        n_refused, n = (sum(row[name] for row in of_arm) for name in ("n_rejected_budget", "n_proposed"))
        if n >= _MANY_PROPOSED and n_refused > _MANY_REFUSED_RATIO * n:
            yield (
                f"{arm}: of {n:,} blocks that it proposed the budget refused {n_refused:,}: system.prefetch, "
                "{in_flight: ..., queued: ..., bytes: ...}, bounds what it can do here."
            )


def _of_large(rows: list[Row]) -> Iterator[str]:
    n = max(row["n_bypassed"] for row in rows)
    if n:
        yield f"Blocks larger than tier 0 pass by: {n:,} {'miss was' if n == 1 else 'misses were'} of such."


def _of_write_backs(experiment: Experiment, rows: list[Row]) -> Iterator[str]:
    """More than a tier holds cannot wait there; of each tier the arm where the most did, as that arm has the system."""
    found: dict[str, tuple[float, int, str, str]] = {}
    for arm in experiment.arms:
        of_arm, system = [row for row in rows if row["arm"] == arm.name], experiment.system_of(arm)
        for tier, link in zip(system.tiers, system.link_names(), strict=False):
            n = max((row[f"{link}_write_back_queued_bytes_max"] for row in of_arm), default=0)
            if tier.write_back == WriteBack() and n > tier.capacity:
                worst = n / tier.capacity, n, arm.name, link
                found[tier.name] = max(found.get(tier.name, worst), worst)
    for tier_name, (times, n, arm_name, link) in found.items():
        yield (
            f"{arm_name}: up to {n:,} B waited to be written down from {tier_name}, {times:.1f} times what it holds: "
            f"writes outrun the link {link}, at no cost. write_back: {{bytes: ...}} of {tier_name} would have them "
            "wait."
        )


def _of_prefetches(rows: list[Row]) -> Iterator[str]:
    for arm in dict.fromkeys(row["arm"] for row in rows):
        of_arm = [row for row in rows if row["arm"] == arm]
        n_issued = sum(row["n_issued"] for row in of_arm)
        if n_issued >= _MANY_ISSUED and not any(row["accuracy_ratio"] for row in of_arm):
            yield f"{arm}: not one of {n_issued:,} prefetches was of use."
