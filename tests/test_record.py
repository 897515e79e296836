"""The ids in a recording are those that the model has used, in its order, with the sizes that rows have."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import tierfetch
from tests.recorded import NONE, STEP, Model, legend_of, rows_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trace.parquet"


def test_a_whole_model(path: Path) -> None:
    torch.manual_seed(0)
    model, want = Model(), []
    with tierfetch.Recorder(path) as r:
        r.embeddings(model)
        r.experts(model.moe.gate, top_k=2, layer=7, expert=model.moe.experts[0])
        for _ in range(20):
            ids, tokens, before = torch.randint(0, 1000, (12,)), torch.randint(0, 300, (4,)), len(model.moe.ran)
            model(ids, torch.tensor([0, 3, 3, 9]), tokens)
            want += ids.tolist() + [STEP + token for token in tokens.tolist()]
            want += [2 * STEP + expert for expert in model.moe.ran[before:]]
    rows = rows_of(path)
    assert rows["key"].tolist() == want
    assert rows.groupby("space")["size_bytes"].unique().map(list).tolist() == [[32], [32], [288]]
    assert rows.groupby("space")["layer"].unique().map(list).tolist() == [[NONE], [NONE], [7]]
    assert rows.groupby("space")["table"].unique().map(list).tolist() == [[0], [1], [NONE]]
    # Each call is a request of its own, three to a pass; times do not go back.
    assert rows["request"].tolist() == np.repeat(np.arange(60), np.tile([12, 4, 8], 20)).tolist()
    assert rows["time_ns"].is_monotonic_increasing
    assert rows["time_ns"].iloc[0] == 0
    assert (rows["stream"] == 0).all()
    assert (rows["op"] == 0).all()
    assert rows["token"].tolist()[:24] == [0, 0, 0, *[2] * 6, 3, 3, 3, 0, 1, 2, 3, 0, 0, 1, 1, 2, 2, 3, 3]
    legend = legend_of(path)
    assert {name: space["first_key"] for name, space in legend.items()} == {"bag": 0, "tok": STEP, "layer 7": 2 * STEP}
    assert [space["n_accesses"] for space in legend.values()] == [240, 80, 160]
    assert [space["n_ids"] for space in legend.values()] == [1000, 300, None]


def test_a_config_runs_on_it(path: Path) -> None:
    table = nn.Embedding(64, 16)
    with tierfetch.Recorder(path) as r:
        r.embeddings(table)
        for step in range(300):
            table(torch.tensor([step % 8, 8 + step % 5]))
    system = {
        "tiers": [{"name": "hbm", "capacity": "640 B", "bandwidth": "2 TB/s"}],
        "links": [{"call": "7 us", "bandwidth": "25 GB/s"}],
        "origin": {"kind": "store", "latency": "10 us"},
    }
    books = tierfetch.simulate(system, {"kind": "compact", "path": str(path)}, "markov", arrivals="closed(think=1 ms)")
    assert books.metrics["n_accesses"] == 600
    assert books.metrics["hit_ratio"] > 0.5


@given(
    lengths=st.lists(st.integers(0, 4), min_size=1, max_size=6),
    last_ends=st.booleans(),
    padding=st.sampled_from([None, 3]),
    dtype=st.sampled_from([torch.int32, torch.int64]),
    weighted=st.booleans(),
    by_name=st.booleans(),
    data=st.data(),
)
def test_bags(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], last_ends: bool, padding: int | None,
    dtype: Any, weighted: bool, by_name: bool, data: st.DataObject,
) -> None:  # fmt: skip
    n = sum(lengths)
    ids = torch.tensor(data.draw(st.lists(st.integers(0, 9), min_size=n, max_size=n)), dtype=dtype)
    starts = [0, *np.cumsum(lengths).tolist()]
    offsets = torch.tensor(starts if last_ends else starts[:-1], dtype=dtype)
    bag = nn.EmbeddingBag.from_pretrained(torch.eye(10), mode="sum", include_last_offset=last_ends, padding_idx=padding)
    weights = torch.rand(n) + 0.5 if weighted else None
    path = tmp_path_factory.mktemp("bags") / "t.parquet"
    with tierfetch.Recorder(path) as r:
        r.embeddings(bag)
        # Something is always read, so that there is something to tell.
        bag(torch.tensor([0]), torch.tensor([0, 1] if last_ends else [0]))
        named = {"input": ids, "offsets": offsets, "per_sample_weights": weights}
        out = bag(**named) if by_name else bag(*named.values())
    rows = rows_of(path).iloc[1:]
    want = [
        (token, row)
        for token, (start, length) in enumerate(zip(starts, lengths, strict=False))
        for row in ids[start : start + length].tolist()
        if row != padding
    ]
    assert list(zip(rows["token"], rows["id"], strict=True)) == want
    # The model itself says so: of weights that are ones on the diagonal, a bag's output has its rows.
    for token in range(len(lengths)):
        assert set(out[token].nonzero().reshape(-1).tolist()) == {row for of, row in want if of == token}


def test_bags_in_two_dimensions(path: Path) -> None:
    bag = nn.EmbeddingBag(10, 4, padding_idx=0)
    with tierfetch.Recorder(path) as r:
        r.embeddings(bag)
        bag(torch.tensor([[1, 2, 0], [3, 3, 9]]))
    rows = rows_of(path)
    assert rows["id"].tolist() == [1, 2, 3, 3, 9]
    assert rows["token"].tolist() == [0, 0, 1, 1, 1]


def test_what_is_behind_the_last_bag_is_not_read(path: Path) -> None:
    bag = nn.EmbeddingBag.from_pretrained(torch.eye(10), mode="sum", include_last_offset=True)
    with tierfetch.Recorder(path) as r:
        r.embeddings(bag)
        out = bag(torch.tensor([5, 6, 7, 8]), torch.tensor([0, 1, 3]))
    assert out.nonzero().tolist() == [[0, 5], [1, 6], [1, 7]]
    rows = rows_of(path)
    assert list(zip(rows["token"], rows["id"], strict=True)) == [(0, 5), (1, 6), (1, 7)]


def test_ids_that_change_later(path: Path) -> None:
    """A buffer for the next batch's ids, as loaders have it."""
    table, buffer = nn.Embedding(100, 4), torch.empty(6, dtype=torch.int64)
    with tierfetch.Recorder(path) as r:
        r.embeddings(table)
        for step in range(10):
            buffer.copy_(torch.arange(6) + step)
            table(buffer)
            table(buffer.view(2, 3).T)
            buffer.fill_(99)
    want = [start + step for step in range(10) for start in (*range(6), 0, 3, 1, 4, 2, 5)]
    assert rows_of(path)["id"].tolist() == want


