"""Experts: those that the model ran, whatever its router's outputs look like; and what cannot be told is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import tierfetch
from tests.recorded import STEP, Experts, rows_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trace.parquet"


@given(n_experts=st.integers(2, 9), n_tokens=st.integers(1, 5), ties=st.booleans(), data=st.data())
def test_they_are_those_that_ran(
    tmp_path_factory: pytest.TempPathFactory, n_experts: int, n_tokens: int, ties: bool, data: st.DataObject
) -> None:
    top_k = data.draw(st.integers(1, n_experts))
    moe = Experts(4, n_experts, top_k)
    path = tmp_path_factory.mktemp("experts") / "t.parquet"
    if ties:
        nn.init.zeros_(moe.gate.weight)
        nn.init.zeros_(moe.gate.bias)
    with tierfetch.Recorder(path) as r, torch.no_grad():
        r.experts(moe.gate, top_k=top_k, layer=0, bytes=100)
        moe(torch.rand(n_tokens, 4))
        moe(torch.rand(n_tokens, 4))
    rows = rows_of(path)
    assert rows["id"].tolist() == moe.ran
    assert rows["token"].tolist() == [token for token in range(n_tokens) for _ in range(top_k)] * 2


def test_each_layer_has_keys_of_its_own(path: Path) -> None:
    layers = [Experts() for _ in range(3)]
    with tierfetch.Recorder(path) as r:
        for number, layer in enumerate(layers):
            r.experts(layer.gate, top_k=2, layer=number, expert=layer.experts[0])
        x = torch.rand(2, 8)
        for layer in layers:
            x = layer(x)
    rows = rows_of(path)
    assert rows["key"].tolist() == [STEP * n + expert for n, layer in enumerate(layers) for expert in layer.ran]
    assert rows["layer"].tolist() == [n for n in range(3) for _ in range(4)]
    assert rows["request"].tolist() == rows["layer"].tolist()


def test_distinct_experts_of_a_call(path: Path) -> None:
    """A batch needs each expert once; it is of the token that came first."""
    router = Picks([[3, 1], [1, 2], [3, 0]])
    with tierfetch.Recorder(path) as r:
        r.experts(router, select=lambda found: found, layer=0, bytes=10, distinct=True)
        router(torch.zeros(1))
    rows = rows_of(path)
    assert list(zip(rows["id"], rows["token"], strict=True)) == [(3, 0), (1, 0), (2, 1), (0, 2)]


class Picks(nn.Module):
    """A router that gives what it is told to."""

    def __init__(self, picks: Any) -> None:
        super().__init__()
        self.picks = picks

    def forward(self, x: Tensor) -> Any:
        return self.picks


SCORES = torch.tensor([[0.1, 0.7, 0.2], [0.5, 0.1, 0.4]])
PICKS = torch.tensor([[1, 2], [0, 2]])


@pytest.mark.parametrize(
    ("found", "settings", "want"),
    [
        (SCORES, {"top_k": 2}, [1, 2, 0, 2]),
        (SCORES.view(1, 2, 3), {"top_k": 1}, [1, 0]),
        ((SCORES, PICKS), {"top_k": 2}, [1, 2, 0, 2]),
        ((PICKS, SCORES, SCORES * 2), {"top_k": 2, "output": 1}, [1, 2, 0, 2]),
        ((PICKS, SCORES, SCORES * 2), {"top_k": 2, "output": -1}, [1, 2, 0, 2]),
        ((SCORES, SCORES, PICKS), {"select": lambda found: found[2]}, [1, 2, 0, 2]),
        ({"picks": PICKS}, {"select": lambda found: found["picks"][:, 0]}, [1, 0]),
        (SCORES, {"select": lambda found: [[2], [1]]}, [2, 1]),
    ],
)
def test_forms_of_routers(path: Path, found: Any, settings: Any, want: list[int]) -> None:
    router = Picks(found)
    with tierfetch.Recorder(path) as r:
        r.experts(router, layer=0, bytes=10, **settings)
        router(torch.zeros(1))
    assert rows_of(path)["id"].tolist() == want


@pytest.mark.parametrize(
    ("found", "settings", "message"),
    [
        ((SCORES, SCORES), {"top_k": 2}, r"tuple of float32\[2, 3\], float32\[2, 3\]; expected one tensor of scores"),
        (PICKS, {"top_k": 2}, r"gives int64\[2, 2\]; expected one tensor of scores"),
        ({"a": SCORES}, {"top_k": 2}, "gives dict; expected one tensor of scores"),
        (SCORES, {"top_k": 4}, r"scores of shape \[2, 3\]; expected 4 experts or more"),
        (SCORES, {"top_k": 2, "output": 1}, r"gives float32\[2, 3\]; expected more outputs \(output=1\)"),
        ((SCORES,), {"top_k": 2, "output": 1}, r"tuple of float32\[2, 3\]; expected more outputs \(output=1\)"),
        (SCORES, {"select": lambda found: found}, r"select gave ids of torch\.float32; expected whole numbers"),
        (SCORES, {"select": lambda found: None}, "select gave NoneType"),
    ],
)
def test_what_cannot_be_told_is_refused(path: Path, found: Any, settings: Any, message: str) -> None:
    # What was recorded before is kept.
    with pytest.raises((ValueError, TypeError), match=message):
        record_one(path, Picks(found), **settings)
    assert len(rows_of(path)) == 2


def record_one(path: Path, router: nn.Module, **settings: Any) -> None:
    with tierfetch.Recorder(path) as r:
        r.kv([1, 2], block_tokens=1, bytes_per_token=1)
        r.experts(router, **{"layer": 0, "bytes": 10, **settings})
        router(torch.zeros(1, 2))


def test_ids_that_are_none(path: Path) -> None:
    """Seen by the thread that writes; whoever records is told."""
    with pytest.raises(ValueError, match="experts 'layer 0': id -1; expected 0 to 17592186044415"):
        record_one(path, Picks(torch.tensor([[-1]])), select=lambda found: found)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({}, ValueError, r"top_k=None, select=None; expected one of the two"),
        ({"top_k": 2, "select": len, "bytes": 1}, ValueError, "expected one of the two"),
        ({"top_k": 0, "bytes": 1}, ValueError, "top_k=0; expected 1 or more"),
        ({"top_k": 2.0, "bytes": 1}, TypeError, r"top_k=2\.0; expected a whole number"),
        ({"top_k": 2}, ValueError, "expected bytes=, the size of an expert, or expert="),
        ({"top_k": 2, "bytes": 0}, ValueError, "0 bytes each; expected 1 to"),
        ({"top_k": 2, "bytes": "4 KiB"}, TypeError, "bytes='4 KiB'; expected a whole number"),
        ({"top_k": 2, "expert": nn.ReLU()}, ValueError, r"expert=ReLU\(\.\.\.\): has no weights"),
        ({"top_k": 2, "expert": 3}, TypeError, "expert=3; expected a torch.nn.Module"),
        ({"top_k": 2, "bytes": 1, "layer": -1}, ValueError, "layer=-1; expected a whole number"),
        ({"select": 3, "bytes": 1}, TypeError, "select=3; expected a function"),
        ({"top_k": 2, "bytes": 1, "output": "x"}, TypeError, "output='x'; expected a whole number"),
        ({"select": len, "bytes": 1, "output": 0}, ValueError, "output=0; expected it with top_k alone"),
    ],
)
def test_arguments_that_do_not_fit(path: Path, settings: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        record_one(path, nn.Linear(2, 3), **{"bytes": None, **settings})


def test_a_router_is_recorded_once(path: Path) -> None:
    gate = nn.Linear(2, 3)
    with tierfetch.Recorder(path) as r:
        r.experts(gate, top_k=1, layer=0, bytes=10)
        with pytest.raises(ValueError, match="Linear: is recorded already; expected each module once"):
            r.experts(gate, top_k=1, layer=1, bytes=10)
        gate(torch.zeros(1, 2))
    assert len(rows_of(path)) == 1
