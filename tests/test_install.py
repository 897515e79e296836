"""What uv is told of pip's configuration, and when pip installs instead."""

import subprocess
from typing import Any

import pytest

from tools import install


def test_what_uv_is_told() -> None:
    listed = """global.index-url='https://one.example/simple'
global.extra-index-url='file:///a file:///b'
global.find-links='\\n/wheels\\n/more'
install.constraint='/c.txt'
:env:.cert='/cert.pem'
:env:.index-url='https://two.example/simple'
global.disable-pip-version-check='1'
global.default-timeout='180'
download.progress-bar='off'
"""
    assert install.uv_environment(listed, {"UV_INDEX": "mine", "HOME": "/root"}) == {
        "UV_DEFAULT_INDEX": "https://two.example/simple", "UV_INDEX": "mine", "UV_FIND_LINKS": "/wheels,/more",
        "UV_CONSTRAINT": "/c.txt", "SSL_CERT_FILE": "/cert.pem", "UV_HTTP_TIMEOUT": "180",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }  # fmt: skip
    assert install.uv_environment("", {}) == {"UV_INDEX_STRATEGY": "unsafe-best-match"}


@pytest.mark.parametrize("setting", ["no-binary='torch'", "require-hashes='1'", "target='/somewhere'"])
def test_what_uv_cannot_be_told(setting: str) -> None:
    assert install.uv_environment(f"global.{setting}", {}) is None


@pytest.mark.parametrize("failing", ["nothing", "uv to be had", "uv", "uv's understanding"])
def test_pip_installs_where_uv_cannot(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], failing: str
) -> None:
    called: list[str] = []

    def run(call: list[str], **_: Any) -> Any:
        kind = "config" if "config" in call else "uv to be had" if call[-1] == "uv" else call[0].rsplit("/", 1)[-1]
        called.append(kind)
        listed = "global.target='/somewhere'\n" if failing == "uv's understanding" else ""
        return subprocess.CompletedProcess(call, int(kind == failing), listed)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(install, "_keep_bytecode", lambda: called.append("bytecode"))
    monkeypatch.setattr(install.Path, "exists", lambda self: False)
    monkeypatch.setattr(install.sys, "executable", "/v/bin/python")
    expected = {
        "nothing": ["config", "uv to be had", "uv", "bytecode"],
        "uv to be had": ["config", "uv to be had", "python"],
        "uv": ["config", "uv to be had", "uv", "python"],
        "uv's understanding": ["config", "python"],
    }[failing]
    assert install.main([".[dev]"]) == 0
    assert called == expected
    assert ("without uv" in capsys.readouterr().out) == (failing != "nothing")
