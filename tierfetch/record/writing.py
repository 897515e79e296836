"""The thread that writes: calls are handed over in order, and become rows of the file behind the model's back."""

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from experiments.aside import aside_of, naming
from tierfetch.record.marks import Marks
from tierfetch.record.rows import Call, Streams, batch_of
from workloads.base import Reuse
from workloads.readers.compact_writer import CompactWriter

# What is made at once: small pieces would have the thread take the interpreter from the model all the time.
_PIECE_IDS, _PIECE_CALLS = 1 << 16, 1 << 12
MOST_IDS = 1 << 22
"""How many ids wait for the thread, at most; whoever brings more waits for it."""


class Writer:
    """Calls in, a compact trace out: written aside, under its name once it is whole.

    What goes wrong on the thread is raised by the next ``put``, and by ``close``.
    """

    def __init__(self, path: Path, marks: Marks) -> None:
        self._marks = marks
        self._path, self._aside = path, aside_of(path)
        self._writer = CompactWriter(self._aside)
        self.streams = Streams()
        self.n_accesses = 0
        self._calls: list[Call] = []
        self._n_waiting = 0
        self._is_closing = self._is_wanted = False
        self._error: BaseException | None = None
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        # Of the first call: a trace begins at 0.
        self._start_ns: int | None = None
        try:
            with naming(path):
                # Now, so that a place that cannot be written is told before the model runs; and the columns are there
                # even if nothing comes.
                self._writer.write(batch_of([], self.streams))
        except BaseException:
            self._give_up()
            raise
        # Not by joining it: a join that was interrupted takes the thread for ended (Python 3.11).
        self._has_ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tierfetch recorder", daemon=True)
        self._thread.start()

    def put(self, call: Call) -> None:
        """Add a call, at this time and with the mark that holds now: the model waits for what is done here.

        Waits while too many ids are waiting. Raises what went wrong on the thread.
        """
        with self._lock:
            if self._n_waiting and self._n_waiting + call.n_ids > MOST_IDS:
                self._wait_for_room(call.n_ids)
            if self._error is not None:
                raise self._error
            if self._is_closing:
                return
            now_ns = time.monotonic_ns()
            if self._start_ns is None:
                self._start_ns = now_ns
            call.time_ns = now_ns - self._start_ns
            self._marks.apply(call)
            self._calls.append(call)
            self._n_waiting += call.n_ids
            if self._n_waiting >= _PIECE_IDS or len(self._calls) >= _PIECE_CALLS:
                self._changed.notify_all()

    def _wait_for_room(self, n_ids: int) -> None:
        while self._error is None and self._n_waiting and self._n_waiting + n_ids > MOST_IDS:
            # Else the thread would go on waiting for more, which cannot come.
            self._is_wanted = True
            self._changed.notify_all()
            self._changed.wait()

    def _has_piece(self) -> bool:
        return self._is_closing or self._is_wanted or self._n_waiting >= _PIECE_IDS or len(self._calls) >= _PIECE_CALLS

    def _run(self) -> None:
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(self._has_piece)
                    calls, self._calls, self._n_waiting, self._is_wanted = self._calls, [], 0, False
                    self._changed.notify_all()
                if not calls and self._is_closing:
                    return
                batch = batch_of(calls, self.streams)
                with naming(self._path):
                    self._writer.write(batch)
                self.n_accesses += len(batch)
        except BaseException as error:  # Whatever it is, it is the caller's to know.
            with self._changed:
                self._error, self._calls = error, []
                self._changed.notify_all()
        finally:
            self._has_ended.set()

    def drain(self) -> None:
        """Nothing comes any more: wait for what is left. Raises what went wrong; then there is no file."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        try:
            self._has_ended.wait()
        except BaseException:
            # Another Ctrl-C: what waits is let go, and what the thread is at is soon done.
            with self._changed:
                self._calls = []
            self._has_ended.wait()
            self._give_up()
            raise
        self._thread.join()
        if self._error is not None:
            self._give_up()
            raise self._error

    def finish(self, source: str, more: Mapping[bytes, str], reuse: Reuse) -> None:
        """Once it is drained: the description, and the file's own name. Raises what went wrong; then there is none."""
        ids = self.streams.ids()
        try:
            with naming(self._path):
                try:
                    self._writer.finish(
                        source, None, has_times=True, stream_ids=ids if len(ids) else None, reuse=reuse, more=more
                    )
                finally:
                    self._writer.close()
                self._aside.replace(self._path)
        except BaseException:
            self._give_up()
            raise

    def _give_up(self) -> None:
        with suppress(Exception):
            self._writer.close()
        with suppress(OSError):
            self._aside.unlink(missing_ok=True)
