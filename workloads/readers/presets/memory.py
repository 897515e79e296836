"""Traces of memory: loads and stores at addresses.

A key is the number of the line of ``block`` bytes (64 B unless said) that the address lies in; an access that crosses
into the next is a request of both.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from simulator.errors import InputError
from workloads.readers.files import read_records
from workloads.readers.layout import Layout
from workloads.readers.pattern_table import Grammar, PatternTable
from workloads.readers.peek import first_bytes, first_lines
from workloads.readers.raw import Piece, RawTable, Want
from workloads.readers.row_format import Preset, PresetFormat, suffix_of, words

LINE = 64
_HEX = "[0-9a-fA-F]+"
# ip, two flags, registers written and read, memory written and read.
_INSTRUCTION = np.dtype(
    [
        ("ip", "<u8"), ("is_branch", "u1"), ("branch_taken", "u1"), ("registers", "u1", 6), ("stores", "<u8", 2),
        ("loads", "<u8", 4),
    ]
)  # fmt: skip
_INSTRUCTIONS_PEEKED = 32


class MemoryFormat(PresetFormat):
    """One whose keys are lines of memory."""

    def layout(self, names: Sequence[str]) -> Layout:
        """As published, in lines."""
        found = super().layout(names)
        return replace(found, block=found.block or LINE)


class LackeyConfig(MemoryFormat):
    """Valgrind's lackey with --trace-mem=yes: I (instruction), L (load), S (store) or M (both), address, bytes.

    M is a load and a store. Instruction fetches are skipped, unless ``instructions`` reads them as loads.
    """

    kind: Literal["lackey"]
    instructions: bool = False
    """Whether instruction fetches are read, as loads; else they are skipped."""
    preset: ClassVar[Preset] = Preset(
        source="Valgrind's manual, Lackey (https://valgrind.org/docs/manual/lk-manual.html), and lk_main.c",
        example=" L 1ffefffbf0,8",
        layout=Layout(key=("address",), keys="hex", size=("bytes",), op="op", words=words("l i", "s", "", "m", False)),
    )

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """By its first line that is not Valgrind's own text."""
        own = (line for line in first_lines(path) if not line.startswith(("==", "--")))
        return re.fullmatch(rf"(I | [LSM]) {_HEX},\d+\s*", next(own, "")) is not None

    def table(self) -> RawTable:
        """The lines."""
        left_out = {"of superblocks": rf"SB {_HEX}"}
        if not self.instructions:
            left_out["that fetch instructions"] = rf"I  {_HEX},\d+"
        letters = "[ILSM]" if self.instructions else "[LSM]"
        row = rf" ?(?P<op>{letters}) {{1,2}}(?P<address>{_HEX}),(?P<bytes>\d+)"
        expected = "I, L, S or M, a hexadecimal address and bytes, such as ' L 1ffefffbf0,8'"
        return PatternTable(self.file, Grammar(row, expected, left_out, no_row=r"==\d+==.*|--\d+--.*"))


class PinatraceConfig(MemoryFormat):
    """Pin's example tool pinatrace: program counter, R or W, address. The counter is the feature ``pc``."""

    kind: Literal["pinatrace"]
    preset: ClassVar[Preset] = Preset(
        source="Pin's manual, ManualExamples/pinatrace.cpp",
        example="0x7f2b4c0e1a53: R 0x7ffd1c2e9a08",
        layout=Layout(
            key=("address",), keys="hex", access_bytes=1, op="op", words=words("r", "w", known=False),
            features={"pc": "pc"}, feature_keys="hex",
        ),
        reading="there are no sizes: an access touches the line of its address alone",
    )  # fmt: skip
    _row: ClassVar[str] = rf"(?P<pc>0x{_HEX}): (?P<op>[RW]) +(?P<address>0x{_HEX})"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """By its first line."""
        return re.fullmatch(rf"{cls._row}\s*", next(iter(first_lines(path)), "")) is not None

    def table(self) -> RawTable:
        """The lines."""
        return PatternTable(self.file, Grammar(self._row, "PC: R|W ADDRESS, both 0x and hexadecimal", no_row="#.*"))


class MemtraceConfig(MemoryFormat):
    """DynamoRIO's sample memtrace_simple: address, bytes, r or w. Lines of instructions are skipped."""

    kind: Literal["memtrace"]
    preset: ClassVar[Preset] = Preset(
        source="DynamoRIO, api/samples/memtrace_simple.c (https://github.com/DynamoRIO/dynamorio)",
        example="0x00007ffeacab0ec8:  8, w",
        layout=Layout(
            key=("address",), keys="hex", size=("bytes",), op="op", words=words("r", "w", known=False)
        ),
    )  # fmt: skip
    _header: ClassVar[str] = r"Format: <data address>: <data size>, .*"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """By its first line, which says what the columns are."""
        return re.fullmatch(cls._header, next(iter(first_lines(path)), "")) is not None

    def table(self) -> RawTable:
        """The lines."""
        instruction = rf"0x{_HEX}: +\d+, (?![rw]\b)[a-z_]\w*"
        grammar = Grammar(
            row=rf"(?P<address>0x{_HEX}): +(?P<bytes>\d+), (?P<op>[rw])",
            expected="ADDRESS: BYTES, r|w or the name of an instruction",
            left_out={"of instructions": instruction},
            no_row=self._header,
        )
        return PatternTable(self.file, grammar)


