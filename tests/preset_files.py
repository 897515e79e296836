"""What the tests of presets have in common: files written plainly, and what is read of them as plain lists."""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from experiments import trace
from simulator.errors import InputError
from simulator.trace import concatenate
from workloads.formats import source_of

CASES = Path("../shared/cases/traces")
has_cases = pytest.mark.skipif(not CASES.is_dir(), reason=f"needs the small inputs of {CASES}")


def hashed(text: str) -> int:
    """64 bits of BLAKE2b, as a little-endian number."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def read(path: Path, kind: str = "auto", **settings: Any) -> dict[str, list[int]]:
    """All columns of a trace, and its features, as lists."""
    workload = source_of(path, kind, **settings).build(0)
    batches = list(workload.batches())
    if not batches:
        return {name: [] for name in ("time_ns", "key", "size_bytes", "stream", "request", "op")}
    batch = concatenate(batches)
    names = ("time_ns", "key", "size_bytes", "request", "op")
    found = {name: getattr(batch, name).tolist() for name in names}
    ids = workload.stream_ids
    found["stream"] = (batch.stream if ids is None else ids[batch.stream]).tolist()
    return found | {name: column.tolist() for name, column in batch.features.items()}


def notes(path: Path, kind: str = "auto", **settings: Any) -> str:
    """What is said once a trace was read."""
    workload = source_of(path, kind, **settings).build(0)
    for _ in workload.batches():
        pass
    return "\n".join(workload.notes())


def refusal(path: Path, kind: str = "auto", **settings: Any) -> str:
    """Why a trace is refused: a line, with its file."""
    with pytest.raises(InputError) as error:
        read(path, kind, **settings)
    said = str(error.value)
    assert path.name in said
    assert "\n" not in said
    return said


@contextmanager
def written(name: str, content: str | bytes) -> Iterator[Path]:
    """A file for the time of one example."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        yield path


def kind_of(path: Path) -> str:
    """The format that a file is taken for."""
    return source_of(path).kind


def shown(*arguments: str) -> list[list[str]]:
    """The rows of ``trace head``."""
    result = CliRunner().invoke(trace.app, ["head", *arguments], env={"COLUMNS": "300"})
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.output.splitlines()]
    return [row for row in rows if row and row[0].isdecimal()]
