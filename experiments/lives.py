"""Requests that have a life (rule R45) in an experiment: what the workload says of them, and columns of ``runs``."""

from typing import Any

from simulator.accounting import SPANS, Books
from simulator.config import System
from workloads.base import SourceSettings

TABLE = "requests"


def told(system: System, source: SourceSettings) -> System:
    """The system, with the tokens of a block from the workload where it does not say them.

    Raises ValueError if requests have a life and the workload is not made for that, or the other way round.
    """
    requests, whole = system.requests, source.has_whole_requests
    if whole is not None and whole != (requests is not None):
        raise ValueError(
            f"workload.source.answers: of {source.kind!r} are {'whole' if whole else 'apart'}; expected "
            + ("system.requests, without which nobody decodes them" if whole else "whole, with system.requests")
        )
    if requests is None or requests.block_tokens is not None or source.tokens_of_block is None:
        return system
    # As from a config: a copy that pydantic makes is checked by nobody.
    raw = system.model_dump(mode="json")
    raw["requests"]["block_tokens"] = source.tokens_of_block
    return System.model_validate(raw)


def metrics(books: Books) -> dict[str, Any]:
    """Columns of ``runs``; nothing in them where requests have no life."""
    n, ttft = books.n_requests, books.ttft
    found: dict[str, Any] = {"n_requests": n, "found_ratio": books.n_found / books.n_read if books.n_read else None}
    found["mean_ttft_ns"] = ttft.mean() if n else None
    found |= {f"p{q}_ttft_ns": ttft.quantile(q / 100) if n else None for q in (50, 90, 99)}
    found |= {f"mean_{name}": books.spans[name] / n if n else None for name in SPANS}
    return found if books.has_lives else dict.fromkeys(found)
