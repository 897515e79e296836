"""The compiled engine and the model, side by side: everything that either leaves, to be compared."""

from typing import Any

from simulator.accounting import Books
from tests.cases import Case
from tests.strategies import ListSink

OF_BOOKS = (
    "n_fates", "n_rejected", "n_proposed", "n_issued", "n_pollution", "n_bypassed", "n_evicted", "resident_bytes",
    "bytes_asked", "has_shadow",
    "n_shadow_misses", "n_saved", "n_caused", "n_outcomes", "sums", "min_access", "end_ns", "n_accesses",
    "link_queue_ns", "link_transfer_ns", "unjudged", "write_back_queued",
    "has_prefixes", "n_hits_behind", "updates",
    "has_lives", "n_requests", "n_read", "n_found", "spans",
)  # fmt: skip
DISTRIBUTIONS = ("latency", "slack", "saved", "ttft")


def everything_of(make: Any, case: Case, **others: Any) -> dict[str, Any]:
    """Tables, windows, books, result and what the policy was shown and told, as plain values by name."""
    sink, policy = ListSink(), case.policy()
    books = Books(sink, 10, first_access=case.judged_from, keeps=case.keeps)
    engine = make(
        case.system,
        case.arrivals,
        case.workload(),
        policy,
        case.charge(),
        books,
        seed=3,
        prefix_reuse=case.prefix_reuse,
        **others,
    )
    result = engine.run()
    found: dict[str, Any] = {"result": (result.end_ns, result.bytes_moved, result.n_accesses)}
    for table in ("accesses", "prefetches", "inferences", "requests", "transfers"):
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
    found["shown"] = getattr(policy, "shown", None)
    return found


def spread(distribution: Any) -> Any:
    return distribution.values.tolist(), distribution.counts.tolist(), str(distribution.mean())


def differences(found: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """What differs, by name: (found, expected)."""
    names = found.keys() | expected.keys()
    return {
        name: (found.get(name), expected.get(name)) for name in sorted(names) if found.get(name) != expected.get(name)
    }


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Everything is equal; else say what is not."""
    rows = [f"{name}\n    found    {a}\n    expected {b}" for name, (a, b) in differences(found, expected).items()]
    assert not rows, "\n".join(rows)
