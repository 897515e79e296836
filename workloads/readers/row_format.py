"""What the settings of all formats with rows have in common, and the presets' own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from simulator.errors import InputError
from simulator.quantities import Strict
from simulator.trace import MOST_BYTES
from simulator.units import parse_bytes
from workloads.base import BlockBytes, Reuse
from workloads.readers.format import FormatSettings
from workloads.readers.layout import WORDS, Empty, Layout, parse_ops
from workloads.readers.raw import RawTable
from workloads.readers.roles import Keys
from workloads.readers.table_workload import Damaged, TableWorkload
from workloads.readers.times import TimeUnit

_UNITS = {"byte": 1, "sector": 512, "page": 4096}
DEFAULT_BYTES = 64 << 10


def _parsed_unit(text: Any) -> int:
    """``sectors``, ``pages``, ``KiB``, ``8 KiB``: a unit in bytes. Raises ValueError if it is none."""
    if isinstance(text, int) and not isinstance(text, bool) and text > 0:
        return text
    said = str(text).strip()
    if said.lower().removesuffix("s") in _UNITS:
        return _UNITS[said.lower().removesuffix("s")]
    try:
        return parse_bytes(said if said[:1].isdigit() else f"1 {said}")
    except ValueError:
        raise ValueError(f"expected bytes, sectors, pages or a size such as KiB or 8 KiB, got {text!r}") from None


def _parsed_ops(value: Any) -> str | None:
    """``read=get write=put``, or the same as a mapping. Raises ValueError if it is neither."""
    if isinstance(value, dict):
        value = " ".join(
            f"{name}={','.join(map(str, words)) if isinstance(words, list | tuple) else words}"
            for name, words in value.items()
        )
    if value is None or isinstance(value, str):
        try:
            parse_ops(value or "", "ops")
        except InputError as error:
            raise ValueError(str(error)) from None
        return value
    raise ValueError(f"expected words by what they are, such as {{read: get, write: [put, set]}}, got {value!r}")


Unit = Annotated[
    int,
    BeforeValidator(_parsed_unit),
    Field(ge=1, le=MOST_BYTES),
    PlainSerializer(lambda n: f"{n} B"),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["sectors", "8 KiB"]}),
]
_AS_OPS: dict[str, Any] = {"type": ["object", "string", "null"], "examples": ["read=get write=put,set"]}
Ops = Annotated[str | None, BeforeValidator(_parsed_ops), WithJsonSchema(_AS_OPS)]
SortRows = Annotated[int, Field(ge=0, le=1 << 24)]


class RowFormat(FormatSettings):
    """What can be said of any format with rows.

    ``block`` splits ranges of bytes into the blocks that they touch; where there are no sizes it is the size of each
    key. ``size`` is that of every access, whatever the trace says. ``sort`` puts rows in order that are up to so many
    rows too late.
    """

    block: BlockBytes | None = None
    """Splits ranges of bytes into the blocks of this size that they touch; without sizes, the size of each key."""
    size: BlockBytes | None = None
    """The size of every access, whatever the trace says."""
    time_unit: TimeUnit | None = None
    """Of times, where the trace's own is another."""
    size_unit: Unit | None = None
    """Of sizes: bytes, sectors, pages, or a size such as 8 KiB."""
    offset_unit: Unit | None = None
    """Of offsets, which `block` splits."""
    ops: Ops = None
    """What operation words mean: {read: get, write: [put, set], skip: stat}."""
    keys: Keys | None = None
    """What keys are: numbers, hexadecimal, or text that is hashed to 64 bits."""
    empty: Empty | None = None
    """Rows of size 0: left out (`skip`) or taken for 1 byte (`min`); an error unless said."""
    sort: SortRows = 0
    """Puts rows in order of time that are up to so many rows too late."""
    damaged: Damaged = "error"
    """A bad row: an `error`, or the end (`stop`)."""
    default_bytes: ClassVar[int] = DEFAULT_BYTES
    """The size of each key where neither the trace nor the settings say one."""

    def table(self) -> RawTable:
        """The file as a table."""
        raise NotImplementedError

    def columns_of(self, names: Sequence[str]) -> Layout:
        """What the columns mean, before anything else is said. Raises InputError if they are not there."""
        raise NotImplementedError

    def layout(self, names: Sequence[str]) -> Layout:
        """What the columns mean, all told."""
        found = self.columns_of(names)
        if self.sort and found.time is None:
            raise InputError(f"{self.path}: has no times to sort by; expected columns.time_ns, or no --sort")
        if self.block and found.size and self.size_unit is not None and self.offset_unit is None:
            raise InputError(
                f"{self.path}: size_unit is said and offset_unit is not; expected both where block splits ranges "
                "(--offset-unit)"
            )
        said: dict[str, Any] = {
            "block": self.block, "fixed": self.size, "time_unit": self.time_unit, "size_unit": self.size_unit,
            "offset_unit": self.offset_unit, "keys": self.keys, "empty": self.empty,
        }  # fmt: skip
        if self.ops is not None:
            said["words"] = {**found.words, **parse_ops(self.ops)}
        return replace(found, sort_rows=self.sort, **{name: v for name, v in said.items() if v is not None})

    def build(self, seed: int, name: str = "source") -> TableWorkload:
        """The trace."""
        table = self.table()
        made: list[Layout] = []

        def layout() -> Layout:
            if not made:
                made.append(self.layout(table.names()))
            return made[0]

        return TableWorkload(self.file, table, layout, self.default_bytes, self.damaged)


