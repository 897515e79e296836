"""The fused kernel without a GPU: what it computes, by Triton's interpreter; what it takes of one, by its compiler."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from policies.lstm.backends import fused
from policies.lstm.backends.registry import BACKENDS
from policies.models.top import Choosing
from simulator.errors import InputError
from tests.compiled_fused import shaped

ROOT = Path(__file__).parent.parent


needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed: it is for Linux")


def alone(*call: str, **environment: str) -> str:
    """What a process of its own says: Triton takes the environment as it is when it is imported."""
    without = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-m", *call], cwd=ROOT, env=without | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_triton
def test_it_computes_what_the_compiled_backend_does() -> None:
    options = ("-q", "--noconftest", "-p", "no:xdist", "-p", "no:cacheprovider", "-p", "no:benchmark")
    assert " passed" in alone("pytest", *options, "tests/interpreted_fused.py", TRITON_INTERPRET="1")


@needs_triton
def test_nothing_is_spilled() -> None:
    """On each GPU for which it is compiled; the numbers stand in docs/log.md."""
    rows = [json.loads(line) for line in alone("tests.compiled_fused").splitlines()]
    assert {row["capability"] for row in rows} == {80, 90, 100}
    for row in rows:
        assert (row["stack"], row["local"]) == (0, 0), row
        # A processor has 65,536 registers, and a thread of it 255.
        assert 0 < row["reg"] <= min(255, 2**16 // 32 // row["warps"]), row


@pytest.mark.parametrize(
    ("layers", "hidden", "widths", "named"), [(1, 257, (9,), "hidden"), (1, 8, (2, 65537), "vocab")]
)
def test_larger_networks_are_refused(layers: int, hidden: int, widths: tuple[int, ...], named: str) -> None:
    """Before anything is put on a device: ``auto`` then does without it."""
    with pytest.raises(InputError, match=rf"{named}.* up to [0-9,]+, but this one's is [0-9,]+; expected cuda_graph"):
        fused.Fused(shaped(layers, hidden, widths))


def test_what_it_lacks_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "missing_cuda", lambda: None)
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda: (7, 5))
    with pytest.raises(InputError, match=r"'triton' cannot be used: it needs a GPU of compute capability 8.0"):
        BACKENDS.named("triton", "cuda")
    monkeypatch.setattr(fused, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="'triton' cannot be used: Triton is not installed"):
        BACKENDS.named("triton", "cuda")


def test_fields_that_were_chosen_apart_are_joined_as_scores_are() -> None:
    """The best of two fields, from their scores and from the best of each: of three offsets two are known."""
    scores = np.random.default_rng(0).normal(size=9).astype(np.float32)
    choosing = Choosing(np.array([6, 3]), 0.7, 4)
    apart = [Choosing(choosing.widths[i : i + 1], 0.7, 4).of(part) for i, part in enumerate((scores[:6], scores[6:]))]
    classes, sure = np.zeros((2, 4), np.int64), np.zeros((2, 4))
    for i, (found, its) in enumerate(apart):
        classes[i, : len(found)], sure[i, : len(found)] = found[:, 0], its
    joined, confidences = choosing.of_fields(classes, sure)
    expected, its = choosing.of(scores)
    np.testing.assert_array_equal(joined, expected)
    np.testing.assert_array_equal(confidences, its)
    assert len(expected) == 4
