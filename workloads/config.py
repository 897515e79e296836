"""The settings of every workload: a union told apart by ``kind``. No reader or generator is imported here."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from simulator.config import Arrivals, Bytes, Closed, Count, Ratio, Strict

BlockBytes = Annotated[Bytes, Field(lt=2**32)]
Key = Annotated[int, Field(ge=0, lt=2**63)]
DEFAULT_BLOCK = "64 KiB"


class Synthetic(Strict):
    """What all generators of one stream have."""

    accesses: Count
    block: BlockBytes = Field(DEFAULT_BLOCK, validate_default=True)
    write_ratio: Ratio = 0.0
    first_key: Key = 0


class Sequential(Synthetic):
    """Keys in order; wraps after ``n_keys`` if given."""

    kind: Literal["sequential"]
    n_keys: Count | None = None


class Strided(Synthetic):
    """Keys ``stride`` apart; wraps after ``n_keys`` of them if given."""

    kind: Literal["strided"]
    stride: Count
    n_keys: Count | None = None


class Periodic(Synthetic):
    """A fixed random sequence of ``period`` keys, repeated."""

    kind: Literal["periodic"]
    period: Count
    n_keys: Count


class Mixed(Synthetic):
    """The next key with probability ``next_ratio``, else a uniform one."""

    kind: Literal["mixed"]
    n_keys: Count
    next_ratio: Ratio = 0.7


class Random(Synthetic):
    """Uniform keys."""

    kind: Literal["random"]
    n_keys: Count


class Zipf(Synthetic):
    """Keys by rank with a Zipf law."""

    kind: Literal["zipf"]
    n_keys: Count
    exponent: Annotated[float, Field(ge=0, le=10)] = 1.0


class PointerChase(Synthetic):
    """A fixed random cycle through ``n_keys`` keys that lie ``spacing`` apart."""

    kind: Literal["pointer_chase"]
    n_keys: Count
    spacing: Count = 1


class Phases(Strict):
    """The others one after another, ``rounds`` times; the accesses of each are spread over the rounds.

    Streams and requests are numbered from 0, whatever the others call theirs.
    """

    kind: Literal["phases"]
    phases: Annotated[tuple["Source", ...], Field(min_length=1, strict=False)]
    rounds: Count = 1


class Interleave(Strict):
    """The others at once, a stream each; streams and requests are numbered from 0, whatever the others call theirs."""

    kind: Literal["interleave"]
    parts: Annotated[tuple["Source", ...], Field(min_length=1, strict=False)]


class Slice(Strict):
    """``accesses`` accesses of another, from number ``first`` on: the piece of a trace that there is time for."""

    kind: Literal["slice"]
    source: "Source"
    first: Annotated[int, Field(ge=0)] = 0
    accesses: Count


class OracleGeneral(Strict):
    """libCacheSim's binary format; sizes from the trace unless ``block`` is given."""

    kind: Literal["oracle_general"]
    path: str
    block: BlockBytes | None = None


class Vscsi(Strict):
    """CloudPhysics' binary format; sizes from the trace unless ``block`` is given."""

    kind: Literal["vscsi"]
    path: str
    block: BlockBytes | None = None
    reads_only: bool = False


class Mooncake(Strict):
    """KV-cache requests as JSON lines."""

    kind: Literal["mooncake"]
    path: str
    block: BlockBytes


class Ids(Strict):
    """Block ids one a line."""

    kind: Literal["ids"]
    path: str
    block: BlockBytes = Field(DEFAULT_BLOCK, validate_default=True)


class BinaryIds(Strict):
    """Block ids as whole numbers of ``width`` bytes, nothing between them (cache2k's traces: 4, big)."""

    kind: Literal["binary_ids"]
    path: str
    width: Literal[4, 8] = 4
    order: Literal["big", "little"] = "big"
    block: BlockBytes = Field(DEFAULT_BLOCK, validate_default=True)


class Addresses(Strict):
    """Memory addresses, a load or store a line; the key is the block of ``block`` bytes that the address lies in."""

    kind: Literal["addresses"]
    path: str
    block: BlockBytes = Field("64 B", validate_default=True)


class Columns(Strict):
    """The names that the file gives to the columns of a trace; key, stream and request are whole numbers or text."""

    key: str
    time_ns: str | None = None
    size_bytes: str | None = None
    stream: str | None = None
    request: str | None = None
    op: str | None = None


class Table(Strict):
    """CSV (may be packed) or Parquet, by the ending of ``path``; ``time_unit`` is what a step of the time column is."""

    kind: Literal["table"]
    path: str
    columns: Columns
    block: BlockBytes = Field(DEFAULT_BLOCK, validate_default=True)
    time_unit: Literal["ns", "us", "ms", "s"] = "ns"


class Compact(Strict):
    """What ``python -m experiments.trace convert`` wrote, with everything that the original's reader found."""

    kind: Literal["compact"]
    path: str


Source = Annotated[
    Sequential
    | Strided
    | Periodic
    | Mixed
    | Random
    | Zipf
    | PointerChase
    | Phases
    | Interleave
    | Slice
    | OracleGeneral
    | Vscsi
    | Mooncake
    | Ids
    | BinaryIds
    | Addresses
    | Table
    | Compact,
    Field(discriminator="kind"),
]


def has_times(source: Source) -> bool:
    """Whether its accesses carry the times of their arrival."""
    if isinstance(source, Slice):
        return has_times(source.source)
    if isinstance(source, Compact):
        from workloads.readers.compact import about
        from workloads.registry import trace_path

        described = about(trace_path(source.path))
        # Of a file that is none the reader says so.
        return described is None or described.has_times
    if isinstance(source, Table):
        return source.columns.time_ns is not None
    return isinstance(source, OracleGeneral | Vscsi | Mooncake)


class WorkloadConfig(Strict):
    """Where accesses come from, how they arrive, and the share that policies learn from and no arm is judged on."""

    source: Source
    arrivals: Arrivals = Field(default_factory=lambda: Closed.model_validate({"kind": "closed"}))
    train_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @model_validator(mode="after")
    def _times(self) -> "WorkloadConfig":
        if self.arrivals.kind == "open" and not has_times(self.source):
            raise ValueError(
                f"arrivals.kind: 'open' needs a trace with arrival times, but source {self.source.kind!r} has none; "
                "expected closed or poisson"
            )
        return self
