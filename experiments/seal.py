"""A checksum over what a recording is used for, so that a changed one is found out."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

SEALED_COLUMNS = (
    "inference", "batch", "status", "charged_ns", "host_ns", "device_ns", "cpu_ns", "predicted_key", "n_proposed",
)  # fmt: skip
PACED_BY = ("charge_pace", "charge_clock")
SEALED_METADATA = (
    "replay_key", "latencies", "latencies_backend", "device", "model_hash", "backend", "horizon", "working",
    "footprint_bytes", "provenance", "decisions_sha256", "updates_sha256", *PACED_BY,
)  # fmt: skip


class Seal:
    """Takes columns in pieces of any length; the same columns give the same digest."""

    def __init__(self) -> None:
        self._digests = {name: (hashlib.sha256(), hashlib.sha256()) for name in SEALED_COLUMNS}

    def add(self, columns: Mapping[str, Any]) -> None:
        """Some rows, as Arrow arrays."""
        for name, digests in self._digests.items():
            column = columns[name]
            if name == "status":
                column = pc.cast(column, pa.string())
                digests[0].update("".join(f"{status} " for status in column.to_pylist()).encode())
                continue
            for digest, part in zip(digests, (column.fill_null(0), column.is_null()), strict=True):
                digest.update(np.ascontiguousarray(part.to_numpy(zero_copy_only=False)).tobytes())

    def digest(self, metadata: Mapping[str, str]) -> str:
        """Of the columns so far and of what the metadata says of them."""
        whole = hashlib.sha256()
        for name, (values, nulls) in self._digests.items():
            whole.update(f"{name} {values.hexdigest()} {nulls.hexdigest()} ".encode())
        for name in SEALED_METADATA:
            whole.update(f"{name} {metadata.get(name, '')} ".encode())
        return whole.hexdigest()


def of_rows(rows: list[dict[str, Any]], metadata: Mapping[str, str]) -> str:
    """The digest of a small table, with what its metadata says of it."""
    return hashlib.sha256(json.dumps([rows, metadata], sort_keys=True).encode()).hexdigest()
