"""The compiled engine and the model, side by side: everything that either leaves, to be compared."""

from typing import Any

from simulator.accounting import Books, Keeps
from tests.strategies import ListSink

OF_BOOKS = (
    "n_fates", "n_rejected", "n_proposed", "n_issued", "n_pollution", "bytes_asked", "has_shadow", "n_shadow_misses",
    "n_saved", "n_caused", "n_outcomes", "sums", "min_access", "end_ns", "n_accesses", "link_queue_ns",
    "link_transfer_ns",
)  # fmt: skip
DISTRIBUTIONS = ("latency", "slack", "saved")


def everything_of(
    make: Any, system: Any, process: Any, workload: Any, policy: Any, charge: Any, keeps: Keeps = Keeps(), **others: Any
) -> dict[str, Any]:
    """Tables, windows, books and result of a run, as plain values by name."""
    sink = ListSink()
    books = Books(sink, 10, keeps=keeps)
    engine = make(system, process, workload, policy, charge, books, seed=3, **others)
    result = engine.run()
    found: dict[str, Any] = {"result": (result.end_ns, result.bytes_moved, result.n_accesses)}
    for table in ("accesses", "prefetches", "inferences"):
        columns = sink.columns(table)
        # Rows in the same order, too. As text: a confidence may be NaN.
        found |= {f"{table}.{name}": str(values.tolist()) for name, values in columns.items()}
    found |= {f"windows.{name}": values.tolist() for name, values in books.windows().items()}
    found |= {name: getattr(books, name) for name in OF_BOOKS}
    asked = books.questions
    found["questions"] = (asked.n_asked, asked.n_status, asked.n_predicted, asked.n_came_true)
    for name in DISTRIBUTIONS:
        found[name] = spread(getattr(books, name))
    found["charged"], found["host"] = spread(asked.charged), spread(asked.host)
    return found


def spread(distribution: Any) -> Any:
    return distribution.values.tolist(), distribution.counts.tolist(), str(distribution.mean())


def differences(found: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """What differs, by name: (found, expected)."""
    names = found.keys() | expected.keys()
    return {
        name: (found.get(name), expected.get(name)) for name in sorted(names) if found.get(name) != expected.get(name)
    }