class MlDpcConfig(MemoryFormat):
    """Load traces of the ML data-prefetching championship: instruction, cycle, address, program counter, LLC hit.

    Addresses and counters are hexadecimal. The counter is the feature ``pc``, the last column ``llc_hit``.
    """

    kind: Literal["ml_dpc"]
    preset: ClassVar[Preset] = Preset(
        source="ML-DPC, LoadTraces (https://github.com/Quangmire/ChampSim)",
        example="3, 13, fdfd3a8c1e00, 401a26, 0",
        layout=Layout(
            key=("address",), keys="hex", access_bytes=1, time="cycle", features={"pc": "pc", "llc_hit": "llc_hit"},
            feature_keys="hex",
        ),
        reading="a cycle is taken for 1 ns (a clock of 1 GHz); all are loads, of the line of their address alone",
    )  # fmt: skip
    _row: ClassVar[str] = (
        rf"\d+,[ \t]+(?P<cycle>\d+),[ \t]+(?P<address>{_HEX}),[ \t]+(?P<pc>{_HEX}),[ \t]+(?P<llc_hit>[01])"
    )
    _message: ClassVar[str] = r"\*\*\*.*|Read .*"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """By its ending, and all of the first lines that are no messages."""
        lines = [line for line in first_lines(path) if re.fullmatch(cls._message, line) is None]
        is_text = suffix_of(path) == ".txt"
        return is_text and bool(lines) and all(re.fullmatch(rf"{cls._row}\s*", line) for line in lines)

    def table(self) -> RawTable:
        """The lines."""
        expected = "INSTRUCTION, CYCLE, ADDRESS, PC, 0|1 with a blank behind each comma"
        return PatternTable(self.file, Grammar(self._row, expected, no_row=self._message))


class ChampsimConfig(MemoryFormat):
    """ChampSim's traces of instructions: records of 64 bytes, whose memory operands are loads and stores.

    The instruction's address is the feature ``pc``; all operands of an instruction are a request.
    """

    kind: Literal["champsim"]
    preset: ClassVar[Preset] = Preset(
        source="ChampSim, inc/trace_instruction.h (https://github.com/ChampSim/ChampSim)",
        example="binary: u64 ip, u8 is_branch, u8 branch_taken, u8[6] registers, u64[2] stores, u64[4] loads",
        layout=Layout(
            key=("address",), access_bytes=1, op="is_store", words=words("0", "1", known=False),
            request=("instruction",), features={"pc": "ip"},
        ),
        reading="an instruction loads before it stores, each in the order of its slots; an operand of 0 is none; there "
        "are no sizes: an access touches the line of its address alone",
    )  # fmt: skip

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """By its name (.champsimtrace, .trace) and its first records, whose flags are 0 or 1."""
        if suffix_of(path) not in (".champsimtrace", ".trace"):
            return False
        start = first_bytes(path)
        n = min(len(start) // _INSTRUCTION.itemsize, _INSTRUCTIONS_PEEKED)
        records = np.frombuffer(start[: n * _INSTRUCTION.itemsize], _INSTRUCTION)
        return n > 0 and _first_bad(records) is None and bool((records["ip"] != 0).all())

    def table(self) -> RawTable:
        """The operands."""
        return OperandTable(self.file)


def _first_bad(records: Any) -> int | None:
    """The first record that is none, by its flags."""
    bad = (records["is_branch"] > 1) | (records["branch_taken"] > 1)
    return int(np.flatnonzero(bad)[0]) if bad.any() else None


def _where(instructions: Any, row: int) -> str:
    return f"record {instructions[row]}"


class OperandTable:
    """The memory operands of ChampSim's instructions as a table: a row each, loads before stores."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def names(self) -> list[str]:
        """What is known of an operand."""
        return ["address", "is_store", "instruction", "ip"]

    def n_rows(self) -> int | None:
        """The file does not say."""
        return None

    def pieces(self, wants: Sequence[Want]) -> Iterator[Piece]:
        """The rows. Raises InputError if the file ends within a record, or one has flags that are none."""
        import pyarrow as pa

        first = 0
        for records in read_records(self._path, _INSTRUCTION):
            bad = _first_bad(records)
            good = records if bad is None else records[:bad]
            addresses = np.concatenate([good["loads"], good["stores"]], axis=1)
            at, slot = np.nonzero(addresses)
            columns = {
                "address": addresses[at, slot],
                "is_store": (slot >= good["loads"].shape[1]).astype(np.uint64),
                "instruction": at.astype(np.uint64) + np.uint64(first),
                "ip": good["ip"][at],
            }
            n_without = len(good) - len(np.unique(at))
            yield Piece(
                [pa.array(np.ascontiguousarray(columns[want.column])) for want in wants],
                len(at),
                partial(_where, columns["instruction"]),
                None,
                {"of instructions without memory operands": n_without},
            )
            if bad is not None:
                raise InputError(
                    f"{self._path}: record {first + bad}: its flags are {records['is_branch'][bad]} and "
                    f"{records['branch_taken'][bad]}; expected 0 or 1 in ChampSim's records of 64 bytes"
                )
            first += len(records)