def test_weights_that_are_shared_are_one_table(path: Path) -> None:
    model = nn.ModuleDict({"a": nn.Embedding(5, 2), "b": nn.Embedding(5, 2), "c": nn.Embedding(5, 2)})
    model["b"].weight = model["a"].weight
    with tierfetch.Recorder(path) as r:
        r.embeddings(model, name="draft")
        for table in model.values():
            table(torch.tensor([4]))
    assert rows_of(path)["key"].tolist() == [4, 4, STEP + 4]
    assert list(legend_of(path)) == ["draft.a", "draft.c"]


def test_two_models(path: Path) -> None:
    first, second = nn.Embedding(5, 2), nn.Embedding(5, 2)
    with tierfetch.Recorder(path) as r:
        r.embeddings(first)
        r.embeddings(second)
        second(torch.tensor([1]))
        first(torch.tensor([1]))
    assert rows_of(path)["key"].tolist() == [STEP + 1, 1]
    assert list(legend_of(path)) == ["Embedding", "Embedding (2)"]


@pytest.mark.parametrize(
    ("dtype", "size"), [(torch.float32, 48), (torch.bfloat16, 24), (torch.int8, 12), (torch.float64, 96)], ids=str
)
def test_rows_are_as_large_as_they_are_stored(path: Path, dtype: Any, size: int) -> None:
    table = nn.Embedding(7, 12, _weight=torch.zeros(7, 12, dtype=dtype), _freeze=True)
    with tierfetch.Recorder(path) as r:
        r.embeddings(table)
        table(torch.tensor([6]))
    assert rows_of(path)["size_bytes"].tolist() == [size]


