"""The table of a policy's updates (rule R43): how it is written, and taken in a replay."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from simulator.accounting import Books, UpdateDone
from simulator.errors import InputError

TABLE = "updates"
DIGEST = "updates_sha256"
"""Under this name the metadata of ``inferences``, which is sealed, has the checksum of what updates were charged."""


def columns_of(updates: Sequence[UpdateDone]) -> dict[str, list[Any]]:
    """As ``RunTables.write`` takes them."""
    return {name: [getattr(update, name) for update in updates] for name in UpdateDone._fields}


def digest_of(charged_ns: Sequence[int]) -> str:
    """A checksum."""
    return hashlib.sha256(repr(list(charged_ns)).encode()).hexdigest()


def charged_in(inferences: Path, metadata: dict[str, str]) -> list[int]:
    """What each update of a recorded run was charged, in ns; none where it had no updates.

    Raises:
        InputError: the table is missing, or was changed.
    """
    if DIGEST not in metadata:
        return []
    file = inferences.parent.parent / TABLE / inferences.name
    try:
        charged: list[int] = pq.read_table(file, columns=["charged_ns"])["charged_ns"].to_pylist()
    except FileNotFoundError:
        raise InputError(f"{file}: no such file; expected the whole folder of results") from None
    except (pa.ArrowException, OSError, KeyError) as error:
        raise InputError(f"{file}: is no table of updates: {error}") from None
    if digest_of(charged) != metadata[DIGEST]:
        raise InputError(f"{file}: was changed after it was recorded (its checksum differs); expected it as written")
    return charged


def metrics(books: Books, *, has_updates: bool) -> dict[str, Any]:
    """Columns of ``runs``: of updates that were begun at a judged access. None for a policy that has no updates."""
    judged = [update for update in books.updates if update.access >= books.first_access]
    over = [update for update in judged if update.ended_ns >= 0]
    n, n_over = len(judged), len(over)
    found = {
        "n_updates": n,
        "n_updates_over": n_over,
        "n_updates_preempted": sum(update.n_preempted for update in judged),
        "mean_update_charged_ns": sum(update.charged_ns for update in judged) / n if n else None,
        "mean_update_age_ns": sum(update.ended_ns - update.begun_ns for update in over) / n_over if n_over else None,
    }
    return found if has_updates else dict.fromkeys(found)
