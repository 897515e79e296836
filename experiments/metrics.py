"""A row of the ``runs`` table from a run's books; ``docs/metrics.md`` has the definitions (rule R20)."""

from typing import Any

from simulator.accounting import COMPONENTS, REJECTIONS, Books, RunResult
from simulator.config import System
from simulator.links import PRIORITY_NAMES
from simulator.policy import Fate, Outcome, Status


def _ratio(part: float, whole: float) -> float | None:
    """None where nothing was counted: a ratio of nothing is no zero."""
    return part / whole if whole else None


def _number(value: float) -> float | None:
    return None if value != value else value


def run_metrics(books: Books, result: RunResult, system: System) -> dict[str, Any]:
    """Every metric of one run."""
    n = dict(zip(Outcome, books.n_outcomes, strict=True))
    f = dict(zip(Fate, books.n_fates, strict=True))
    asked = books.questions
    useful = f[Fate.TIMELY] + f[Fate.LATE]
    misses = n[Outcome.MISS] + n[Outcome.MERGED]
    row: dict[str, Any] = {"n_accesses": result.n_accesses, "end_ns": result.end_ns}
    row |= {f"n_{outcome.name.lower()}": count for outcome, count in n.items()}
    row |= {"n_proposed": books.n_proposed, "n_issued": books.n_issued}
    row |= {f"n_{reason}": books.n_rejected[reason] for reason in REJECTIONS}
    row |= {f"n_prefetch_{fate.name.lower()}": count for fate, count in f.items()}
    row |= {"n_pollution": books.n_pollution, "n_bypassed": books.n_bypassed}
    row |= {"n_evicted": books.n_evicted, "resident_bytes": books.resident_bytes}
    shadow = {"n_shadow_miss": books.n_shadow_misses, "n_saved": books.n_saved, "n_caused": books.n_caused}
    row |= shadow if books.has_shadow else dict.fromkeys(shadow)
    row |= {
        "hit_ratio": _ratio(n[Outcome.HIT] + n[Outcome.HIT_PREFETCHED], result.n_accesses),
        "prefix_hit_ratio": (
            _ratio(n[Outcome.HIT] + n[Outcome.HIT_PREFETCHED] - books.n_hits_behind, result.n_accesses)
            if books.has_prefixes
            else None
        ),
        "mean_latency_ns": _number(books.latency.mean()),
        "p50_latency_ns": _number(books.latency.quantile(0.5)),
        "p99_latency_ns": _number(books.latency.quantile(0.99)),
        "p999_latency_ns": _number(books.latency.quantile(0.999)),
    }
    for name in COMPONENTS:
        row[f"mean_{name}"] = _ratio(books.sums[name], result.n_accesses)
    for name in ("latency_ns", "service_ns", "inference_ns"):
        row[name.replace("_ns", "_sum_ns")] = books.sums[name]
    row |= {
        "accuracy_ratio": _ratio(useful, books.n_issued),
        "useful_ratio": _ratio(useful, useful + f[Fate.EVICTED_UNUSED]),
        "coverage_ratio": _ratio(useful, useful + misses),
        "lateness_ratio": _ratio(f[Fate.LATE], useful),
        "pollution_ratio": _ratio(books.n_pollution, n[Outcome.MISS]),
        "p10_slack_ns": _number(books.slack.quantile(0.1)),
        "p50_slack_ns": _number(books.slack.quantile(0.5)),
        "p90_slack_ns": _number(books.slack.quantile(0.9)),
        "mean_late_saved_ns": _number(books.saved.mean()),
        "p50_late_saved_ns": _number(books.saved.quantile(0.5)),
        "n_asked": asked.n_asked,
        **{f"n_questions_{status.name.lower()}": asked.n_status[status] for status in Status},
        "top1_ratio": _ratio(asked.n_came_true, asked.n_predicted),
        "mean_inference_charged_ns": _number(asked.charged.mean()),
        "p50_inference_charged_ns": _number(asked.charged.quantile(0.5)),
        "p99_inference_charged_ns": _number(asked.charged.quantile(0.99)),
        "p50_inference_host_ns": _number(asked.host.quantile(0.5)),
        "p99_inference_host_ns": _number(asked.host.quantile(0.99)),
    }
    times = zip(system.link_names(), result.bytes_moved, books.link_queue_ns, books.link_transfer_ns, strict=True)
    for link, moved, queue_ns, transfer_ns in times:
        row |= {f"{link}_{class_}_bytes": n_bytes for class_, n_bytes in zip(PRIORITY_NAMES, moved, strict=True)}
        row |= {f"{link}_queue_ns": queue_ns, f"{link}_transfer_ns": transfer_ns}
    for link, (most, at_end) in zip(system.link_names(), books.write_back_queued, strict=False):
        row |= {f"{link}_write_back_queued_bytes_max": most, f"{link}_write_back_queued_bytes_at_end": at_end}
    return row


def attribution(row: dict[str, Any], system: System) -> list[dict[str, Any]]:
    """Where the latency of a run went: service, inference, and queueing and transfer by link, whole nanoseconds.

    The parts sum to ``latency_sum_ns``, exactly (rule R18).
    """
    parts: list[tuple[str, str | None, int]] = [("service", None, row["service_sum_ns"])]
    for link in system.link_names():
        parts += [(name, link, row[f"{link}_{name}_ns"]) for name in ("queue", "transfer")]
    parts.append(("inference", None, row["inference_sum_ns"]))
    whole = row["latency_sum_ns"]
    return [
        {
            "arm": row["arm"],
            "seed": row["seed"],
            "repeat": row["repeat"],
            "component": component,
            "link": link,
            "sum_ns": ns,
            "mean_ns": ns / row["n_accesses"],
            "share_ratio": _ratio(ns, whole),
        }
        for component, link, ns in parts
    ]
