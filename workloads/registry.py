"""Every workload by its ``kind``."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from simulator.trace import Workload
from workloads import config as c
from workloads.combine import Interleave, Phases, Slice
from workloads.mixed import Mixed
from workloads.periodic import Periodic
from workloads.pointer_chase import PointerChase
from workloads.random import Uniform, Zipf
from workloads.readers.addresses import Addresses
from workloads.readers.binary_ids import BinaryIds
from workloads.readers.compact import Compact
from workloads.readers.ids import Ids
from workloads.readers.mooncake import Mooncake
from workloads.readers.oracle_general import OracleGeneral
from workloads.readers.tabular import Tabular
from workloads.readers.vscsi import Vscsi
from workloads.strided import Strided

DEFAULT_TRACES = "../shared/traces"
_GENERATORS: dict[str, Callable[..., Workload]] = {
    "sequential": Strided,
    "strided": Strided,
    "periodic": Periodic,
    "mixed": Mixed,
    "random": Uniform,
    "zipf": Zipf,
    "pointer_chase": PointerChase,
}
_TIME_UNITS_NS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}


def trace_path(path: str) -> Path:
    """A trace file: as given if it exists or is absolute, else in the folder that TIERFETCH_TRACES names."""
    given = Path(path)
    if given.is_absolute() or given.exists():
        return given
    return Path(os.environ.get("TIERFETCH_TRACES", DEFAULT_TRACES)) / given


def build(source: c.Source, seed: int, name: str = "source") -> Workload:
    """The workload of a config. ``name`` keys its random numbers, so that two alike parts of one workload differ.

    Raises:
        InputError: a trace file is missing; a bad one is found out while it is read.
    """
    match source:
        case c.Phases():
            return Phases([build(s, seed, f"{name}.{i}") for i, s in enumerate(source.phases)], source.rounds)
        case c.Interleave():
            return Interleave([build(s, seed, f"{name}.{i}") for i, s in enumerate(source.parts)])
        case c.Slice():
            return Slice(build(source.source, seed, name), source.first, source.accesses)
        case c.OracleGeneral():
            return OracleGeneral(trace_path(source.path), source.block)
        case c.Vscsi():
            return Vscsi(trace_path(source.path), source.block, reads_only=source.reads_only)
        case c.Mooncake():
            return Mooncake(trace_path(source.path), source.block)
        case c.Ids():
            return Ids(trace_path(source.path), source.block)
        case c.BinaryIds():
            return BinaryIds(trace_path(source.path), source.width, source.order, source.block)
        case c.Addresses():
            return Addresses(trace_path(source.path), source.block)
        case c.Compact():
            return Compact(trace_path(source.path))
        case c.Table():
            columns = {k: v for k, v in source.columns.model_dump().items() if v is not None}
            return Tabular(trace_path(source.path), columns, source.block, _TIME_UNITS_NS[source.time_unit])
        case _:
            fields: dict[str, Any] = {key: getattr(source, key) for key in type(source).model_fields}
            kind, block = fields.pop("kind"), fields.pop("block")
            return _GENERATORS[kind](**fields, block_bytes=block, seed=seed, name=name)


def files(source: c.Source) -> list[Path]:
    """The trace files that a source reads."""
    if isinstance(source, c.Phases | c.Interleave):
        parts = source.phases if isinstance(source, c.Phases) else source.parts
        return [path for part in parts for path in files(part)]
    if isinstance(source, c.Slice):
        return files(source.source)
    return [trace_path(source.path)] if hasattr(source, "path") else []


def depends_on_seed(source: c.Source) -> bool:
    """Whether another seed may give other accesses."""
    if isinstance(source, c.Phases | c.Interleave):
        parts = source.phases if isinstance(source, c.Phases) else source.parts
        return any(depends_on_seed(part) for part in parts)
    if isinstance(source, c.Slice):
        return depends_on_seed(source.source)
    return isinstance(source, c.Synthetic)
