"""A live cache against a dict, whatever is done to it in whatever order, its store failing and its file opened anew."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from live import FileStore, LiveError, TieredCache
from live.errors import FlushError, MissingBlockError, NoRoomError
from live.faults import FaultyCalls, every
from tests.live_blocks import check_books, tiers
from tests.live_content import BLOCK, content

KEYS = st.integers(0, 11)


class LiveMachine(RuleBasedStateMachine):
    """What was put last is what is read, also of a store that fails; what was flushed is in the file."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.newest: dict[int, int] = {}
        self.version = 0

    @initialize(
        sizes=st.lists(st.integers(1, 4), min_size=1, max_size=3),
        placement=st.sampled_from(["inclusive", "exclusive"]),
        kind=st.sampled_from(["lru", "slru(variant=libcachesim)", "s3fifo"]), demotes=st.booleans(),
    )  # fmt: skip
    def make(self, sizes: list[int], placement: str, kind: str, demotes: bool) -> None:
        clean = "demote" if demotes and placement == "exclusive" else "drop"
        self.settings = {
            "tiers": tiers(*sizes, eviction=kind, spare=4), "placement": placement, "clean_evictions": clean,
            "retries": {"times": 0, "again_after": "0 ns"},
        }  # fmt: skip
        self.open()

    def open(self) -> None:
        self.calls = FaultyCalls()
        store = FileStore(self.folder / "blocks", BLOCK, calls=self.calls, direct=False)
        self.cache = TieredCache(**self.settings, store=store)

    @rule(key=KEYS)
    def put(self, key: int) -> None:
        self.version += 1
        try:
            self.cache.put(key, content(key, self.version))
        except NoRoomError:
            assert self.calls.faults
        else:
            self.newest[key] = self.version

    @rule(key=KEYS)
    def get(self, key: int) -> None:
        try:
            found = self.cache.get(key)
        except MissingBlockError:
            assert key not in self.newest
        except LiveError:
            assert self.calls.faults
        else:
            assert (found == content(key, self.newest[key])).all()

    @rule(keys=st.lists(KEYS, max_size=12))
    def get_many(self, keys: list[int]) -> None:
        try:
            found = self.cache.get_many(keys)
        except MissingBlockError:
            assert not {*keys} <= {*self.newest}
        except LiveError:
            assert self.calls.faults
        else:
            assert all((block == content(key, self.newest[key])).all() for key, block in zip(keys, found, strict=True))

    @rule(keys=st.lists(KEYS, max_size=4))
    def prefetch(self, keys: list[int]) -> None:
        for future in self.cache.prefetch_async(keys):
            assert future.result(10).key in keys

    @rule()
    def flush(self) -> None:
        errors: set[int] = set()
        try:
            self.cache.flush()
        except FlushError as error:
            errors = set(error.errors)
        assert errors <= set(self.newest)
        assert self.calls.faults or not errors

    @rule(n=st.integers(1, 3))
    def fail(self, n: int) -> None:
        self.calls.faults[:] = [every(n, "read", "write")]

    @precondition(lambda self: self.calls.faults)
    @rule()
    def mend(self) -> None:
        self.calls.faults.clear()

    @rule()
    def open_anew(self) -> None:
        self.calls.faults.clear()
        self.cache.close()
        self.open()

    @precondition(lambda self: not self.calls.faults)
    @rule()
    def look_over(self) -> None:
        check_books(self.cache)

    def teardown(self) -> None:
        if hasattr(self, "cache"):
            self.calls.faults.clear()
            self.cache.close()
        shutil.rmtree(self.folder)


LiveMachine.TestCase.settings = settings(max_examples=15, stateful_step_count=30)
TestLive = LiveMachine.TestCase
