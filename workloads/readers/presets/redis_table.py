"""Redis' MONITOR as a table: a line is a command, whose keys are a list."""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from simulator.errors import InputError
from workloads.readers.lines import read_lines
from workloads.readers.raw import Piece, Want

_ARGUMENT = r'"(?:[^"\\]|\\.)*"'
LINE = re.compile(rf"\+?(\d+\.\d+) \[(\d+) ([^\x22]*?)\] ({_ARGUMENT}(?: {_ARGUMENT})*)", re.ASCII)
_ARGUMENTS = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ROWS = 1 << 15
_LONGEST_SHOWN = 80

READS = (
    "get mget getrange substr strlen getbit bitcount bitpos bitfield_ro lcs getex getdel dump hget hmget hgetall hkeys "
    "hvals hlen hexists hstrlen hscan hrandfield lrange lindex llen lpos smembers sismember smismember scard "
    "srandmember sscan sinter sunion sdiff sintercard zrange zrevrange zrangebyscore zrevrangebyscore zrangebylex "
    "zrevrangebylex zscore zmscore zcard zcount zlexcount zrank zrevrank zscan zrandmember zinter zunion zdiff "
    "zintercard xrange xrevrange xlen xread xreadgroup pfcount geodist geohash geopos geosearch georadius_ro "
    "georadiusbymember_ro georadius georadiusbymember sort_ro sort"
)
WRITES = (
    "set setex psetex setnx getset append incr incrby incrbyfloat decr decrby setrange setbit bitfield mset msetnx "
    "bitop hset hsetnx hmset hincrby hincrbyfloat hdel lpush rpush lpushx rpushx lpop rpop lset linsert lrem ltrim "
    "blpop brpop lmove rpoplpush brpoplpush blmove sadd srem spop smove sinterstore sunionstore sdiffstore zadd zrem "
    "zincrby zpopmin zpopmax bzpopmin bzpopmax zremrangebyrank zremrangebyscore zremrangebylex zinterstore zunionstore "
    "zdiffstore zrangestore xadd xdel xtrim xack pfadd pfmerge geoadd geosearchstore "
    "restore rename renamenx copy"
)
SKIPS = (
    "del unlink expire pexpire expireat pexpireat expiretime pexpiretime persist ttl pttl exists touch type object "
    "move migrate keys scan randomkey dbsize flushdb flushall select ping echo hello auth client config command info "
    "debug memory latency slowlog monitor time wait multi exec discard watch unwatch eval evalsha eval_ro evalsha_ro "
    "fcall fcall_ro function script publish spublish subscribe unsubscribe psubscribe punsubscribe ssubscribe "
    "sunsubscribe pubsub cluster readonly readwrite asking replconf psync sync replicaof slaveof role save bgsave "
    "bgrewriteaof lastsave shutdown swapdb acl module quit reset xgroup xinfo"
)
T = TypeVar("T")


def _each(commands: str, value: T) -> dict[str, T]:
    return dict.fromkeys(commands.split(), value)


# (First, last, step) of the arguments that are keys, the command being 0; a last below 0 counts from the end.
_PLACES = {
    **_each("mget sinter sunion sdiff pfcount", (1, -1, 1)),
    **_each("mset msetnx", (1, -1, 2)),
    **_each("blpop brpop bzpopmin bzpopmax", (1, -2, 1)),
    "lcs": (1, 2, 1),
}
_COUNTED = _each("zinter zunion zdiff zintercard sintercard", 1)
"""Where an argument says how many keys follow it."""
_STORES = {
    # (Where what is written is; first, last and step of what is read.)
    **_each("rename renamenx smove lmove rpoplpush brpoplpush blmove copy", (2, (1, 1, 1))),
    **_each("sinterstore sunionstore sdiffstore pfmerge", (1, (2, -1, 1))),
    **_each("zrangestore geosearchstore", (1, (2, 2, 1))),
    "bitop": (2, (3, -1, 1)),
}
_STORES_COUNTED = _each("zinterstore zunionstore zdiffstore", 1)
_SKIPPED = frozenset(SKIPS.split())
_KNOWN = frozenset(f"{READS} {WRITES}".split())


def _range(words: Sequence[str], places: tuple[int, int, int]) -> list[str]:
    first, last, step = places
    return list(words[first : (last if last >= 0 else len(words) + last) + 1 : step])


