"""Generators: what each promises of its keys, seeds and batches; and how the formats of files are told."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from simulator.errors import InputError
from simulator.trace import COLUMNS, Batch, concatenate
from workloads.base import GeneratorSettings
from workloads.formats import formats, source_of
from workloads.readers.format import FormatSettings
from workloads.registry import SOURCES

N = 70_000  # more than a batch
EXAMPLES: dict[str, dict[str, Any]] = {
    "sequential": {},
    "strided": {"stride": 3, "n_keys": 100},
    "periodic": {"period": 17, "n_keys": 50},
    "mixed": {"n_keys": 200},
    "random": {"n_keys": 50},
    "zipf": {"n_keys": 50},
    "pointer_chase": {"n_keys": 30},
}


def make(kind: str, seed: int = 0, accesses: int = N, **more: Any) -> Batch:
    raw = {"kind": kind, "accesses": accesses, **EXAMPLES[kind], **more}
    return collect(SOURCES.validate(raw), seed)


def collect(source: Any, seed: int = 0) -> Batch:
    workload = source.build(seed)
    batch = concatenate(list(workload.batches()))
    assert workload.length() == len(batch)
    return batch


def test_every_generator_has_an_example() -> None:
    assert set(EXAMPLES) == {kind for kind, config in SOURCES.items() if issubclass(config, GeneratorSettings)}


@pytest.mark.parametrize("kind", EXAMPLES)
def test_contract(kind: str) -> None:
    a, b = make(kind, first_key=1000, block="8 KiB", write_ratio=0.25), make(kind, first_key=1000, block="8 KiB")
    # The keys do not depend on anything but seed and kind: not on writes, not on how often they are asked for.
    assert np.array_equal(a.key, b.key)
    assert a.op.mean() == pytest.approx(0.25, abs=0.02)
    assert b.op.sum() == 0
    assert (a.size_bytes == 8192).all()
    assert np.array_equal(a.request, np.arange(N))
    assert a.key.min() >= 1000
    for name, dtype in COLUMNS.items():
        assert getattr(a, name).dtype == dtype
    # A longer trace starts with the shorter one.
    assert np.array_equal(make(kind, accesses=100).key, make(kind).key[:100])


@pytest.mark.parametrize("kind", ["periodic", "mixed", "random", "zipf", "pointer_chase"])
def test_seeds_matter(kind: str) -> None:
    assert not np.array_equal(make(kind, 0).key, make(kind, 1).key)


def test_sequential_and_strided() -> None:
    assert np.array_equal(make("sequential", first_key=5).key, np.arange(5, 5 + N))
    assert np.array_equal(make("strided").key, 3 * (np.arange(N) % 100))


def test_periodic_repeats() -> None:
    keys = make("periodic").key
    assert np.array_equal(keys[17:], keys[:-17])
    assert keys.max() < 50


def test_mixed_steps_in_its_ratio() -> None:
    keys = make("mixed", next_ratio=0.7).key.astype(int)
    follows = (keys[1:] - keys[:-1]) % 200 == 1
    # 70 % and, of the jumps, one in 200 by luck.
    assert follows.mean() == pytest.approx(0.7 + 0.3 / 200, abs=0.006)
    assert np.bincount(keys, minlength=200).min() > 0
    assert (np.diff(make("mixed", next_ratio=1.0).key.astype(int)) % 200 == 1).all()


def test_random_is_uniform_and_zipf_is_not() -> None:
    counts = np.bincount(make("random").key.astype(int), minlength=50)
    expected = N / 50
    chi2 = ((counts - expected) ** 2 / expected).sum()
    assert chi2 < 100  # 49 degrees of freedom
    counts = np.sort(np.bincount(make("zipf").key.astype(int), minlength=50))[::-1]
    harmonic = (1 / np.arange(1, 51)).sum()
    assert counts[0] / N == pytest.approx(1 / harmonic, rel=0.03)
    assert counts[9] / N == pytest.approx(0.1 / harmonic, rel=0.1)


def test_pointer_chase_is_one_cycle() -> None:
    keys = make("pointer_chase").key.tolist()
    assert sorted(keys[:30]) == list(range(30))
    assert keys[30:60] == keys[:30]


def test_pointer_chase_spacing() -> None:
    assert set(make("pointer_chase", spacing=8, first_key=5).key.tolist()) == set(range(5, 5 + 240, 8))


def phase(kind: str, accesses: int, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "accesses": accesses, **EXAMPLES[kind], **more}


def test_phases_go_on_where_they_stopped() -> None:
    raw = {"kind": "phases", "rounds": 3, "phases": [phase("sequential", 7), phase("sequential", 5, first_key=100)]}
    batch = collect(SOURCES.validate(raw))
    assert batch.key.tolist() == [0, 1, 100, 2, 3, 101, 102, 4, 5, 6, 103, 104]
    assert batch.request.tolist() == list(range(12))


def test_interleave_takes_turns_on_streams_of_their_own() -> None:
    raw = {"kind": "interleave", "parts": [phase("sequential", 4), phase("sequential", 2, first_key=100)]}
    batch = collect(SOURCES.validate(raw))
    assert batch.key.tolist() == [0, 100, 1, 101, 2, 3]
    assert batch.stream.tolist() == [0, 1, 0, 1, 0, 0]
    assert len(set(batch.request.tolist())) == 6


def test_alike_parts_differ() -> None:
    raw = {"kind": "interleave", "parts": [phase("random", 100), phase("random", 100)]}
    batch = collect(SOURCES.validate(raw))
    assert not np.array_equal(batch.key[batch.stream == 0], batch.key[batch.stream == 1])


def test_blocks_get_one_size_and_all_else_stays() -> None:
    drawn = {"kind": "zipf", "accesses": 50, "n_keys": 5, "write_ratio": 0.3}
    parts = [{**drawn, "block": size} for size in ("1 KiB", "3 B")]
    other = {"kind": "phases", "rounds": 2, "phases": parts}
    settings = SOURCES.validate({"kind": "resized", "source": other, "block": "4 KiB"})
    found, before = collect(settings), collect(SOURCES.validate(other))
    assert (set(found.size_bytes.tolist()), set(before.size_bytes.tolist())) == ({4096}, {1024, 3})
    for name in set(COLUMNS) - {"size_bytes"}:
        assert np.array_equal(getattr(found, name), getattr(before, name))
    assert settings.build(0).phases() == SOURCES.validate(other).build(0).phases()  # type: ignore[attr-defined]


def test_a_slice_is_a_piece_of_the_whole() -> None:
    whole = {"kind": "interleave", "parts": [{"kind": "zipf", "accesses": 500, "n_keys": 50, "block": "1 KiB"}] * 2}
    all_of_it = collect(SOURCES.validate(whole))
    for first, accesses in ((0, 10), (990, 10), (3, 10_000)):
        found = collect(SOURCES.validate({"kind": "slice", "source": whole, "first": first, "accesses": accesses}))
        for name in COLUMNS:
            assert np.array_equal(getattr(found, name), getattr(all_of_it, name)[first : first + accesses])
    with pytest.raises(InputError, match=r"source\.first: 1000 is past the trace's 1000 accesses"):
        SOURCES.validate({"kind": "slice", "source": whole, "first": 1000, "accesses": 1}).build(0).length()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.oracleGeneral.bin", "oracle_general"), ("a.vscsi", "vscsi"), ("a.csv", "table"), ("address.csv", "table"),
        ("a.tsv", "table"), ("cache2k.trace.xz", "binary_ids"), ("address.trace.gz", "addresses"), ("a.trace", "ids"),
        ("a.ids", "ids"),
    ],
)  # fmt: skip
def test_a_format_is_told_by_its_name(tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / name).write_bytes(b"key\n1\n")
    found = source_of(tmp_path / name)
    assert found.kind == kind
    assert found.files() == [tmp_path / name]
    assert not found.depends_on_seed


def test_a_converted_trace_is_one_whatever_its_name(tmp_path: Path) -> None:
    from experiments import trace

    (tmp_path / "a.ids").write_text("1\n2\n")
    out = tmp_path / "a.oracleGeneral.parquet"
    assert CliRunner().invoke(trace.app, ["convert", str(tmp_path / "a.ids"), str(out)]).exit_code == 0
    assert source_of(out).kind == "compact"


def test_every_format_can_be_told() -> None:
    """By its name, or by a look into the file."""
    by_name = FormatSettings.recognises.__func__  # type: ignore[attr-defined]
    for settings in formats().values():
        assert settings.name_parts or settings.recognises.__func__ is not by_name  # type: ignore[attr-defined]
