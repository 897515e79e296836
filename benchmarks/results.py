"""What benchmarks measure, kept: the latest of each in one table, all of them in another beside it."""

import platform
import subprocess
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

FOLDER = Path(__file__).parent / "results"
SCHEMA = pa.schema(
    [
        ("benchmark", pa.string()),
        ("contender", pa.string()),
        ("n_accesses", pa.int64()),
        ("seconds", pa.float64()),
        ("accesses_per_s", pa.float64()),
        ("peak_memory_bytes", pa.int64()),
    ]
)
HISTORY = pa.schema(
    [*SCHEMA, ("machine", pa.string()), ("measured_at", pa.timestamp("s", "UTC")), ("commit", pa.string())]
)


@dataclass(frozen=True)
class Measurement:
    """One contender's time; what is counted in accesses may be tokens or questions where a benchmark says so."""

    benchmark: str
    contender: str
    n_accesses: int
    seconds: float
    peak_memory_bytes: int | None = None

    def row(self) -> dict[str, Any]:
        """As the tables have it."""
        return {**asdict(self), "accesses_per_s": self.n_accesses / self.seconds}


def machine() -> str:
    """The processor and how many cores there are."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        name = models[0] if models else name
    import os

    return f"{name}, {os.cpu_count()} cores"


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def before(of: Measurement) -> float | None:
    """Accesses a second when this was last measured on this machine, or None."""
    path = FOLDER / "history.parquet"
    if not path.exists():
        return None
    rows = [
        row
        for row in pq.read_table(path).to_pylist()
        if (row["benchmark"], row["contender"], row["machine"], row["n_accesses"])
        == (of.benchmark, of.contender, machine(), of.n_accesses)
    ]
    return float(max(rows, key=lambda row: row["measured_at"])["accesses_per_s"]) if rows else None


def keep(measured: list[Measurement]) -> None:
    """Write ``latest.parquet``, where a benchmark's rows replace its earlier ones, and add to ``history.parquet``."""
    FOLDER.mkdir(exist_ok=True)
    fresh = {m.benchmark for m in measured}
    rows = [m.row() for m in measured]
    latest = FOLDER / "latest.parquet"
    old = pq.read_table(latest).to_pylist() if latest.exists() else []
    _write([row for row in old if row["benchmark"] not in fresh] + rows, SCHEMA, latest)
    about = {"machine": machine(), "measured_at": datetime.now(UTC).replace(microsecond=0), "commit": _commit()}
    history = FOLDER / "history.parquet"
    past = pq.read_table(history).to_pylist() if history.exists() else []
    _write(past + [row | about for row in rows], HISTORY, history)


def _write(rows: list[dict[str, Any]], schema: Any, path: Path) -> None:
    aside = path.with_suffix(".part")
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), aside)
    aside.replace(path)