def _counted(words: Sequence[str], at: int) -> list[str]:
    said = words[at] if at < len(words) else ""
    return list(words[at + 1 : at + 1 + int(said)]) if said.isascii() and said.isdecimal() else []


def accesses(words: Sequence[str]) -> list[tuple[str, list[str]]]:
    """(Operation, keys) of a command and its arguments: one, or what is read and then what is written.

    What has no key, or is of no use to a cache, is one of the command's own name without one.
    """
    name = words[0].lower()
    if name in _SKIPPED:
        return [(name, [""])]
    if name in _STORES or name in _STORES_COUNTED:
        to, places = _STORES.get(name, (1, None))
        read = _range(words, places) if places is not None else _counted(words, 2)
        # The name of a write stands for the read of its sources, too.
        return [("get", read), (name, list(words[to : to + 1]))]
    if name in ("xread", "xreadgroup"):
        low = [word.lower() for word in words]
        rest = words[low.index("streams") + 1 :] if "streams" in low else []
        return [(name, list(rest[: len(rest) // 2]))]
    if name in _COUNTED:
        return [(name, _counted(words, _COUNTED[name]))]
    # Somebody may say that an unknown command without arguments is to be skipped.
    return [(name, _range(words, _PLACES.get(name, (1, 1, 1))) or ([] if name in _KNOWN else [""]))]


class MonitorTable:
    """Lines of MONITOR: ``time`` in s, ``client``, ``line`` (its number among commands), ``op`` and a list of ``keys``.

    A key is the number of its database, a colon, and its text as MONITOR writes it, with its escapes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def names(self) -> list[str]:
        """They are the same for all."""
        return ["time", "client", "line", "op", "keys"]

    def n_rows(self) -> int | None:
        """A text does not say."""
        return None

    def pieces(self, wants: Sequence[Want]) -> Iterator[Piece]:
        """The rows. Raises InputError where a line is none; what was before that has been yielded."""
        for want in wants:
            want.is_list = want.column == "keys"
        rows: list[tuple[str, str, int, str, list[str], int]] = []
        failed = None
        n = 0
        try:
            for number, line in read_lines(self._path):
                if line in (b"OK", b"+OK"):
                    continue
                rows += self._rows(number, line, n)
                n += 1
                if len(rows) >= _ROWS:
                    yield self._piece(rows, wants)
                    rows = []
        except InputError as error:
            failed = error
        if rows:
            yield self._piece(rows, wants)
        if failed is not None:
            raise failed

    def _rows(self, number: int, line: bytes, n: int) -> list[tuple[str, str, int, str, list[str], int]]:
        text = line.decode("utf-8", "surrogateescape")
        found = LINE.fullmatch(text)
        if found is None or not text.isascii():
            shown = text[:_LONGEST_SHOWN].encode("utf-8", "surrogateescape").decode(errors="replace")
            raise InputError(
                f'{self._path}: line {number}: expected \'SECONDS.MICROSECONDS [DB CLIENT] "COMMAND" "ARGUMENT" ...\', '
                f"as MONITOR writes it; got {shown!r}"
            )
        words = _ARGUMENTS.findall(found[4])
        made = accesses(words)
        if not any(keys for _, keys in made):
            raise InputError(f"{self._path}: line {number}: {words[0]!r} has no key; got {text[:_LONGEST_SHOWN]!r}")
        time, database, client = found[1], found[2], found[3]
        return [(time, client, n, op, [f"{database}:{key}" for key in keys], number) for op, keys in made if keys]

    def _piece(self, rows: list[Any], wants: Sequence[Want]) -> Piece:
        import pyarrow as pa

        times, clients, lines, ops, keys, numbers = zip(*rows, strict=True)
        columns: dict[str, Callable[[], Any]] = {
            "time": lambda: pa.array(times, pa.string()),
            "client": lambda: pa.array(clients, pa.string()),
            "line": lambda: np.array(lines, np.uint64),
            "op": lambda: pa.array(ops, pa.string()),
            "keys": lambda: pa.array([key for some in keys for key in some], pa.string()),
        }
        counts = np.array([len(some) for some in keys], np.int64)
        made = [columns[want.column]() for want in wants]
        return Piece(made, len(rows), lambda row: f"line {numbers[row]}", counts)
