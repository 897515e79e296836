"""A URL that answers requests for ranges of bytes: an object store, a web server. It is only read."""

import http.client
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from experiments.report import bytes_text
from simulator.errors import InputError

if TYPE_CHECKING:
    from experiments.calibration.places import Buffer

_TIMEOUT_S = 30.0


def shown(url: str) -> str:
    """Without what may be a secret: a name and a password, and what stands behind the path."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


class Remote:
    """One connection a thread, kept open: the time to set it up is not measured.

    Raises:
        InputError: it does not answer, or not with ranges; or what is there is smaller than ``least_bytes``.
    """

    can_write = False

    def __init__(self, url: str, least_bytes: int) -> None:
        self.url, self._where = url, f"--tiers {shown(url)}"
        self._of_thread = threading.local()
        self._made: list[http.client.HTTPConnection] = []
        parts = urlsplit(url)
        try:
            self._host, self._port = parts.hostname or "", parts.port
        except ValueError:
            self._host = ""
        if not self._host or parts.username is not None:
            raise InputError(
                f"{self._where}: expected a URL such as http://host:9000/bucket/object, without a password"
            )
        self._is_safe = parts.scheme == "https"
        self._path = urlunsplit(("", "", parts.path or "/", parts.query, ""))
        try:
            self.n_bytes = self._size()
            if self.n_bytes < least_bytes:
                raise InputError(
                    f"{self._where}: has {bytes_text(self.n_bytes)}; expected {bytes_text(least_bytes)} or more"
                )
        except BaseException:
            self.close()
            raise

    def _size(self) -> int:
        """By the first byte, which is told with the size of the whole."""
        answer = self._asked(0, 1)
        answer.read()
        said = (answer.getheader("Content-Range") or "").rpartition("/")[2]
        if not said.isdecimal():
            raise InputError(
                f"{self._where}: says nothing of its size (Content-Range); expected a plain file or object"
            )
        return int(said)

    def _asked(self, at: int, n_bytes: int) -> http.client.HTTPResponse:
        connection = getattr(self._of_thread, "connection", None)
        if connection is None:
            kind = http.client.HTTPSConnection if self._is_safe else http.client.HTTPConnection
            connection = self._of_thread.connection = kind(self._host, self._port, timeout=_TIMEOUT_S)
            self._made.append(connection)
        try:
            connection.request("GET", self._path, headers={"Range": f"bytes={at}-{at + n_bytes - 1}"})
            answer: http.client.HTTPResponse = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise InputError(f"{self._where}: does not answer: {error or type(error).__name__}") from None
        if answer.status != http.client.PARTIAL_CONTENT:
            # Not read to its end: it may be the whole of something large.
            answer.close()
            raise InputError(
                f"{self._where}: answers {answer.status} {answer.reason}; expected 206, the part that was asked for"
            )
        return answer

    def read_into(self, buffer: "Buffer", at: int) -> None:
        """Raises InputError where less comes than was asked for."""
        view, n_read = buffer.data, 0
        # Read to its end, it leaves the connection free for the next.
        with self._asked(at, len(buffer)) as answer:
            try:
                while n_read < len(buffer) and (n := answer.readinto(view[n_read:])):
                    n_read += n
            except (OSError, http.client.HTTPException) as error:
                raise InputError(f"{self._where}: broke off: {error or type(error).__name__}") from None
        if n_read < len(buffer):
            raise InputError(f"{self._where}: broke off after {n_read} B of {len(buffer)} B from {at} on")

    def write_from(self, buffer: "Buffer", at: int) -> None:
        """It is only read."""
        raise NotImplementedError

    def close(self) -> None:
        """All connections."""
        for connection in self._made:
            connection.close()
