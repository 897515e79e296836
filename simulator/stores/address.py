"""Addresses of object stores: ``s3://bucket/key``, ``gs://bucket/key``, ``file:///folder``. Nothing is opened here."""

import os
import re
from dataclasses import dataclass

from simulator.errors import InputError

SCHEMES = ("s3", "gs", "file")
_BARE = tuple(f"{scheme}:" for scheme in SCHEMES)
# Two letters at least: C:/ is a drive. A Path has one slash where there were two.
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.*)", re.DOTALL)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Address:
    """A place in a store: an object, or all those whose names begin with ``key``. ``bucket`` is "" for ``file``."""

    scheme: str
    bucket: str
    key: str

    @property
    def path(self) -> str:
        """As the file system of this scheme calls it."""
        if self.scheme == "file":
            return f"/{self.key}"
        return f"{self.bucket}/{self.key}" if self.key else self.bucket

    @property
    def name(self) -> str:
        """The last part."""
        return (self.key or self.bucket).rpartition("/")[2]

    def __truediv__(self, name: str) -> "Address":
        return Address(self.scheme, self.bucket, f"{self.key}/{name}" if self.key else name) if name else self

    def __str__(self) -> str:
        return f"{self.scheme}://{self.path}"


def address_of(place: str | os.PathLike[str]) -> Address | None:
    """The address that a text, or a path made of it, is; None: it is a local path.

    Raises:
        InputError: it is of an unknown scheme, or no address of a bucket.
    """
    text = os.fspath(place)
    # A Path has nothing behind the colon where there were slashes alone.
    if text.lower() in _BARE:
        text = f"{text}//"
    if ":/" not in text:
        return None
    found = _ADDRESS.fullmatch(text)
    if found is None:
        return None
    scheme, rest = found[1].lower(), found[2].rstrip("/")
    text = f"{scheme}://{'/' * (scheme == 'file')}{rest}"
    if scheme not in SCHEMES:
        if os.path.lexists(place):
            return None
        raise InputError(f"{text}: unknown scheme {found[1]!r}; expected s3://, gs://, file:/// or a local path")
    if scheme == "file":
        if not rest:
            raise InputError(f"{text}: names no folder; expected file:///FOLDER")
        return Address(scheme, "", _checked(rest, text))
    bucket, _, key = rest.partition("/")
    if "@" in bucket:
        # What stands before it may be a secret.
        raise InputError(f"{scheme}://...@{bucket.rpartition('@')[2]}: has credentials in it; expected them elsewhere")
    if "?" in rest or "#" in rest:
        raise InputError(f"{text}: has options in it; expected a bucket and a name: options are environment variables")
    if not _BUCKET.fullmatch(bucket):
        raise InputError(f"{text}: no bucket can be called {bucket!r}; expected {scheme}://BUCKET/NAME")
    return Address(scheme, bucket, _checked(key, text))


def _checked(key: str, text: str) -> str:
    parts = [part for part in key.split("/") if part]
    if {".", ".."} & {*parts} or "\0" in key:
        raise InputError(f"{text}: has a part '.' or '..'; expected plain names")
    return "/".join(parts)
