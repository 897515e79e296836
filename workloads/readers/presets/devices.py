"""What recorders of block devices write as text: fio's iologs, blkparse, biosnoop."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

from simulator.errors import InputError
from workloads.readers.layout import Layout
from workloads.readers.pattern_table import Grammar, PatternTable
from workloads.readers.peek import first_lines
from workloads.readers.presets.block import SECTOR
from workloads.readers.raw import RawTable
from workloads.readers.row_format import Preset, PresetFormat, words

_NAME = r"[!-~\x80-\xff]+"
_FIO_ACTION = r"(?P<op>read|write|trim|sync|datasync)"
_DISCARDED = "trim d"


def _fio(version: int, time: str) -> Grammar:
    """The lines of a version of iologs, which begin with ``time``."""
    # A group is a column: what is left out has none.
    unnamed = re.sub(r"\?P<\w+>", "?:", time)
    left_out = {"that open or close files": rf"{unnamed}{_NAME} (?:add|open|close|unlink|stat)"}
    if version == 2:
        left_out["that wait"] = rf"{_NAME} wait \d+(?: \d+)?"
    return Grammar(
        row=rf"{time}(?P<file>{_NAME}) {_FIO_ACTION} (?P<offset>\d+) (?P<length>\d+)",
        expected=("TIME FILE read|write|trim OFFSET LENGTH" if time else "FILE read|write|trim OFFSET LENGTH"),
        left_out=left_out,
        header=rf"fio version {version} iolog",
    )


class FioConfig(PresetFormat):
    """fio's iolog, version 2 or 3 (with times in microseconds): file, read, write or trim, offset, bytes.

    The key is file and offset. Lines that open or close files or wait, trims and syncs are skipped.
    """

    kind: Literal["fio"]
    preset: ClassVar[Preset] = Preset(
        source="fio's HOWTO, Trace file format v2 and v3 (https://fio.readthedocs.io), and iolog.c",
        example="fio version 3 iolog\n878 Nvme1n1 write 0 16384",
        layout=Layout(
            key=("file", "offset"), time="time", time_unit="us", size=("length",), op="op",
            words=words("read", "write", "trim sync datasync", known=False),
        ),
        reading="times of v3 are microseconds, as iolog.c writes them; v2 has none: fio's text and code disagree on "
        "what a wait is",
    )  # fmt: skip

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """By its first line."""
        lines = first_lines(path)
        return bool(lines) and re.fullmatch(r"fio version [23] iolog\s*", lines[0]) is not None

    def table(self) -> RawTable:
        """The lines."""
        return PatternTable(self.file, _fio(3, r"(?P<time>\d+) "), _fio(2, ""))

    def columns_of(self, names: Sequence[str]) -> Layout:
        """As published, by the version."""
        return self.preset.layout if "time" in names else replace(self.preset.layout, time=None)

    @property
    def has_times(self) -> bool:
        """Of version 3."""
        try:
            return "time" in self.table().names()
        except InputError:
            # Reading it says what is the matter.
            return False


_EVENT = r"[ \t]*(?P<device>\d+,\d+)[ \t]+\d+[ \t]+\d+[ \t]+(?P<time>\d+\.\d+)[ \t]+(?P<pid>\d+)[ \t]+"
_EVENT_END = r"[A-Za-z]{1,2}[ \t]+[A-Z]+\b.*"


class BlkparseConfig(PresetFormat):
    """blkparse's default text of a blktrace: the events of one ``action`` (Q, queued, unless said); sectors of 512.

    The key is device and sector; the letters of RWBS say read or write, and discards are skipped. The process is the
    feature ``pid``.
    """

    kind: Literal["blkparse"]
    action: Literal["Q", "G", "I", "D", "C"] = "Q"
    """Which event of a request counts: Q queued, G got, I inserted, D issued, C completed."""
    preset: ClassVar[Preset] = Preset(
        source="blkparse(1) (https://man7.org/linux/man-pages/man1/blkparse.1.html)",
        example="259,0   10     3414     0.020814875 34084  Q  WS 2414127984 + 8 [fio]",
        layout=Layout(
            key=("device", "sector"), time="time", time_unit="s", size=("n_sectors",), size_unit=SECTOR,
            offset_unit=SECTOR, op="op", words=words("r", "w", _DISCARDED, known=False), features={"pid": "pid"},
        ),
        reading="each request has an event for each step on its way: one action is counted (G: got, I: inserted, D: "
        "issued, C: completed)",
    )  # fmt: skip

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """By the first line, which is an event."""
        lines = first_lines(path)
        return bool(lines) and re.match(_EVENT + _EVENT_END, lines[0]) is not None

    def table(self) -> RawTable:
        """The events of the action, and what of them is a range."""
        event = re.sub(r"\?P<\w+>", "?:", _EVENT)
        # F ahead of another letter flushes before it.
        row = (
            rf"{_EVENT}{self.action}[ \t]+F?(?P<op>[RWD])[A-Z]*[ \t]+(?P<sector>\d+) \+ (?P<n_sectors>\d+)"
            r"(?:[ \t]+\([ \d]*\))?[ \t]+\[.*\]"
        )
        grammar = Grammar(
            row=row,
            expected="DEVICE CPU SEQUENCE SECONDS PID ACTION RWBS SECTOR + SECTORS [PROCESS], as blkparse writes it "
            "without -f",
            left_out={
                f"of other actions than {self.action}": rf"{event}(?!{self.action}[ \t]){_EVENT_END}",
                "of no range of sectors": rf"{event}{self.action}[ \t]+[A-Z]+[ \t]+(?:\[.*\]|\d+ \(.*\).*)",
            },
            # What it counted, at the end, and the files that it reads.
            no_row=r"Input file .*|CPU\d+ \(.*\):|Total \(.*\):|(?:Throughput|Events) \(.*\):.*|Skips: .*"
            r"|[ \t]+[A-Z][A-Za-z /.]*:[ \t]*\d.*",
        )
        return PatternTable(self.file, grammar)


class BiosnoopConfig(PresetFormat):
    """BCC's biosnoop: seconds, command, process, disk, R or W, sector of 512, bytes, latency; between blanks.

    The key is disk and sector; the process is the feature ``pid``.
    """

    kind: Literal["biosnoop"]
    preset: ClassVar[Preset] = Preset(
        source="BCC, tools/biosnoop (https://github.com/iovisor/bcc)",
        example="0.000004    supervise      1950   xvda1   W 13092560   4096       0.74",
        layout=Layout(
            key=("disk", "sector"), time="time", time_unit="s", size=("bytes",), offset_unit=SECTOR, op="op",
            words=words("r", "w", known=False), features={"pid": "pid"},
        ),
        reading="times are those of completion, in the order of which the lines come",
    )  # fmt: skip
    _header: ClassVar[str] = r"TIME\(s\)[ \t]+COMM[ \t]+PID[ \t]+DISK[ \t]+T[ \t]+SECTOR[ \t]+BYTES[ \t]+.*"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """By its line of names."""
        lines = first_lines(path)
        return bool(lines) and re.fullmatch(cls._header, lines[0]) is not None

    def table(self) -> RawTable:
        """The lines; a command may have blanks in it."""
        row = (
            rf"(?P<time>\d+\.\d+)[ \t]+(?:{_NAME}[ \t]+)*?(?P<pid>\d+)[ \t]+(?P<disk>{_NAME})[ \t]+(?P<op>[RW])[ \t]+"
            r"(?P<sector>\d+)[ \t]+(?P<bytes>\d+)(?:[ \t]+\d+\.\d+){1,2}"
        )
        return PatternTable(
            self.file, Grammar(row, "SECONDS COMMAND PID DISK R|W SECTOR BYTES LATENCY", no_row=self._header)
        )
