"""A store that is a file: blocks with checksums, found again after the process was killed."""

import os
import threading
import zlib
from pathlib import Path

from live.buffers import Bytes8
from live.errors import CorruptBlockError, MissingBlockError
from live.file_io import Calls, FileIO
from live.file_records import HEADER, Header, block_of, header_of, heading_of, write_header
from live.file_systems import ALIGNMENT
from simulator.errors import InputError


class FileStore:
    """Blocks of one size in a file, which is made if it is not there, and goes on where it was left.

    A block is there once ``write`` has returned, also if the process is killed then; if the machine stops, what
    ``flush`` has returned after is. A block that has gone bad is never handed out: reading it is an error.

    Attributes:
        block: Bytes of a block.
        is_direct: Whether the kernel's cache is gone past; ``why_not`` says why it is not.
        n_found: Blocks that were there when it was opened.
        n_torn: Records that were found half-written: what somebody was writing when the process ended.
        n_damaged: Records that have gone bad so that nobody can say whose they are. An older version of their blocks
            may be taken for the newest: with any of these, do not trust the file.
    """

    def __init__(self, path: str | Path, block: int, *, direct: bool | None = None, calls: Calls | None = None) -> None:
        """Opens the file, reads the headers of all records, and those blocks that may be half-written.

        Args:
            path: The file. One process alone may use it at a time.
            block: Bytes of a block, a multiple of 4096.
            direct: Whether to go past the kernel's cache; by default where the file system lets us.
            calls: In the place of ``os``.

        Raises:
            InputError: it is another kind of file, has blocks of another size, is in use, or cannot be opened.
        """
        if block < ALIGNMENT or block % ALIGNMENT:
            raise InputError(f"block: {block} B; expected a multiple of {ALIGNMENT} B")
        self.path, self.block = Path(path), block
        self._io = FileIO(self.path, block, direct, calls)
        self.is_direct, self.why_not = self._io.is_direct, self._io.why_not
        self._lock = threading.Lock()
        self._places: dict[int, tuple[int, int]] = {}
        self._free: list[int] = []
        self._n_records = self._number = self.n_torn = self.n_damaged = 0
        self._unsure: set[int] = set()
        """Numbers of records that are being written, or whose writing has failed and that lie there half-written."""
        self._failed: dict[int, int] = {}
        try:
            self._lock_file()
            self._find()
        except OSError as error:
            os.close(self._io.fd)
            raise InputError(f"{path}: cannot be read: {error.strerror}; expected a file of blocks") from error
        except BaseException:
            os.close(self._io.fd)
            raise
        self.n_found = len(self._places)

    def holds(self, key: int) -> bool:
        """Whether it has a block."""
        return key in self._places

    def keys(self) -> list[int]:
        """Of all its blocks."""
        with self._lock:
            return list(self._places)

    def read(self, key: int, into: Bytes8) -> None:
        """Fill ``into``. Raises MissingBlockError, CorruptBlockError or OSError."""
        while True:
            found = self._places.get(key)
            if found is None:
                raise MissingBlockError(key)
            place, number = found
            is_there = self._io.read(self._offset(place), into)
            header = header_of(self._io.page().tobytes()) if is_there else None
            if header is not None and header[:2] == (key, number) and header.crc == zlib.crc32(into.data):
                return
            # Somebody may have written it meanwhile, and somebody else into its old place.
            if self._places.get(key) == found:
                raise CorruptBlockError(f"{self.path}: block {key} in record {place} is not what was written")

    def write(self, key: int, data: Bytes8) -> None:
        """Write a block. Raises OSError, and then the block is what it was before."""
        crc = zlib.crc32(data.data)
        with self._lock:
            place = self._free.pop() if self._free else self._n_records
            self._n_records = max(self._n_records, place + 1)
            number = self._number = self._number + 1
            self._unsure.add(number)
            all_below = min(self._unsure)
        page = self._io.page()
        page[:] = 0
        write_header(page, Header(key, number, all_below, self.block, crc))
        try:
            self._io.write(self._offset(place), data)
        except BaseException:
            with self._lock:
                # First in line for the next: until something whole lies there, it may be this, or what failed before.
                if self._failed.setdefault(place, number) != number:
                    self._unsure.discard(number)
                self._free.append(place)
            raise
        with self._lock:
            self._unsure -= {number, self._failed.pop(place, number)}
            old = self._places.get(key)
            self._places[key] = place, number
            if old is not None:
                self._free.append(old[0])

    def flush(self) -> None:
        """What was written stays also when the machine stops. Raises OSError."""
        self._io.flush()

    def close(self) -> None:
        """Close the file."""
        os.close(self._io.fd)

    def _offset(self, place: int) -> int:
        return HEADER + place * (HEADER + self.block)

    def _lock_file(self) -> None:
        try:
            import fcntl

            fcntl.flock(self._io.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:
            return
        except OSError:
            raise InputError(f"{self.path}: is in use; expected a file that no other process has open") from None

    def _find(self) -> None:
        """What the file has: of each block the newest record that is whole."""
        size = os.fstat(self._io.fd).st_size
        if size == 0:
            self._io.write_page(0, heading_of(self.block))
            return
        heading = self._io.read_page(0)
        block = block_of(heading) if heading is not None else None
        if block != self.block:
            got = "is no file of blocks" if block is None else f"has blocks of {block} B"
            raise InputError(f"{self.path}: {got}; expected one with blocks of {self.block} B")
        self._n_records = -(-(size - HEADER) // (HEADER + self.block))
        found: dict[int, list[tuple[int, int, int]]] = {}
        all_below = 0
        for place in range(self._n_records):
            page = self._io.read_page(self._offset(place))
            header = header_of(page) if page is not None else None
            if header is not None and header.block == self.block:
                found.setdefault(header.key, []).append((header.number, place, header.crc))
                all_below = max(all_below, header.all_below)
                self._number = max(self._number, header.number)
                continue
            self._free.append(place)
            if page is None:
                self.n_torn += 1
            elif any(page):
                self.n_damaged += 1
        for key, records in found.items():
            records.sort(reverse=True)
            for number, place, crc in records:
                if key in self._places:
                    self._free.append(place)
                elif number < all_below or self._is_whole(place, crc):
                    self._places[key] = place, number
                else:
                    self.n_torn += 1
                    self._free.append(place)
                    self._failed[place] = number
                    self._unsure.add(number)

    def _is_whole(self, place: int, crc: int) -> bool:
        into = self._io.scratch("found", self.block)
        return self._io.read(self._offset(place), into) and zlib.crc32(into.data) == crc
