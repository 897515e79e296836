"""Look-ups by function, and models that are compiled: the right ids once each, or a clear no."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import tierfetch
from tests.recorded import STEP, Model, legend_of, rows_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trace.parquet"


class Stacked(nn.Module):
    """Three tables in one tensor, a table by itself, and one that is no parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = nn.Parameter(torch.rand(3, 10, 4))
        self.alone = nn.Parameter(torch.rand(20, 4))
        self.register_buffer("fixed", torch.rand(5, 4))

    def forward(self, ids: Tensor) -> Tensor:
        out = F.embedding(ids, self.alone) + F.embedding(ids % 5, self.fixed)  # type: ignore[arg-type]
        for table in self.stack:
            out = out + F.embedding(ids % 10, table)
        return out


def test_functions_on_weights_of_a_model(path: Path) -> None:
    model = Stacked()
    with tierfetch.Recorder(path, functional=True) as r:
        r.embeddings(model, name="m")
        model(torch.tensor([7, 12])).sum().backward()
    rows = rows_of(path)
    assert rows["key"].tolist() == [7, 12, *(STEP + i for i in (2, 2)), *(2 * STEP + i for i in (7, 2, 17, 12, 27, 22))]
    assert {name: space["n_ids"] for name, space in legend_of(path).items()} == {
        "m.alone": 20,
        "m.fixed": 5,
        "m.stack": 30,
    }


def test_modules_count_once(path: Path) -> None:
    """A module's look-up is one by function, too; a router's hook beside them stays a hook."""
    model = Model()
    with tierfetch.Recorder(path, functional=True) as r:
        r.embeddings(model)
        r.experts(model.moe.gate, top_k=2, layer=0, bytes=10)
        model(torch.tensor([5, 6, 7]), torch.tensor([0, 1]), torch.tensor([8, 9]))
        F.embedding(torch.tensor([3]), model.tok.weight)
    rows = rows_of(path)
    by_name = {name: rows[rows["space"] == space["number"]] for name, space in legend_of(path).items()}
    assert by_name["bag"]["id"].tolist() == [5, 6, 7]
    assert by_name["bag"]["token"].tolist() == [0, 1, 1]
    assert by_name["tok"]["id"].tolist() == [8, 9, 3]
    assert by_name["layer 0"]["id"].tolist() == model.moe.ran


@given(
    lengths=st.lists(st.integers(0, 3), min_size=1, max_size=5), last_ends=st.booleans(),
    padding=st.sampled_from([None, 0, -1]), learns=st.booleans(), by_module=st.booleans(), data=st.data(),
)  # fmt: skip
def test_bags_by_function_are_those_of_modules(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], last_ends: bool, padding: int | None, learns: bool,
    by_module: bool, data: st.DataObject,
) -> None:  # fmt: skip
    n = sum(lengths)
    ids = torch.tensor(data.draw(st.lists(st.integers(0, 9), min_size=n, max_size=n)), dtype=torch.int64)
    starts = [0, *torch.tensor(lengths).cumsum(0).tolist()]
    offsets = torch.tensor(starts if last_ends else starts[:-1])
    bag = nn.EmbeddingBag(10, 3, mode="sum", include_last_offset=last_ends, padding_idx=padding)
    folder, found = tmp_path_factory.mktemp("bags"), []
    for functional in (False, True):
        path = folder / f"{functional}.parquet"
        with tierfetch.Recorder(path, functional=functional) as r, torch.set_grad_enabled(learns):
            r.embeddings(bag)
            # So that something is read in any case.
            bag(torch.tensor([[1]] if not last_ends else [1]), torch.tensor([0, 1]) if last_ends else None)
            if by_module or not functional:
                bag(ids, offsets)
            else:
                settings = {"mode": "sum", "include_last_offset": last_ends, "padding_idx": padding}
                F.embedding_bag(ids, bag.weight, offsets, **settings)
        found.append(rows_of(path)[["id", "token"]].values.tolist())
    assert found[0] == found[1]


