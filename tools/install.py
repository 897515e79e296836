"""Installs into the environment whose Python runs it: ``tools/install.py REQUIREMENT ...``, what ``make`` calls.

With uv, which takes a tenth of pip's time, and with pip where uv cannot be had or fails. uv does not read pip's
configuration: what that says of indexes, links, certificates and constraints is handed on, and where it says something
else pip is asked itself. Nothing here needs a package.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

CONSTRAINTS = "constraints.txt"
# How uv takes several of pip's values, which are apart by white space.
_AS_ENVIRONMENT = {
    "index-url": ("UV_DEFAULT_INDEX", " "),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "constraint": ("UV_CONSTRAINT", " "),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "cert": ("SSL_CERT_FILE", " "),
    "client-cert": ("SSL_CLIENT_CERT", " "),
    "proxy": ("ALL_PROXY", " "),
    "timeout": ("UV_HTTP_TIMEOUT", " "),
    "default-timeout": ("UV_HTTP_TIMEOUT", " "),
}
# Says how pip looks and waits, not what it installs.
_OF_NO_ACCOUNT = {
    "cache-dir", "disable-pip-version-check", "no-cache-dir", "no-color", "no-input", "no-python-version-warning",
    "progress-bar", "quiet", "require-virtualenv", "retries", "root-user-action", "verbose",
}  # fmt: skip
# What a first run imports, in two processes side by side. uv compiles nothing: to compile all that is installed takes a
# minute, these ten seconds.
_IMPORTED = (
    "torch",
    "numba, pandas, scipy.stats, pyarrow.parquet, pyarrow.csv, pydantic, yaml, rich.progress, typer, simpy",
)


def uv_environment(listed: str, own: Mapping[str, str]) -> dict[str, str] | None:
    """What uv should know of pip's configuration, as ``pip config list`` prints it; None if it cannot be told.

    ``own``: the environment, whose variables for uv go before those made here.
    """
    values: dict[str, str] = {}
    # A command's own settings go before those of all commands, and the environment before both.
    rank = {"global": 0, "install": 1, ":env:": 2}
    lines = [line.partition("=") for line in listed.splitlines() if "=" in line]
    known = [(rank[section], name, ast.literal_eval(text)) for key, _, text in lines
             for section, _, name in [key.partition(".")] if section in rank]  # fmt: skip
    for _, name, value in sorted(known):
        values[name.replace("_", "-")] = value
    # pip takes the best of all indexes, uv that of the first one that has the package at all.
    found = {"UV_INDEX_STRATEGY": "unsafe-best-match"}
    for name, value in values.items():
        if name in _AS_ENVIRONMENT:
            variable, between = _AS_ENVIRONMENT[name]
            found[variable] = between.join(value.split())
        elif name == "no-index":
            found["UV_NO_INDEX"] = value
        elif name not in _OF_NO_ACCOUNT and value:
            return None
    return {**found, **{name: value for name, value in own.items() if name in found}}


def _pip(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pip", *arguments]


def _with_uv(requirements: list[str]) -> bool:
    """Whether it could."""
    listed = subprocess.run(_pip("config", "list"), capture_output=True, text=True, check=False).stdout
    environment = uv_environment(listed, os.environ)
    if environment is None:
        return False
    # In the environment, as an option on the command line would go before what is there.
    environment["UV_CONSTRAINT"] = " ".join([CONSTRAINTS, environment.get("UV_CONSTRAINT", "")]).strip()
    uv = Path(sys.executable).with_name("uv")
    if not uv.exists():
        wanted = _pip("install", "--quiet", "--only-binary=uv", "-c", CONSTRAINTS, "uv")
        if subprocess.run(wanted, check=False, capture_output=True).returncode:
            return False
    wanted = [str(uv), "pip", "install", "--quiet", "--python", sys.executable, *requirements]
    return subprocess.run(wanted, env={**os.environ, **environment}, check=False).returncode == 0


def _keep_bytecode() -> None:
    """Also where the user's environment says not to keep it: each process would compile torch anew."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    imports = [[sys.executable, "-c", f"import {modules}"] for modules in _IMPORTED]
    for process in [subprocess.Popen(call, env=environment) for call in imports]:
        process.wait()


def main(arguments: list[str]) -> int:
    """Install; pip's exit code if it was pip's turn."""
    requirements = [part for one in arguments for part in (("-e", one) if one.startswith(".") else (one,))]
    if _with_uv(requirements):
        _keep_bytecode()
        return 0
    print("without uv: pip takes a minute or two", flush=True)
    by_need = ["--upgrade-strategy", "only-if-needed", "-c", CONSTRAINTS]
    return subprocess.run(_pip("install", "--quiet", *by_need, *requirements), check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
