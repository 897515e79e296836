"""Traces of key-value caches and content delivery networks, as text with commas."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

from simulator.errors import InputError
from workloads.readers.layout import Layout
from workloads.readers.peek import first_fields
from workloads.readers.presets.by_names import ByNames
from workloads.readers.raw import RawTable
from workloads.readers.row_format import Preset, PresetFormat, words
from workloads.readers.text_table import Dialect, TextTable, split

_TWITTER = ("timestamp", "key", "key size", "value size", "client id", "operation", "TTL")
_TWITTER_HEADERS = (
    {"timestamp", "time"}, {"key", "anonymized key"}, {"key size"}, {"value size"}, {"client id", "client"},
    {"operation", "op"}, {"ttl"},
)  # fmt: skip
_TWITTER_WORDS = words("get gets", "set add replace cas append prepend incr decr", "delete", known=False)
_CACHELIB = "https://cachelib.org/docs/Cache_Library_User_Guides/Cachebench_FB_HW_eval"


class _KeyedTable(TextTable):
    """Rows of seven fields of which the second, the key, may have commas."""

    def _fields(self, number: int, text: str, places: list[int], widths: tuple[int, int]) -> list[str | None]:
        found = split(text, ",")
        if found is None or len(found) <= len(_TWITTER):
            return super()._fields(number, text, places, widths)
        first, _, rest = text.partition(",")
        fields = [field.strip() or None for field in (first, *rest.rsplit(",", len(_TWITTER) - 2))]
        return [fields[place] for place in places]


class TwitterConfig(PresetFormat):
    """Twitter's cache clusters: time in s, key, key size, value size, client, operation, TTL; no header.

    The size is the key's and the value's, the stream the client; keys are hashed. Deletes are skipped.
    """

    kind: Literal["twitter"]
    preset: ClassVar[Preset] = Preset(
        source="Yang et al., OSDI 2020 (https://github.com/twitter/cache-trace)",
        example="0,q:q:1:8WTwl7huJeQ,17,249,1,get,0",
        layout=Layout(
            key=("key",), time="timestamp", time_unit="s", size=("key size", "value size"), stream=("client id",),
            op="operation", words=_TWITTER_WORDS, keys="hash",
        ),
        reading="a key may have commas: one field is to its left and five to its right; a header is left out; a "
        "value of 0 bytes (a miss) leaves the key's size",
    )  # fmt: skip

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """By the first line: seven fields with an operation last but one, or their names."""
        found = first_fields(path)
        if _is_twitter_header(found):
            return True
        numbers = [found[0], *found[-5:-2], found[-1]] if len(found) >= len(_TWITTER) else [""]
        return all(number.isascii() and number.isdecimal() for number in numbers) and found[-2] in _TWITTER_WORDS

    def table(self) -> RawTable:
        """The rows, without a header."""
        header = _is_twitter_header(first_fields(self.file))
        n = len(_TWITTER)
        return _KeyedTable(self.file, Dialect(",", header, n_fields=(n, n), names=_TWITTER))


def _is_twitter_header(fields: Sequence[str]) -> bool:
    names = [field.lower().replace("_", " ").strip("# ") for field in fields]
    return len(names) == len(_TWITTER_HEADERS) and all(
        name in known for name, known in zip(names, _TWITTER_HEADERS, strict=True)
    )


class CachelibKvConfig(ByNames):
    """CacheLib's kvcache and memcache traces: key, op, size, op_count, op_time in s, by their header.

    A row stands for ``op_count`` accesses; keys are hashed. Deletes are skipped, and so are rows of size 0.
    """

    kind: Literal["cachelib_kv"]
    marks = ("key", "op", "size", "op_count")
    optional = ("op_time", "usecase")
    preset: ClassVar[Preset] = Preset(
        source=f"Meta, CacheLib ({_CACHELIB}); columns by its CacheBench, KVReplayGenerator.h",
        example="op_time,key,key_size,op,op_count,size,cache_hits,ttl\n604038471,82131353f9ddc8c6,48,GET,1,87,1,0",
        layout=Layout(
            key=("key",), time="op_time", time_unit="s", size=("size",), op="op", repeat="op_count", keys="hash",
            words=words("get get_lease", "set set_lease", "delete", known=False), empty="skip",
            features={"tenant": "usecase"},
        ),
        reading="the size is the value's; a GET of size 0 found nothing, so its size is not known: it is skipped (the "
        "SET that fills it is a row of its own), or taken for 1 byte with --empty min",
    )  # fmt: skip

    @cached_property
    def _names(self) -> tuple[str, ...]:
        """Of a file without a header, by how many columns it has; none if it has one."""
        fields = first_fields(self.file)
        if "op" in fields or "key" in fields:
            return ()
        known = (
            "key,op,size,op_count,key_size",
            "key,op,size,op_count,key_size,ttl",
            "op_time,key,key_size,op,op_count,size,cache_hits,ttl",
            "op_time,key,key_size,op,op_count,size,cache_hits,ttl,usecase,sub_usecase",
        )
        return next((names for text in known if len(names := tuple(text.split(","))) == len(fields)), ())

    def table(self) -> RawTable:
        """The rows."""
        return TextTable(self.file, Dialect(",", not self._names, names=self._names))


class _CdnTable(TextTable):
    """Rows whose key may be empty: such are invalid, as CacheBench takes them, and of size 0 here."""

    def _fields(self, number: int, text: str, places: list[int], widths: tuple[int, int]) -> list[str | None]:
        found = super()._fields(number, text, places, widths)
        names = self.names()
        if any(cell is None and names[place] == "cacheKey" for place, cell in zip(places, found, strict=True)):
            invalid = {names.index("cacheKey"): "-", names.index("objectSize"): "0"}
            return [invalid.get(place, cell) for place, cell in zip(places, found, strict=True)]
        return found


class CachelibCdnConfig(ByNames):
    """CacheLib's CDN traces: timestamp in ms, cacheKey, OpType, objectSize and more, by their header.

    Whole objects are cached; keys are hashed. Objects of size 0, and rows without a key, are skipped.
    """

    kind: Literal["cachelib_cdn"]
    marks = ("timestamp", "cacheKey", "OpType", "objectSize")
    preset: ClassVar[Preset] = Preset(
        source=f"Meta, CacheLib ({_CACHELIB}); columns by its CacheBench, PieceWiseReplayGenerator.h",
        example="timestamp,cacheKey,OpType,objectSize,responseSize,responseHeaderSize,rangeStart,rangeEnd,TTL,"
        "SamplingRate,cache_hit\n1679500800000,17813221,1,1024,1360,336,-1,-1,3600,1,1",
        layout=Layout(
            key=("cacheKey",), time="timestamp", time_unit="ms", size=("objectSize",), op="OpType",
            words=words("1", "", known=False), keys="hash", empty="skip",
        ),
        reading="a request for a range asks for the whole object; times are ms (--time-unit says another: CacheBench "
        "divides by a factor of its config); OpType 1 is a read, others are unknown",
    )  # fmt: skip

    def table(self) -> RawTable:
        """The rows."""
        return _CdnTable(self.file, Dialect(","))


_SCSI = words("08 28 a8 88", "0a 2a 2e aa 8a", "00 35 42 91 93 delete nop")
_LIBCACHESIM = {
    "time": ("time", "timestamp", "clock_time"),
    "obj_id": ("obj_id", "obj-id", "object_id", "id", "lbn", "key"),
    "obj_size": ("obj_size", "obj-size", "size", "object_size"),
    "op": ("op", "operation"),
}


class LibcachesimCsvConfig(PresetFormat):
    """libCacheSim's csv: columns by its names for them, or by number as in --trace-type-params.

    ``time_col`` (in s), ``obj_id_col``, ``obj_size_col`` and ``op_col`` count from 1; ``has_header`` says whether the
    first line has names, and ``delimiter`` what is between fields. Operations are words, or SCSI's codes as two
    hexadecimal digits.
    """

    kind: Literal["libcachesim_csv"]
    time_col: int | None = None
    """The column of times in s, from 1; null: by its name."""
    obj_id_col: int | None = None
    """The column of objects, from 1; null: by its name."""
    obj_size_col: int | None = None
    """The column of sizes in bytes, from 1; null: by its name."""
    op_col: int | None = None
    """The column of operations, from 1; null: by its name."""
    has_header: bool | None = None
    """Whether the first line has names; null: told by its letters and digits."""
    delimiter: str = ""
    """What is between fields; empty: told by the first line."""
    preset: ClassVar[Preset] = Preset(
        source="libCacheSim (https://github.com/1a1a11a/libCacheSim), doc/quickstart_cachesim.md, traceReader/csv.c",
        example="version,time,op,size,lbn\n1,5633898,2a,512,42932745",
        layout=Layout(key=("obj_id",), time="time", time_unit="s", size=("obj_size",), op="op", words=_SCSI),
        reading="times keep their fractions (libCacheSim cuts them off); ids are decimal, 0x and hexadecimal, or text "
        "throughout (libCacheSim takes a leading 0 for octal); without has_header a first line of more digits than "
        "letters is a row",
    )

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """By names that it alone has for objects, or those of its own example of a block trace."""
        found = first_fields(path)
        return bool({"obj_id", "obj-id"} & set(found)) or found == ["version", "time", "op", "size", "lbn"]

    def table(self) -> RawTable:
        """The rows."""
        if len(self.delimiter) > 1 or self.delimiter in ("\n", "\r", '"') or not self.delimiter.isascii():
            raise InputError(f"{self.path}: delimiter {self.delimiter!r}; expected a character")
        header = self.has_header
        if header is None:
            line = ",".join(first_fields(self.file))
            header = sum(map(str.isdigit, line)) <= sum(map(str.isalpha, line))
        return TextTable(self.file, Dialect(self.delimiter, header))

    def columns_of(self, names: Sequence[str]) -> Layout:
        """By number, else by name. Raises InputError if there is no column of objects."""
        said = {"time": self.time_col, "obj_id": self.obj_id_col, "obj_size": self.obj_size_col, "op": self.op_col}
        found: dict[str, str] = {}
        for name, number in said.items():
            if number is not None:
                if number < 1 or (names and number > len(names)):
                    raise InputError(
                        f"{self.path}: {name}_col {number}; expected a column from 1"
                        + f" to {len(names)}" * bool(names)
                    )
                found[name] = str(number) if not names else names[number - 1]
            elif any(number is not None for number in said.values()):
                continue
            else:
                low = {given.lower(): given for given in reversed(names)}
                column = next((low[known] for known in _LIBCACHESIM[name] if known in low), None)
                if column is not None:
                    found[name] = column
        if "obj_id" not in found:
            known_names = ", ".join(_LIBCACHESIM["obj_id"])
            raise InputError(
                f"{self.path}: has no column of ids; expected obj_id_col, or one named {known_names}; its first "
                f"line has {', '.join(names) or 'no names'}"
            )
        return Layout(
            key=(found["obj_id"],), time=found.get("time"), time_unit="s", op=found.get("op"), words=_SCSI,
            size=(found["obj_size"],) if "obj_size" in found else (),
            offset_unit=512 if found["obj_id"].lower() == "lbn" else 1,
        )  # fmt: skip

    @property
    def has_times(self) -> bool:
        """If this file has them."""
        try:
            return self.columns_of(self.table().names()).time is not None
        except InputError:
            # Reading it says what is the matter.
            return False
