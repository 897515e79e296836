"""What is asked of an object store: to list, to fetch, to put, to remove. An object is there whole, or is not."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from simulator.stores.address import Address
from simulator.stores.failing import StoreError, of_store
from simulator.stores.opening import file_system

_PIECE = 1 << 20


class Found(NamedTuple):
    """An object as a listing has it."""

    size: int
    modified_ns: int


class Store:
    """The objects at and below an address; their names are relative to it."""

    def __init__(self, address: Address) -> None:
        """``open`` makes them."""
        self.address = address
        with of_store(address):
            self._fs = file_system(address.scheme, address.bucket)

    @classmethod
    def open(cls, address: Address) -> "Store":
        """The store, whose bucket is there. Raises StoreError if it is not, or does not answer."""
        from pyarrow.fs import FileType

        store = cls(address)
        if address.bucket:
            with of_store(address):
                # A listing of a bucket that is not there is empty.
                found = store._fs.get_file_info(address.bucket)
            if found.type == FileType.NotFound:
                raise StoreError(
                    f"{address}: no such bucket {address.bucket}; expected one that is there: none is made"
                )
        return store

    def listed(self, below: str = "") -> dict[str, Found]:
        """All objects below a name. Raises StoreError."""
        from pyarrow.fs import FileSelector, FileType

        top = (self.address / below).path
        with of_store(self.address / below):
            found = self._fs.get_file_info(FileSelector(top, recursive=True, allow_not_found=True))
        start = len(self.address.path) + 1
        return {
            # A listing may have an object of the name itself, and folders.
            info.path[start:]: Found(int(info.size), int(info.mtime_ns or 0))
            for info in found
            if info.type == FileType.File and len(info.path) > start
        }

    def read(self, name: str) -> bytes:
        """A small object. Raises StoreError, NoObjectError if there is none."""
        address = self.address / name
        with of_store(address), self._fs.open_input_stream(address.path) as stream:
            return bytes(stream.read())

    def version(self, name: str = "") -> tuple[str, int]:
        """What tells an object from what is put in its place, and its size. Raises StoreError."""
        address = self.address / name
        with of_store(address), self._fs.open_input_file(address.path) as file:
            told = dict(file.metadata() or {})
            size = int(file.size())
        etag = told.get(b"ETag") or told.get("ETag")
        if etag is None:
            with of_store(address):
                etag = str(self._fs.get_file_info(address.path).mtime_ns)
        return etag.decode() if isinstance(etag, bytes) else str(etag), size

    def fetch(self, name: str, path: Path, watch: Callable[[int], None] | None = None) -> tuple[int, str]:
        """Write an object to a file in place of what is there, once it is whole; its size and SHA-256.

        Raises:
            StoreError: the store did not give it.
            OSError: the disk did not take it.
        """
        address = self.address / name
        digest, size = hashlib.sha256(), 0
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{os.getpid()}.fetched")
        try:
            with of_store(address):
                stream = self._fs.open_input_stream(address.path)
            with stream, aside.open("wb") as file:
                while True:
                    with of_store(address):
                        piece = stream.read(_PIECE)
                    if not piece:
                        break
                    digest.update(piece)
                    size += file.write(piece)
                    if watch is not None:
                        watch(size)
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
        return size, digest.hexdigest()

    def put(self, name: str, path: Path) -> None:
        """Write a file to an object, in place of what is there. Raises StoreError."""
        with path.open("rb") as file:
            self._put(name, lambda stream: _copied(file, stream))

    def write(self, name: str, content: bytes) -> None:
        """Write a small object. Raises StoreError."""
        self._put(name, lambda stream: stream.write(content))

    def _put(self, name: str, write: Callable[[Any], Any]) -> None:
        address = self.address / name
        is_local = address.scheme == "file"
        # An object is there when its stream is closed; a local file as it grows.
        target = f"{address.path}.{os.getpid()}.put" if is_local else address.path
        with of_store(address):
            if is_local:
                self._fs.create_dir(address.path.rpartition("/")[0])
            with self._fs.open_output_stream(target) as stream:
                write(stream)
            if is_local:
                self._fs.move(target, address.path)

    def remove(self, name: str) -> None:
        """Remove an object; none there is fine. Raises StoreError."""
        address = self.address / name
        try:
            with of_store(address):
                self._fs.delete_file(address.path)
        except StoreError:
            if name in self.listed(name.rpartition("/")[0]):
                raise


def _copied(file: Any, stream: Any) -> None:
    while piece := file.read(_PIECE):
        stream.write(piece)
