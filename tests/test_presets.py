"""What all published formats have in common: an example that is read, a source, and no two that claim one file."""

from pathlib import Path
from typing import Any

import pytest

from simulator.trace import concatenate
from workloads.formats import formats
from workloads.readers.record_table import RecordTable
from workloads.readers.row_format import PresetFormat
from workloads.registry import SOURCES

PRESETS = {kind: settings for kind, settings in formats().items() if issubclass(settings, PresetFormat)}


def is_text(settings: type[PresetFormat], kind: str, path: Path) -> bool:
    """Whether an example can be shown as it is in a file."""
    return not settings.preset.example.startswith("binary:") and not isinstance(made(kind, path).table(), RecordTable)


def made(kind: str, path: Path) -> Any:
    return SOURCES.validate({"kind": kind, "path": str(path)})


@pytest.mark.parametrize("kind", PRESETS)
def test_the_example_is_read(kind: str, tmp_path: Path) -> None:
    """Each line of it that is no line of names, nor left out with a reason, is a request or more."""
    path = tmp_path / "example.txt"
    path.write_text(PRESETS[kind].preset.example + "\n")
    if not is_text(PRESETS[kind], kind, path):
        assert PRESETS[kind].preset.example.startswith("binary:")
        return
    workload = made(kind, path).build(0)
    accesses = concatenate(list(workload.batches()))
    n_lines = len(PRESETS[kind].preset.example.splitlines())
    assert len(accesses) >= 1
    assert n_lines - 1 <= workload.reading.n_rows <= n_lines


@pytest.mark.parametrize("kind", PRESETS)
def test_it_says_where_it_is_described(kind: str) -> None:
    preset = PRESETS[kind].preset
    assert len(preset.source) > 10
    first = (PRESETS[kind].__doc__ or "").strip().splitlines()[0]
    assert len(first) > 20
    assert first.endswith(".")


def test_no_two_formats_claim_one_file(tmp_path: Path) -> None:
    """By its example, under a name that says nothing: its own format alone knows it."""
    claimed: dict[str, list[str]] = {}
    for kind, settings in PRESETS.items():
        path = tmp_path / f"{kind}.data"
        path.write_text(settings.preset.example + "\n")
        if is_text(settings, kind, path):
            claimed[kind] = [other for other, its in PRESETS.items() if its.recognises(path)]
    wrong = {kind: others for kind, others in claimed.items() if set(others) - {kind}}
    assert not wrong
