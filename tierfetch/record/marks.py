"""Which request and stream calls belong to: what the caller has said, for the thread that said it."""

import threading
from dataclasses import dataclass
from types import TracebackType

from tierfetch.record.rows import Call

_MOST = 2**64


@dataclass(frozen=True, slots=True)
class Mark:
    """``request`` is None where each call is a request of its own."""

    request: int | None = None
    stream: int = 0


_UNMARKED = Mark()


class Marks:
    """The mark of each thread, and numbers for requests that nobody numbers: each above all that were there before."""

    def __init__(self) -> None:
        self._local = threading.local()
        self._lock = threading.Lock()
        self._next = 0
        # Of the last call: was its number one of ours? The same from the caller would go on with its request.
        self._last_own: tuple[int, int] | None = None

    @property
    def current(self) -> Mark:
        """This thread's."""
        found: Mark = getattr(self._local, "mark", _UNMARKED)
        return found

    def set(self, mark: Mark) -> "Marked":
        """Change this thread's; what is returned puts back the one before, as the end of a ``with``."""
        before = self.current
        with self._lock:
            if mark.request is not None:
                if self._last_own == (mark.stream, mark.request):
                    raise ValueError(
                        f"request {mark.request} of stream {mark.stream}: the call before, in no request, got this "
                        f"number; expected {self._next} or more, or that one in a request, too"
                    )
                self._next = max(self._next, mark.request + 1)
        self._local.mark = mark
        return Marked(self, before)

    def other(self, request: int | None, stream: int | None) -> Mark:
        """This thread's, but for what is said. Raises TypeError or ValueError if that is no number."""
        mark = self.current
        return Mark(
            mark.request if request is None else checked("request", request),
            mark.stream if stream is None else checked("stream", stream),
        )

    def put_back(self, mark: Mark) -> None:
        """The mark that was there before another."""
        self._local.mark = mark

    def new_request(self) -> int:
        """A number that no request has had. Raises ValueError if the caller has had the last one."""
        with self._lock:
            if self._next >= _MOST:
                raise ValueError("request 2**64 - 1 was there, so that no number is left; expected smaller ones")
            self._next += 1
            return self._next - 1

    def apply(self, call: Call) -> None:
        """Give a call the stream and request that it is of; whoever orders calls asks one at a time."""
        mark = self.current
        call.stream = mark.stream
        if mark.request is not None:
            call.request, self._last_own = mark.request, None
            return
        call.request = self.new_request()
        self._last_own = mark.stream, call.request


class Marked:
    """A mark that holds from now on, or to the end of a ``with``."""

    def __init__(self, marks: Marks, before: Mark) -> None:
        self._marks, self._before = marks, before

    def __enter__(self) -> "Marked":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._marks.put_back(self._before)


def checked(name: str, number: int) -> int:
    """A number of a request or stream. Raises TypeError or ValueError if it is none."""
    if isinstance(number, bool) or not hasattr(number, "__index__"):
        raise TypeError(f"{name}={number!r}; expected a whole number from 0 to 2**64 - 1")
    found = int(number)
    if not 0 <= found < _MOST:
        raise ValueError(f"{name}={number!r}; expected a whole number from 0 to 2**64 - 1")
    return found
