"""What went wrong with a store, in a line of ours: what Arrow says of it is long, and in the words of each SDK."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from simulator.errors import InputError
from simulator.stores.address import Address


class StoreError(InputError):
    """A store did not do what was asked of it."""


class NoObjectError(StoreError):
    """There is no such object."""


@contextmanager
def of_store(address: Address) -> Iterator[None]:
    """Errors of Arrow's file systems name the address, and what is to be done. Raises StoreError for them."""
    from pyarrow import ArrowException

    try:
        yield
    except FileNotFoundError:
        raise NoObjectError(f"{address}: no such object in the store") from None
    except (OSError, ArrowException) as error:
        raise StoreError(f"{address}: {_why(error, address)}") from None


def _why(error: Any, address: Address) -> str:
    text = " ".join(str(error).split())
    low = text.lower()

    def says(*words: str) -> bool:
        return any(word in low for word in words)

    if says("no_such_bucket", "nosuchbucket", "bucket does not exist", "bucket not found"):
        return f"no such bucket {address.bucket}; expected one that is there: none is made"
    # Before what is denied: some answer 403 to who has used up a quota.
    if says("quota", "http status 507", "insufficient_storage", "insufficientstorage", "no space left", "storage full"):
        return "the store is full, or a quota is used up; expected room for what is written"
    if says("invalid_access_key_id", "signature", "expired", "invalid_client_token", "invalidtoken", "invalid_grant"):
        return f"the credentials are refused ({_short(text)}); expected valid ones"
    if says("access_denied", "accessdenied", "http status 403", "http status 401", "permission denied", "forbidden"):
        return _denied(address)
    if says("network_connection", "curlcode", "could not connect", "resolve host", "timeout", "timed out"):
        return f"{_where(address)} cannot be reached ({_curl(text)}); expected a store that answers within seconds"
    if says("could not create credentials", "default credentials", "could not determine project"):
        return "no credentials were found; expected GOOGLE_APPLICATION_CREDENTIALS, or gcloud auth application-default"
    return _short(text)


def _denied(address: Address) -> str:
    from simulator.stores.opening import has_credentials

    if address.scheme == "s3" and not has_credentials():
        return (
            "no credentials were found, and without any it is denied; expected AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or a profile in ~/.aws"
        )
    return "access is denied; expected credentials that may read, list and write there"


def _where(address: Address) -> str:
    from simulator.stores.opening import s3_endpoint

    endpoint = s3_endpoint() if address.scheme == "s3" else None
    return "the store" if endpoint is None else f"{endpoint[0]}://{endpoint[1]}"


def _curl(text: str) -> str:
    found = re.search(r"curlCode: \d+, ([^;]+)", text)
    return found[1] if found else _short(text)


def _short(text: str) -> str:
    """Without what only the provider can look up."""
    text = re.sub(r" ?\(Request ID: [^)]*\)", "", text)
    return text if len(text) <= 200 else f"{text[:197]}..."
