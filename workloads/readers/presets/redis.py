"""What a Redis server was asked, as its MONITOR writes it."""

from pathlib import Path
from typing import ClassVar, Literal

from workloads.readers.layout import Layout
from workloads.readers.peek import first_lines
from workloads.readers.presets.redis_table import LINE, READS, SKIPS, WRITES, MonitorTable
from workloads.readers.raw import RawTable
from workloads.readers.row_format import Preset, PresetFormat, words


class RedisMonitorConfig(PresetFormat):
    """Redis' MONITOR: a line a command with its time, database and client; MGET, MSET and such touch many keys at once.

    A key is database and text, hashed; the stream is the client. Commands without keys, and those that drop, expire or
    ask about a key without its value, are skipped. Sizes of what is read are not in it: ``block`` is that of each key.
    """

    kind: Literal["redis_monitor"]
    default_bytes: ClassVar[int] = 1 << 10
    preset: ClassVar[Preset] = Preset(
        source="https://redis.io/docs/latest/commands/monitor/; arguments are escaped by sdscatrepr (redis, sds.c)",
        example='1339518090.420270 [0 127.0.0.1:60866] "set" "x" "6"',
        layout=Layout(
            key=("keys",), time="time", time_unit="s", stream=("client",), request=("line",), op="op",
            words=words(READS, WRITES, SKIPS, known=False), keys="hash",
        ),
        reading="EVAL and FCALL are skipped, as what they do follows line by line ([0 lua]); a command that stores "
        "what it makes of others (SUNIONSTORE, COPY, LMOVE) reads those and writes one; of an unknown command that "
        "--ops gives a meaning the first argument is the key",
    )  # fmt: skip

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """By the form of a line."""
        lines = [line for line in first_lines(path)[:2] if line not in ("OK", "+OK")]
        return bool(lines) and LINE.fullmatch(lines[0]) is not None

    def table(self) -> RawTable:
        """The lines."""
        return MonitorTable(self.file)
