"""Where trained models are kept, and which of them are asked for. No torch in sight."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from platformdirs import user_cache_path

from simulator.stores.address import Address, address_of
from simulator.stores.copies import copy_of, forget_copy

_ASKED_FOR: ContextVar[list[Path] | None] = ContextVar("asked_for", default=None)


def models_address() -> Address | None:
    """The address in an object store that TIERFETCH_MODELS is; None: it is none. Raises InputError for a wrong one."""
    return address_of(os.environ.get("TIERFETCH_MODELS", ""))


def models_folder() -> Path:
    """Where models are kept: TIERFETCH_MODELS, else the user's cache folder; of an address, copies of what lies there.

    Raises:
        InputError: it is a wrong address.
    """
    if (address := models_address()) is not None:
        return copy_of("models", address)
    return Path(os.environ.get("TIERFETCH_MODELS") or user_cache_path("tierfetch") / "models")


def fetch_model(path: Path) -> None:
    """Copy a model from the store of models, if there is a store that has it. Raises StoreError."""
    if (address := models_address()) is None:
        return
    from simulator.stores.failing import NoObjectError
    from simulator.stores.store import Store

    with suppress(NoObjectError):
        Store.open(address).fetch(path.name, path)


def put_model(path: Path) -> None:
    """Copy a model to the store of models, if there is one, and it has none. Raises StoreError."""
    if (address := models_address()) is None:
        return
    from simulator.stores.failing import NoObjectError, StoreError
    from simulator.stores.store import Store

    try:
        store = Store.open(address)
        try:
            store.version(path.name)
        except NoObjectError:
            store.put(path.name, path)
    except StoreError as error:
        forget_copy(path.parent)
        raise StoreError(f"{error}. The model is kept as {path}: say the same again to upload it") from None


@contextmanager
def asked_for() -> Iterator[list[Path]]:
    """The files of models that are trained, or found there, meanwhile."""
    found: list[Path] = []
    token = _ASKED_FOR.set(found)
    try:
        yield found
    finally:
        _ASKED_FOR.reset(token)


def note(path: Path) -> None:
    """This one is asked for."""
    found = _ASKED_FOR.get()
    if found is not None:
        found.append(path)