class Packed(Tensor):
    """Weights of four bits with a scale for each row, of which torch sees float32."""

    packed: Tensor
    scale: Tensor

    def __new__(cls, packed: Tensor, scale: Tensor) -> "Packed":
        shape = (len(packed), 2 * packed.shape[1])
        made: Packed = Tensor._make_wrapper_subclass(cls, shape, dtype=torch.float32)
        made.packed, made.scale = packed, scale
        return made

    def __tensor_flatten__(self) -> Any:
        return ["packed", "scale"], None

    @classmethod
    def __tensor_unflatten__(cls, parts: Any, *_: Any) -> "Packed":
        return cls(**parts)

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.detach.default:
            return cls(args[0].packed, args[0].scale)
        assert func is torch.ops.aten.embedding.default
        return torch.zeros(*args[1].shape, args[0].shape[1])


def test_quantised_rows(path: Path) -> None:
    weights = Packed(torch.zeros(7, 6, dtype=torch.uint8), torch.zeros(7, 1, dtype=torch.float16))
    table = nn.Embedding(7, 12, _weight=weights, _freeze=True)
    with tierfetch.Recorder(path) as r:
        r.embeddings(table)
        table(torch.tensor([6]))
    assert rows_of(path)["size_bytes"].tolist() == [6 + 2]


def test_a_call_that_fails_has_looked_nothing_up(path: Path) -> None:
    table = nn.Embedding(5, 2)
    with tierfetch.Recorder(path) as r:
        r.embeddings(table)
        with pytest.raises(IndexError):
            table(torch.tensor([5]))
        table(torch.tensor([2]))
    assert rows_of(path)["id"].tolist() == [2]


def test_hooks_are_gone_afterwards(path: Path) -> None:
    model, recorder = Model(), tierfetch.Recorder(path)
    recorder.__enter__()
    recorder.embeddings(model)
    recorder.experts(model.moe.gate, top_k=2, layer=0, bytes=10)
    assert model.bag._forward_hooks
    with pytest.warns(UserWarning, match=r"nothing was recorded of bag, tok, layer 0: not called, or not as modules"):
        recorder.__exit__(None, None, None)
    assert not any(module._forward_hooks for module in model.modules())
    assert len(rows_of(path)) == 0


def test_gradients_are_as_without(path: Path) -> None:
    """Nothing of a recording is part of the graph, and a step is the same with it."""

    def gradients(model: Model) -> list[Tensor | None]:
        model(torch.arange(6), torch.tensor([0, 2]), torch.tensor([4, 5])).sum().backward()
        return [parameter.grad for parameter in model.parameters()]

    model = Model()
    alike = copy.deepcopy(model)
    with tierfetch.Recorder(path) as r:
        r.embeddings(model)
        r.experts(model.moe.gate, top_k=2, layer=0, bytes=10)
        found = gradients(model)
    pairs = list(zip(found, gradients(alike), strict=True))
    assert all((a is None and b is None) or torch.equal(a, b) for a, b in pairs)  # type: ignore[arg-type]
    assert sum(a is not None for a, _ in pairs) > 4


def test_a_copy_of_a_model_that_is_recorded(path: Path) -> None:
    """As averages of weights make it: it can be made, and is recorded with its original."""
    table = nn.Embedding(5, 2)
    with tierfetch.Recorder(path) as r:
        r.embeddings(table)
        copy.deepcopy(table)(torch.tensor([1]))
        table(torch.tensor([2]))
    assert rows_of(path)["key"].tolist() == [1, 2]
