"""Ids on a GPU: copied behind what is queued, without waiting for it; on a double, and on a device."""

from pathlib import Path

import pytest
import torch
from torch import nn

import tierfetch
from policies.models.cuda import missing_cuda
from tests.cuda_double.fixtures import machine as machine
from tests.cuda_double.machine import SYNCHRONIZATIONS, Machine
from tests.recorded import Experts, rows_of
from tierfetch.record import modules, routers, taking
from tierfetch.record.rows import Call
from tierfetch.record.spaces import Spaces


def test_taking_waits_for_nothing(machine: Machine) -> None:
    """And what the model writes into the same memory later is not what is read, whoever reads it and when."""
    ids = torch.arange(6).to("cuda")
    torch.cuda.synchronize()
    before = machine.counts.copy()
    taken = [taking.take(ids.view(2, 3)[:, :2])]
    ids.add_(100)
    taken.append(taking.take(ids))
    ids.zero_()
    assert all(machine.counts[kind] == before[kind] for kind in SYNCHRONIZATIONS)
    assert [one.landed().tolist() for one in taken] == [[0, 1, 3, 4], [100, 101, 102, 103, 104, 105]]  # type: ignore[union-attr]


def test_what_is_queued_on_another_stream(machine: Machine) -> None:
    """The copy goes into the stream that is current, as the model's own work does."""
    ids = torch.zeros(2, dtype=torch.int64, device="cuda")
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        ids.add_(7)
        taken = taking.take(ids)
        ids.add_(1)
    assert taken.landed().tolist() == [7, 7]  # type: ignore[union-attr]


def test_a_capture_is_refused(machine: Machine) -> None:
    ids = torch.zeros(2, dtype=torch.int64, device="cuda")
    with torch.cuda.graph(torch.cuda.CUDAGraph()), pytest.raises(RuntimeError, match="while a CUDA graph is captured"):
        taking.take(ids)


def test_hooks_take_what_modules_got(machine: Machine) -> None:
    spaces, calls = Spaces(), list[Call]()
    rows, experts = spaces.add("rows", "embedding", 4, 10), spaces.add("experts", "experts", 4, layer=0)
    bag = nn.EmbeddingBag(10, 2)
    ids, offsets = torch.tensor([3, 1, 4]).to("cuda"), torch.tensor([0, 1]).to("cuda")
    modules.hook_of(bag, rows, calls.append)(bag, (ids, offsets), {}, None)
    scores = torch.tensor([[0.1, 0.7, 0.2], [0.5, 0.1, 0.4]]).to("cuda")
    routers.hook_of(experts, 2, None, None, False, calls.append)(nn.Module(), (), {}, scores)
    offsets.zero_()
    scores.zero_()
    bags, picks = calls
    assert bags.ids.landed().tolist() == [3, 1, 4]  # type: ignore[union-attr]
    assert bags.offsets.landed().tolist() == [0, 1]  # type: ignore[union-attr]
    assert picks.ids.landed().tolist() == [1, 2, 0, 2]  # type: ignore[union-attr]


@pytest.mark.cuda
@pytest.mark.skipif(missing_cuda() is not None, reason="torch finds no CUDA device here")
def test_a_model_on_a_device(tmp_path: Path) -> None:
    """Ids that change right after each call, behind enough work that the host is far ahead."""
    torch.manual_seed(0)
    table, moe = nn.Embedding(10_000, 8).cuda(), Experts().cuda()
    buffer, work = torch.empty(4096, dtype=torch.int64, device="cuda"), torch.rand(2048, 2048, device="cuda")
    want = []
    with tierfetch.Recorder(tmp_path / "t.parquet") as r, torch.no_grad():
        r.embeddings(table)
        r.experts(moe.gate, top_k=2, layer=0, bytes=10)
        for step in range(50):
            for _ in range(5):
                work = (work @ work).clamp_(-1, 1)
            buffer.copy_(torch.arange(4096, device="cuda") + step)
            table(buffer)
            buffer.fill_(9_999)
            want.append(list(range(step, step + 4096)))
        x = torch.rand(3, 8, device="cuda")
        moe(x)
    rows = rows_of(tmp_path / "t.parquet")
    assert rows[rows["space"] == 0]["id"].tolist() == [id_ for step in want for id_ in step]
    assert rows[rows["space"] == 1]["id"].tolist() == moe.ran


@pytest.mark.cuda
@pytest.mark.skipif(missing_cuda() is not None, reason="torch finds no CUDA device here")
def test_a_capture_on_a_device_is_refused(tmp_path: Path) -> None:
    table, ids = nn.Embedding(10, 8).cuda(), torch.zeros(2, dtype=torch.int64, device="cuda")
    table(ids)
    torch.cuda.synchronize()

    def record() -> None:
        with tierfetch.Recorder(tmp_path / "t.parquet") as r:
            r.embeddings(table)
            with torch.cuda.graph(torch.cuda.CUDAGraph()):
                table(ids)

    with pytest.raises(RuntimeError, match="while a CUDA graph is captured"):
        record()