def test_weights_of_no_model(path: Path) -> None:
    model = Stacked()

    def record() -> None:
        with tierfetch.Recorder(path, functional=True) as r:
            r.embeddings(model)
            F.embedding(torch.tensor([1]), torch.rand(3, 4))
            # The same memory, other rows: no row of the table.
            F.embedding(torch.tensor([1]), model.alone.view(10, 8))
            F.embedding(torch.tensor([2]), model.alone[3:])

    with pytest.warns(UserWarning, match="left out, as in weights of no recorded model: 2 "):
        record()
    assert rows_of(path)["id"].tolist() == [5]


def test_a_model_that_moves(path: Path) -> None:
    """Its weights are found where they lie now, and nothing else is that lies where they were."""
    model = Stacked()

    def record() -> None:
        with tierfetch.Recorder(path, functional=True) as r:
            r.embeddings(model)
            model(torch.tensor([1]))
            before = model.alone.data
            model.double()
            model(torch.tensor([2]))
            model.alone.data = torch.rand(20, 4)
            F.embedding(torch.tensor([3]), before)
            F.embedding(torch.tensor([4]), model.alone)

    with pytest.warns(UserWarning, match="left out, as in weights of no recorded model: 1 "):
        record()
    rows = rows_of(path)
    assert rows[rows["space"] == 0]["id"].tolist() == [1, 2, 4]


class Small(nn.Module):
    """Something to compile."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(50, 8)
        self.gate = nn.Linear(8, 4)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.table(ids) * 2
        weights, _ = self.gate(x).topk(2, -1)
        return x + weights.sum(-1, keepdim=True)


def watch(r: tierfetch.Recorder, model: Any) -> None:
    r.embeddings(model)
    r.experts(model.gate, top_k=2, layer=0, bytes=10)


@pytest.mark.parametrize("order", ["hooks first", "compiled first", "called before", "another called before"])
@pytest.mark.parametrize("functional", [False, True])
def test_compiled_models(path: Path, order: str, functional: bool) -> None:
    torch.manual_seed(0)
    model, want = Small(), []
    compiled: Any = None
    if order == "another called before":
        torch.compile(Small(), backend="eager")(torch.tensor([1]))
    elif order != "hooks first":
        compiled = torch.compile(model, backend="eager")
        if order == "called before":
            compiled(torch.tensor([1]))
    with tierfetch.Recorder(path, functional=functional) as r, torch.no_grad():
        watch(r, model if compiled is None else compiled)
        compiled = torch.compile(model, backend="eager") if compiled is None else compiled
        for step in range(3):
            ids = torch.tensor([step, 2 * step])
            compiled(ids)
            picks = model.gate(model.table.weight[ids] * 2).topk(2, -1).indices.reshape(-1).tolist()
            want += [*ids.tolist(), *(STEP + pick for pick in picks)]
            # What was asked of the gate here counts, too.
            want += [STEP + pick for pick in picks]
    legend = legend_of(path)
    first = {legend[name]["number"]: n for n, name in enumerate(("table", "layer 0"))}
    rows = rows_of(path)
    assert [first[space] * STEP + of for space, of in zip(rows["space"], rows["id"], strict=True)] == want
    assert list(legend) == (["layer 0", "table"] if functional else ["table", "layer 0"])
    # Afterwards nothing is left of it: one graph without a break.
    assert torch.compile(model, backend="eager", fullgraph=True)(ids).shape == (2, 8)


def test_a_graph_without_breaks_is_refused(path: Path) -> None:
    """PyTorch says so itself: hooks are not traced, and ``fullgraph`` forbids to leave the graph for them."""

    def record() -> None:
        model = Small()
        with tierfetch.Recorder(path) as r:
            watch(r, model)
            torch.compile(model, backend="eager", fullgraph=True)(torch.tensor([1]))

    with pytest.raises(torch._dynamo.exc.Unsupported, match="disable"):
        record()
