"""What the columns of a table mean, as data: which are keys, times, sizes; in which units; which words are writes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from simulator.errors import InputError
from workloads.readers.roles import Keys
from workloads.readers.times import TimeUnit

READ, WRITE, SKIP, BOTH, UNKNOWN = 0, 1, 2, 3, -1
MEANINGS = {"read": READ, "write": WRITE, "skip": SKIP, "both": BOTH}
Empty = Literal["error", "skip", "min"]
_READS = "r read reads rd load l get gets mget get_lease gat gats fetch lookup getchunkdata scan"
_WRITES = (
    "w write writes wr store s set set_lease mset put putchunk add cas replace append prepend incr decr update insert "
    "upsert modify"
)
WORDS: Mapping[str, int] = {
    **dict.fromkeys(_READS.split(), READ),
    **dict.fromkeys(_WRITES.split(), WRITE),
}
"""Words of block devices, memory traces, key-value stores and object stores that say plainly what they are.

Numbers are none: 1 is a write in one trace and a read in the next. Nor are words that drop a block.
"""


@dataclass(frozen=True)
class Layout:
    """The columns of a table by their meaning; several names make one key, stream or request, or add up to a size.

    ``offset_unit`` is what a step of the key is in bytes where ``block`` splits ranges of bytes into blocks: without
    sizes ``block`` is the size of each key. ``size`` overrides the trace's.
    """

    key: tuple[str, ...]
    time: str | None = None
    time_unit: TimeUnit = "ns"
    size: tuple[str, ...] = ()
    size_unit: int = 1
    offset_unit: int = 1
    op: str | None = None
    words: Mapping[str, int] = field(default_factory=lambda: WORDS)
    stream: tuple[str, ...] = ()
    request: tuple[str, ...] = ()
    spreads: bool = False
    """Whether the columns ahead of a key's last are hashed, as there are too many of them to be numbered."""
    access_bytes: int = 0
    """Of each access, where no column says it: 1 of an address, which lies in one block."""
    repeat: str | None = None
    features: Mapping[str, str] = field(default_factory=dict)
    feature_keys: Keys = "auto"
    keys: Keys = "auto"
    streams: Keys = "auto"
    empty: Empty = "error"
    block: int | None = None
    fixed: int | None = None
    sort_rows: int = 0

    @property
    def splits(self) -> bool:
        """Whether ranges of bytes become the blocks that they touch."""
        return self.block is not None and bool(self.size or self.access_bytes)


def parse_ops(text: str, where: str = "--ops") -> dict[str, int]:
    """``read=get,1 write=put,0 skip=delete``: what each word means.

    Raises:
        InputError: it is not of this form, or a word is there twice.
    """
    found: dict[str, int] = {}
    for part in text.replace(";", " ").split():
        name, equals, words = part.partition("=")
        if name not in MEANINGS or not equals or not words:
            raise InputError(f"{where} {part}: expected read=, write=, skip= or both= and words, such as write=put,1")
        for word in words.lower().split(","):
            if not word:
                raise InputError(f"{where} {part}: has an empty word; expected words between commas")
            if found.setdefault(word, MEANINGS[name]) != MEANINGS[name]:
                raise InputError(f"{where} {text}: {word!r} has two meanings; expected one")
    return found