@dataclass(frozen=True)
class Preset:
    """A published format: where it is described, a row of it, and what its columns mean."""

    source: str
    example: str
    layout: Layout
    reading: str = ""
    """Which reading was taken where the description leaves it open."""


class PresetFormat(RowFormat):
    """A format whose columns are known."""

    preset: ClassVar[Preset]

    def columns_of(self, names: Sequence[str]) -> Layout:
        """As published."""
        return self.preset.layout

    @property
    def has_times(self) -> bool:
        """If the format does."""
        return self.preset.layout.time is not None


class Further(Strict):
    """Columns that a format has beyond those of which it is made."""

    features: dict[str, str] = Field(default_factory=dict)
    """By the names that policies ask for."""


class PrefixFormat(PresetFormat):
    """One of KV-cache requests: a block is of use behind all that it was computed from.

    ``columns`` has ``features`` alone: further columns, such as ``output_tokens: output_length``.
    """

    columns: Further | None = Field(None, exclude_if=lambda value: value is None)
    """Further columns that are carried along."""
    block_tokens: ClassVar[int | None] = None
    """Of those of which it is published."""

    def layout(self, names: Sequence[str]) -> Layout:
        """What the columns mean, all told. Raises InputError if a feature's is not there."""
        found, further = super().layout(names), self.columns.features if self.columns else {}
        for name, column in further.items():
            if column not in names:
                raise InputError(
                    f"{self.path}: columns.features.{name}: has no column {column!r}; expected one among "
                    f"{', '.join(names) or 'none'}"
                )
        return replace(found, features={**found.features, **further})

    @property
    def tokens_of_block(self) -> int | None:
        """As published."""
        return self.block_tokens

    @property
    def reuse(self) -> Reuse:
        """Of prefixes."""
        return "prefix"


def words(reads: str, writes: str, skips: str = "", both: str = "", known: bool = True) -> dict[str, int]:
    """A vocabulary from words between blanks; ``known`` ones beside."""
    found = dict(WORDS) if known else {}
    for text, meaning in ((reads, 0), (writes, 1), (skips, 2), (both, 3)):
        found.update(dict.fromkeys(text.lower().split(), meaning))
    return found


def suffix_of(path: Path) -> str:
    """The ending that says what a file is, in small letters, that of a packed one left out."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in (".gz", ".xz", ".bz2", ".zst"):
        suffixes.pop()
    return suffixes[-1] if suffixes else ""
