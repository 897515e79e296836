"""The double refuses what CUDA refuses, and does late what CUDA may do late."""

from typing import Any

import pytest
import torch

from tests.cuda_double.fixtures import machine as machine
from tests.cuda_double.fixtures import two_devices as two_devices
from tests.cuda_double.machine import KERNEL_NS, Machine

CAPTURED = "not permitted when stream is capturing"


def pinned(*values: float) -> torch.Tensor:
    return torch.tensor(values).pin_memory()


def test_work_waits_until_somebody_waits_for_it(machine: Machine) -> None:
    """What is read too early is stale; page-locked memory is read when its turn comes, other memory at once."""
    host, plain, back = pinned(1), torch.tensor([1.0]), pinned(0)
    x, y = host.to("cuda", non_blocking=True), plain.to("cuda", non_blocking=True)
    host.fill_(2)
    plain.fill_(2)
    back.copy_(x * 3 + y, non_blocking=True)
    assert back.item() == 0
    torch.cuda.current_stream().synchronize()
    assert back.item() == 7
    assert machine.counts == {"h2d": 2, "kernel": 2, "d2h": 1, "alloc": 4, "stream_sync": 1}
    assert (x * 3).cpu().tolist() == [6]
    assert machine.counts["blocking_copy"] == 1


def test_streams_run_in_the_worst_order_that_waits_allow(machine: Machine) -> None:
    x = torch.zeros(1, device="cuda")
    side, caller = torch.cuda.Stream(), torch.cuda.current_stream()
    x.fill_(1)
    with torch.cuda.stream(side):
        x.mul_(10)
    torch.cuda.synchronize()
    assert x.item() == 1
    x.fill_(1)
    side.wait_stream(caller)
    with torch.cuda.stream(side):
        x.mul_(10)
    # A stream that is waited for alone.
    side.synchronize()
    assert caller.query()
    assert x.item() == 10


def test_a_graph_repeats_what_was_captured(machine: Machine) -> None:
    """It reads its inputs where they were; what the host computed meanwhile is as it was then."""
    host, out, factor = pinned(1), pinned(0), 3
    x, graph = torch.zeros(1, device="cuda"), torch.cuda.CUDAGraph()
    begun, ended = (torch.cuda.Event(enable_timing=True, external=True) for _ in range(2))
    with torch.cuda.graph(graph):
        begun.record()
        x.copy_(host, non_blocking=True)
        out.copy_(x * factor, non_blocking=True)
        ended.record()
    with pytest.raises(ValueError, match="must be recorded"):
        begun.elapsed_time(ended)
    factor = 5
    host.fill_(2)
    counts = machine.counted(graph.replay)
    assert counts == {"graph_launch": 1}
    assert out.item() == 0
    with pytest.raises(RuntimeError, match="must be completed"):
        begun.elapsed_time(ended)
    torch.cuda.synchronize()
    assert out.item() == 6
    assert begun.elapsed_time(ended) * 1e6 == pytest.approx(3 * KERNEL_NS)
    assert machine.graphs[0].nodes[2].name == "mul"


@pytest.mark.parametrize(
    "work",
    [
        lambda x: x.cpu(),
        lambda x: x.copy_(torch.ones(1), non_blocking=True),
        lambda x: x.copy_(pinned(1)),
        lambda x: torch.ones(1).to("cuda"),
        lambda x: torch.empty(1).copy_(x, non_blocking=True),
        lambda x: bool(x > 0),
        lambda x: x.nonzero(),
        lambda x: x[x > 0],
        lambda x: torch.cuda.synchronize(),
        lambda x: torch.cuda.current_stream().synchronize(),
        lambda x: torch.cuda.default_stream().synchronize(),
    ],
)
def test_what_cannot_be_captured(machine: Machine, work: Any) -> None:
    x = torch.zeros(1, device="cuda")
    with pytest.raises(RuntimeError, match=CAPTURED), torch.cuda.graph(torch.cuda.CUDAGraph()):
        work(x)


def test_what_is_refused(machine: Machine) -> None:
    x = torch.zeros(2, device="cuda")
    for work in (lambda: x + torch.ones(2), lambda: torch.cat([x, torch.ones(2)])):
        with pytest.raises(RuntimeError, match="found cuda:0 and cpu"):
            work()
    with pytest.raises(TypeError, match="can't convert cuda:0"):
        x.numpy()
    with pytest.raises(RuntimeError, match="pageable memory"):
        x.to("cpu", non_blocking=True)
    with pytest.raises(RuntimeError, match="Only dense CPU tensors"):
        torch.zeros(2, device="cuda", pin_memory=True)
    untimed, timed = torch.cuda.Event(), torch.cuda.Event(enable_timing=True)
    with pytest.raises(ValueError, match="enable_timing=True"):
        untimed.elapsed_time(timed)
    with torch.cuda.graph(torch.cuda.CUDAGraph()):
        timed.record()
    with pytest.raises(RuntimeError, match="last recorded in a capture"):
        timed.elapsed_time(timed)
    lstm = torch.nn.LSTM(2, 3, batch_first=True, device="cuda")
    states = [torch.zeros(1, 3, 4, device="cuda").transpose(1, 2)[:, 1:2] for _ in range(2)]
    with pytest.raises(RuntimeError, match="hx is not contiguous"):
        lstm(torch.zeros(1, 1, 2, device="cuda"), tuple(states))


def test_devices_are_apart(two_devices: Machine) -> None:
    x, y = torch.ones(1, device="cuda"), torch.ones(1, device="cuda:1")
    assert (x.device, y.device) == (torch.device("cuda", 0), torch.device("cuda", 1))
    with pytest.raises(RuntimeError, match="at least two devices, cuda:0 and cuda:1"):
        x + y
    torch.cuda.synchronize(0)
    assert not torch.cuda.current_stream(1).query()
    assert (x + y.to("cuda:0")).item() == 2
    event = torch.cuda.Event()
    event.record()
    with pytest.raises(RuntimeError, match="does not match recording stream"):
        event.record(torch.cuda.current_stream(1))
    with pytest.raises(RuntimeError, match="invalid device ordinal"):
        torch.ones(1, device="cuda:2")
    with torch.cuda.device(1):
        assert torch.zeros(1, device="cuda").device.index == 1
