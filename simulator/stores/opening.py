"""File systems of object stores by the environment variables that other programs take, with timeouts of seconds."""

import configparser
import os
import socket
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from simulator.errors import InputError

_CONNECT_S, _ANSWER_S, _N_TRIES = 3.0, 15.0, 3
_METADATA = ("169.254.169.254", 80)
_YES = ("1", "true", "yes")


@lru_cache(maxsize=8)
def file_system(scheme: str, bucket: str) -> Any:
    """What pyarrow opens a store with, made once a process.

    Raises:
        InputError: a variable is wrong.
        OSError: the region of a bucket cannot be found.
    """
    from pyarrow import fs

    if scheme == "file":
        return fs.LocalFileSystem()
    return _gcs() if scheme == "gs" else _s3(bucket)


def _s3(bucket: str) -> Any:
    from pyarrow import fs

    given: dict[str, Any] = {
        "connect_timeout": _CONNECT_S,
        "request_timeout": _ANSWER_S,
        "retry_strategy": fs.AwsStandardS3RetryStrategy(max_attempts=_N_TRIES),
        # One request for a small object, in place of three.
        "allow_delayed_open": True,
    }
    scheme, host = "https", f"{bucket}.s3.amazonaws.com"
    if endpoint := s3_endpoint():
        scheme, host = endpoint
        given |= {"scheme": scheme, "endpoint_override": host}
    if os.environ.get("AWS_NO_SIGN_REQUEST", "").lower() in _YES:
        given["anonymous"] = True
    proxy = getproxies().get(scheme)
    if proxy and not proxy_bypass(host.rpartition(":")[0] or host):
        given["proxy_options"] = proxy
    _spare_metadata()
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not region:
        region = "us-east-1" if endpoint else fs.resolve_s3_region(bucket)
    return fs.S3FileSystem(region=region, **given)


def s3_endpoint() -> tuple[str, str] | None:
    """Scheme and host of AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, which Arrow does not look at itself."""
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        if text := os.environ.get(name):
            parts = urlsplit(text)
            if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/"):
                raise InputError(f"{name}={text}: expected http://HOST:PORT or https://HOST")
            return parts.scheme, parts.netloc
    return None


def has_credentials() -> bool:
    """Whether anything says who asks: the environment or a profile; a machine of the cloud is not asked."""
    names = (
        "AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    )  # fmt: skip
    return any(os.environ.get(name) for name in names) or any(map(_has_profile, _profiles()))


def _profiles() -> list[Path]:
    said = {"AWS_SHARED_CREDENTIALS_FILE": "credentials", "AWS_CONFIG_FILE": "config"}
    return [Path(os.environ.get(name) or Path("~/.aws").expanduser() / file) for name, file in said.items()]


def _has_profile(path: Path) -> bool:
    found = configparser.ConfigParser(interpolation=None)
    try:
        found.read(path)
    except (configparser.Error, OSError, UnicodeDecodeError):
        return False
    keys = {"aws_access_key_id", "role_arn", "credential_process", "sso_session", "sso_start_url"}
    return any(keys & {*found[section]} for section in found.sections())


def _spare_metadata() -> None:
    """Amazon's SDK asks the metadata service of a machine for credentials, for long where there is no such service."""
    name = "AWS_EC2_METADATA_DISABLED"
    if name in os.environ:
        return
    if not has_credentials():
        try:
            with socket.create_connection(_METADATA, timeout=1.0):
                return
        except OSError:
            pass
    os.environ[name] = "true"


def _gcs() -> Any:
    from pyarrow import fs

    given: dict[str, Any] = {"retry_time_limit": timedelta(seconds=_N_TRIES * _ANSWER_S)}
    if text := os.environ.get("STORAGE_EMULATOR_HOST"):
        parts = urlsplit(text if "://" in text else f"http://{text}")
        given |= {"scheme": parts.scheme, "endpoint_override": parts.netloc, "anonymous": True}
    return fs.GcsFileSystem(**given)
