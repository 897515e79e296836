"""Traces of object stores and of web caches, as text between blanks."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from simulator.errors import InputError
from workloads.readers.layout import SKIP, Layout
from workloads.readers.peek import first_fields, first_lines
from workloads.readers.presets.by_names import ByNames
from workloads.readers.raw import RawTable
from workloads.readers.row_format import Preset, PresetFormat, suffix_of, words
from workloads.readers.text_table import Dialect, TextTable, split

_IBM = ("time", "op", "id", "size", "start", "end")
_IBM_WORDS = words(
    "rest.get.object 1", "rest.put.object rest.copy.object 0", "rest.head.object rest.delete.object", known=False
)
_AT_SIZE = _IBM.index("size")


class _ObjectTable(TextTable):
    """Rows of three to six fields: those that are skipped may have no size."""

    def _fields(self, number: int, text: str, places: list[int], widths: tuple[int, int]) -> list[str | None]:
        found = split(text, self.separator)
        if found is not None and len(found) == _AT_SIZE and _IBM_WORDS.get((found[1] or "").lower()) == SKIP:
            found = [*found, "0"]
            return [found[place] for place in places]
        return super()._fields(number, text, places, widths)


class IbmObjectStoreConfig(PresetFormat):
    """IBM Cloud Object Store: time in ms, REST.*.OBJECT, id as 16 hexadecimal digits, size, range; between blanks.

    Whole objects are cached. HEAD and DELETE are skipped, COPY is a write; objects of size 0 are skipped.
    """

    kind: Literal["ibm_object_store"]
    preset: ClassVar[Preset] = Preset(
        source="Eytan et al., HotStorage 2020; SNIA IOTTA 36305 (http://iotta.snia.org/traces/key-value/36305)",
        example="1232488 REST.GET.OBJECT 95d363d3fbdc0b03 1168 0 1167",
        layout=Layout(
            key=("id",), time="time", time_unit="ms", size=("size",), op="op", words=_IBM_WORDS, keys="hex",
            empty="skip",
        ),
        reading="a GET, PUT or COPY without a size is refused; copies as CSV with a header time,op,id,size write 1 "
        "for a GET and 0 for a PUT",
    )  # fmt: skip

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """By the second word of the first line, or its name."""
        found = first_fields(path, None)
        return len(found) > 1 and found[1].lower() in _IBM_WORDS and "." in found[1]

    def table(self) -> RawTable:
        """The rows."""
        line = next(iter(first_lines(self.file)), "").strip()
        separator = "," if "," in line else "blank"
        header = not line[:1].isdecimal()
        return _ObjectTable(self.file, Dialect(separator, header, n_fields=(_AT_SIZE + 1, len(_IBM)), names=_IBM))


class LrbConfig(PresetFormat):
    """LRB's, webcachesim's and AdaptSize's: time, id, size, and features if any; between blanks.

    ``extra`` names the fields behind the size, in order, to carry them as features.
    """

    kind: Literal["lrb"]
    extra: list[str] = Field(default_factory=list)
    """Names for the fields behind the size, in order, which are carried as features."""
    preset: ClassVar[Preset] = Preset(
        source="Song et al., NSDI 2020 (https://github.com/sunnyszy/lrb); Berger et al., NSDI 2017 "
        "(https://github.com/dasebe/webcachesim)",
        example="1 0 68",
        layout=Layout(key=("id",), time="time", time_unit="s", size=("size",)),
        reading="times are seconds; their authors say that they may be anything, so use them for order alone unless "
        "the trace's own page says more",
    )

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """By its ending, .tr, and three numbers or more in the first line."""
        found = first_fields(path, None)
        return suffix_of(path) == ".tr" and len(found) >= 3 and all(map(_is_number, found))

    def table(self) -> RawTable:
        """The rows."""
        names = ("time", "id", "size", *self.extra)
        if len(set(names)) < len(names):
            raise InputError(f"{self.path}: extra: {', '.join(self.extra)}; expected names of their own")
        return TextTable(self.file, Dialect("blank", header=False, n_fields=(len(names), None), names=names))

    def columns_of(self, names: Sequence[str]) -> Layout:
        """As published, with the features that are named."""
        return replace(self.preset.layout, features={name: name for name in self.extra})


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


class WikiConfig(ByNames):
    """Wikimedia's CDN, 2019: relative_unix in s, hashed path, response_size, by their header; between tabs.

    Keys are hashed, as their numbers have signs; responses of size 0 are skipped. That of 2018 is ``lrb``'s.
    """

    kind: Literal["wiki"]
    separator = "\t"
    marks = ("relative_unix", "response_size")
    preset: ClassVar[Preset] = Preset(
        source="Wikimedia (https://wikitech.wikimedia.org/wiki/Data_Platform/Data_Lake/Traffic/Caching)",
        example="relative_unix\thashed_path_query\timage_type\tresponse_size\ttime_firstbyte\n"
        "0\t833946053\tjpeg\t8415\t1.12e-4",
        layout=Layout(
            key=("hashed_path_query",), time="relative_unix", time_unit="s", size=("response_size",), keys="hash",
            empty="skip",
        ),
        reading="an object whose size changes is one object",
    )  # fmt: skip

    def columns_of(self, names: Sequence[str]) -> Layout:
        """As published, for images (cache-u) or text (cache-t)."""
        found = super().columns_of([*names, "hashed_path_query"])
        key = next((name for name in names if name in ("hashed_path_query", "hashed_host_path_query")), None)
        if key is None:
            raise InputError(f"{self.path}: has no column 'hashed_path_query'; expected one among {', '.join(names)}")
        return replace(found, key=(key,))
