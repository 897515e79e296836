"""Local copies of what lies in stores: where they are, and what they are copies of.

They lie in a folder that may be removed at any time, but for results that could not be uploaded yet.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from simulator.errors import InputError
from simulator.stores.address import Address, address_of

_NAMED: dict[str, str] = {}
_WATCHER: list[Callable[[str, int, int], None]] = []
_FETCHED: dict[Address, Path] = {}


def copies_folder() -> Path:
    """Where copies are: TIERFETCH_STORES, else the user's cache folder."""
    from platformdirs import user_cache_path

    return Path(os.environ.get("TIERFETCH_STORES") or user_cache_path("tierfetch") / "stores").absolute()


def copy_of(kind: str, address: Address, *more: str) -> Path:
    """Where the copy of an address is; messages call it by the address."""
    digest = hashlib.sha256(" ".join([str(address), *more]).encode()).hexdigest()[:16]
    path = copies_folder() / kind / digest / address.name
    name_copy(path, address)
    return path


def name_copy(path: Path, address: Address) -> None:
    """From here on messages call a copy by its address."""
    _NAMED[str(path)] = str(address)


def forget_copy(path: Path) -> None:
    """Messages call it by its own name again."""
    _NAMED.pop(str(path), None)


def shown(text: str) -> str:
    """A message with addresses in place of their copies."""
    for path, address in _NAMED.items():
        text = text.replace(path, address)
    return text


def watch_with(watcher: Callable[[str, int, int], None]) -> None:
    """Who is told how far fetching has come: of what, how many bytes of how many."""
    _WATCHER[:] = [watcher]


def tell(what: str, n_bytes: int, of_bytes: int) -> None:
    """Tell who watches."""
    for watcher in _WATCHER:
        watcher(what, n_bytes, of_bytes)


def local_file(place: str | os.PathLike[str], what: str) -> Path | None:
    """The copy of an object, fetched where this version of it is not there yet; None: the place is a local path.

    Looked for once a process: what is put in its place later is another input.

    Raises:
        InputError: it cannot be fetched, or was changed meanwhile.
    """
    address = address_of(place)
    if address is None:
        return None
    if address not in _FETCHED:
        _FETCHED[address] = _fetched(address, what)
    return _FETCHED[address]


def _fetched(address: Address, what: str) -> Path:
    from simulator.stores.failing import NoObjectError
    from simulator.stores.store import Store

    store = Store.open(address)
    try:
        version = store.version()
    except NoObjectError:
        raise InputError(f"{address}: no such object; expected {what}") from None
    etag, size = version
    path = copy_of("files", address, etag, str(size))
    if not path.is_file() or path.stat().st_size != size:
        store.fetch("", path, lambda n: tell(str(address), n, size))
        if store.version() != version or path.stat().st_size != size:
            path.unlink(missing_ok=True)
            raise InputError(f"{address}: was changed while it was fetched; say the same again")
    return path
