"""The CUDA backends on the double: the same scores, the operations that are charged, the device's own time."""

import os
import sys
from collections import Counter
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from policies.lstm.backends.cuda_graph import CudaGraph
from policies.lstm.backends.eager import EagerCuda
from policies.lstm.backends.fused import Fused
from policies.lstm.backends.registry import BACKENDS
from policies.lstm.model import weights_of
from policies.models.backends import cuda_graph, eager
from policies.models.backends.registry import OF_CLASSES
from policies.models.call import Runnable
from policies.models.cuda import bytes_of
from policies.models.device import device_name, pick_device
from policies.models.gpu_memory import gpu_memory
from policies.models.nets.gru import Gru
from policies.models.nets.mlp import Mlp
from policies.models.top import Choosing
from simulator.errors import InputError
from tests.cuda_double.fixtures import machine as machine
from tests.cuda_double.fixtures import only_reading_takes_time as only_reading_takes_time
from tests.cuda_double.fixtures import two_devices as two_devices
from tests.cuda_double.machine import COPIES, KERNEL_NS, SYNCHRONIZATIONS, Graph, Machine, Node
from tests.test_lstm_backends import TOLERANCE, expected, inputs, network

AGAIN = Counter(graph_launch=1, stream_sync=1)
"""All that the host asks for where nothing must be copied."""
Asked = tuple[Any, Callable[[int, int], Any], Callable[[Any], Any]]


def of_lstm(kind: Any, place: torch.device | None = None) -> Asked:
    """A backend, accesses (B, T) for it, and the scores that are right after accesses."""
    model, _ = network(1, 2, 8, "page_offset")
    rng = np.random.default_rng(1)
    return kind(weights_of(model, 1), place), lambda b, t: inputs(model, rng, b, t), lambda x: expected(model, x, 1)


def of_gru(kind: Any, place: torch.device | None = None) -> Asked:
    torch.manual_seed(0)
    module = Gru((9, 5), 7, embedding=6, hidden=6).eval()
    rng = np.random.default_rng(0)
    scores = Gru((9, 5), 7, embedding=6, hidden=6).eval()
    scores.load_state_dict(module.state_dict())

    def right(classes: Any) -> Any:
        with torch.no_grad():
            return scores(torch.from_numpy(classes))[0][:, -1].numpy()

    def classes(b: int, t: int) -> Any:
        return np.stack([rng.integers(0, n, (b, t)) for n in (9, 5)], axis=-1)

    return kind(Runnable("gru", module, None, None, 2, (9, 5)), place), classes, right


def together(*pieces: Any) -> Any:
    return np.concatenate(pieces, axis=1)


def close(found: Any, wanted: Any) -> None:
    np.testing.assert_allclose(found, wanted, atol=TOLERANCE, rtol=TOLERANCE)


ALL = [(of_lstm, CudaGraph), (of_lstm, EagerCuda), (of_gru, cuda_graph.CudaGraph), (of_gru, eager.EagerCuda)]
GRAPHS = [(of_lstm, CudaGraph), (of_gru, cuda_graph.CudaGraph)]


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize(("made", "kind"), ALL)
def test_streams_take_turns_and_branch(machine: Machine, made: Any, kind: Any, at_once: bool) -> None:
    """Two streams in pieces of all lengths, alone and together; a copy straight after its original was advanced.

    On a device that does everything as late as it may, and on one that never lags behind.
    """
    machine.at_once = at_once
    backend, classes, right = made(kind)
    a, b = backend.new_state(), backend.new_state()
    first, other = classes(1, 1), classes(1, 3)
    earlier = backend.advance(first, [a])
    branch = backend.copy(a)
    close(backend.advance(other, [b]), right(other))
    more = classes(1, 1)
    close(backend.advance(more, [a]), right(together(first, more)))
    close(backend.advance(other, [branch]), right(together(first, other)))
    # What was answered is not written over by later answers.
    close(earlier, right(first))
    both = classes(2, 7)
    seen = [together(first, more, both[:1]), together(other, both[1:])]
    close(backend.advance(both, [a, b]), np.concatenate([right(path) for path in seen]))
    again = backend.copy(b)
    long = classes(1, 70)
    close(backend.advance(long, [a]), right(together(seen[0], long)))
    for state in (b, again):
        close(backend.advance(more, [state]), right(together(seen[1], more)))


def asked(machine: Machine, backend: Any, classes: Any, *states: Any) -> Counter[str]:
    """What one question asks of the device, whose clock has been read before."""
    backend.take_device_time()
    return machine.counted(lambda: backend.advance(classes, states))


@pytest.mark.parametrize(("made", "kind"), GRAPHS)
def test_a_stream_that_asks_again_costs_a_launch(machine: Machine, made: Any, kind: Any) -> None:
    """And a synchronization: nothing is copied or allocated beside the graph, and no event recorded."""
    backend, classes, _ = made(kind)
    a, b, one = backend.new_state(), backend.new_state(), classes(1, 1)
    asked(machine, backend, one, a)
    for _ in range(3):
        assert asked(machine, backend, one, a) == AGAIN
    assert machine.counted(backend.take_device_time) == {"elapsed": 1}
    # What fits no graph is several pieces.
    assert asked(machine, backend, classes(1, 70), a) == Counter(graph_launch=3, stream_sync=3)
    n_parts = len(backend._first)
    first = asked(machine, backend, one, b)
    assert first == AGAIN + Counter(d2d=n_parts, kernel=n_parts, alloc=n_parts)
    asked(machine, backend, one, a)
    for state in (b, a, b):
        assert asked(machine, backend, one, state) == AGAIN + Counter(d2d=2 * n_parts)


def test_a_window_is_one_launch(machine: Machine) -> None:
    """Of the LSTM: its zero state is set within the graph, and nobody's state is saved that is gone."""
    backend, classes, right = of_lstm(CudaGraph)
    backend.expect(5)
    window, shorter = classes(1, 5), classes(1, 3)
    for _ in range(3):
        assert asked(machine, backend, window, backend.new_state()) == AGAIN
        close(backend.advance(window, [backend.new_state()]), right(window))
    kept = backend.new_state()
    close(backend.advance(shorter, [kept]), right(shorter))
    close(backend.advance(window, [backend.new_state()]), right(window))
    close(backend.advance(window, [kept]), right(together(shorter, window)))
    # To get ready for others changes nobody's state.
    backend.expect(2)
    close(backend.advance(window, [kept]), right(together(shorter, window, window)))


def test_a_window_of_any_network_is_one_launch(machine: Machine) -> None:
    torch.manual_seed(0)
    module = Mlp((9,), 7, 3, embedding=6, hidden=6).eval()
    classes = np.array([[[1], [4], [8]]])
    with torch.no_grad():
        right = module(torch.from_numpy(classes)).numpy()
    backend = cuda_graph.CudaGraph(Runnable("mlp", module, None, 3, 1, (9,)))
    backend.expect(3)
    for _ in range(2):
        close(backend.advance(classes, [backend.new_state()]), right)
        assert asked(machine, backend, classes, backend.new_state()) == AGAIN


@pytest.mark.parametrize(("made", "kind"), [(of_lstm, EagerCuda), (of_gru, eager.EagerCuda)])
def test_eager_waits_once_for_its_stream(machine: Machine, made: Any, kind: Any) -> None:
    """Copies go from and to page-locked memory between two events; no other copy, and no other wait."""
    backend, classes, _ = made(kind)
    state = backend.new_state()
    for n in (1, 4, 1):
        counts = asked(machine, backend, classes(1, n), state)
        told = {name: counts[name] for name in (*COPIES, *SYNCHRONIZATIONS, "event", "elapsed") if counts[name]}
        assert told == {"h2d": 1, "d2h": 1, "stream_sync": 1, "event": 2}
    # Nor is page-locked memory made anew.
    memory = backend._host_in._flat
    backend.advance(classes(1, 4), [state])
    assert backend._host_in._flat is memory


def test_memory_that_is_shared_counts_once(machine: Machine) -> None:
    x = torch.zeros(6, device="cuda")
    assert bytes_of([x, x[1:3], x.view(2, 3), torch.zeros(2, device="cuda")]) == 6 * 4 + 2 * 4


def costs(graph: Graph) -> int:
    return KERNEL_NS * (len(graph.nodes) - graph.n("event"))


@pytest.mark.parametrize(("made", "kind"), GRAPHS)
def test_a_graph_begins_and_ends_with_its_events(machine: Machine, made: Any, kind: Any) -> None:
    """And has one copy in, one out. Its time on the device is what lies between: no host's work is in it."""
    backend, classes, _ = made(kind)
    backend.expect(4)
    for graph in machine.graphs:
        assert [node.kind for node in (graph.nodes[0], graph.nodes[-1])] == ["event", "event"]
        assert (graph.n("event"), graph.n("h2d"), graph.n("d2h")) == (2, 1, 1)
        assert graph.nodes[0].event is not graph.nodes[-1].event
    of_length = dict(zip((64, 32, 16, 8, 4, 2, 1), machine.graphs, strict=False))
    assert len(machine.graphs) == len(of_length) + 1
    state = backend.new_state()
    for pieces in ((1,), (1,), (64, 4, 2), (64, 64, 2), (64, 64, 64)):
        backend.advance(classes(1, sum(pieces)), [state])
        device_ns, reading_ns = backend.take_device_time()
        assert device_ns == sum(costs(of_length[n]) for n in pieces)
        assert (reading_ns > 0) == (len(set(pieces)) < len(pieces))
    assert backend.take_device_time() == (0, 0)


def test_eager_is_timed_from_copy_to_copy(machine: Machine) -> None:
    """At least as long as what stands between its events, which are the first and the last."""
    backend, classes, _ = of_lstm(EagerCuda)
    state, kinds = backend.new_state(), []
    put = machine.put
    machine.put = lambda node, stream: (kinds.append(node.kind), put(node, stream))[1]  # type: ignore[method-assign]
    backend.advance(classes(1, 1), [state])
    assert (kinds[0], kinds[1], kinds[-2], kinds[-1]) == ("event", "h2d", "d2h", "event")
    assert backend.take_device_time().device_ns >= KERNEL_NS * (len(kinds) - 2)


def test_reading_the_devices_clock_is_told_apart(only_reading_takes_time: Machine) -> None:
    """Where a graph is launched again before somebody asked, its events are read in between."""
    backend, classes, _ = of_lstm(CudaGraph)
    state = backend.new_state()
    backend.advance(classes(1, 1), [state])
    assert backend.take_device_time().reading_ns == 0
    backend.advance(classes(1, 200), [state])
    assert backend.take_device_time().reading_ns == 2_000_000


@pytest.mark.parametrize(("made", "kind"), ALL)
def test_what_it_holds(machine: Machine, made: Any, kind: Any) -> None:
    """Weights, copies of them, inputs and the most that a graph needs; tensors that share their memory count once."""
    # What something else needed before is not the graphs'.
    machine.most_captured = 1 << 30
    backend, _, _ = made(kind)
    if made is of_lstm:
        weights = weights_of(network(1, 2, 8, "page_offset")[0], 1)
        inner = [*weights.input_weights, *weights.hidden_weights, *weights.biases]
        size = sum(array.nbytes for array in (*weights.embeddings, weights.head, weights.head_bias))
        # Twice, with the second biases of zeros of both.
        size += 2 * sum(array.nbytes for array in inner) + (1 + weights.n_layers) * weights.biases[0].nbytes
        state = 2 * 2 * 8 * 4
    else:
        size = sum(part.numel() * 4 for part in Gru((9, 5), 7, embedding=6, hidden=6).parameters())
        state = 2 * 6 * 4
    if kind in (CudaGraph, cuda_graph.CudaGraph):
        assert len(machine.pools) == 1
        needed = [graph.n_bytes for graph in machine.graphs]
        assert needed[0] > needed[-1] > 0
        size += 2 * state + sum(n * 2 * 8 for n in (64, 32, 16, 8, 4, 2, 1)) + needed[0]
    assert backend.held_bytes() == size


@pytest.mark.parametrize(("made", "kind"), ALL)
def test_the_second_of_two_devices(two_devices: Machine, made: Any, kind: Any) -> None:
    """Streams, graphs, waits and memory are its own: the first one is not touched."""
    place = pick_device("cuda:1")
    backend, classes, right = made(kind, place)
    state, one = backend.new_state(), classes(1, 1)
    close(backend.advance(one, [state]), right(one))
    branch = backend.copy(state)
    close(backend.advance(one, [branch]), right(together(one, one)))
    backend.take_device_time()
    assert backend.place == place
    assert [stream.n_put for stream in two_devices.streams[0]] == [0]
    assert all(graph.stream is not None and graph.stream.device == place for graph in two_devices.graphs)
    assert device_name(backend.place) == "cuda:1: Double H100 80GB MIG 1g.10gb"


def test_devices_by_index_and_uuid(two_devices: Machine) -> None:
    first, second = (torch.device("cuda", index) for index in (0, 1))
    named = {"auto": first, "cuda": first, "cuda:0": first, "cuda:1": second, "MIG-5D5BF": second}
    assert {name: pick_device(name) for name in named} == named
    assert pick_device(f"GPU-{two_devices.uuids[0]}") == first
    for wrong, why in {
        "cuda:2": "none of cuda:0", "GPU-5d5b": "several of cuda:0", "MIG-7": r"cuda:1 \(Double H100 80GB MIG 1g.10gb",
        "gpu": "expected auto, cpu, cuda, cuda:1", "cuda:01": "expected auto",
    }.items():  # fmt: skip
        with pytest.raises(InputError, match=why):
            pick_device(wrong)
    torch.cuda.set_device(1)
    assert pick_device("cuda") == second


def test_of_the_fused_kernel_no_state_is_copied(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its states are told by their addresses: streams that take turns, or go together, cost a launch and a wait."""
    launched: list[int] = []

    def launch(backend: Fused, n: int) -> None:
        machine.put(Node("kernel", "fused", lambda: launched.append(n)), machine.current())

    monkeypatch.setattr(Fused, "_launch", launch)
    backend, classes, _ = of_lstm(Fused)
    choosing = Choosing(np.array([5, 3]), 1.0, 2)
    a, b, c = states = [backend.new_state() for _ in range(3)]
    launched.clear()
    # The double takes memory by a kernel.
    first = machine.counted(lambda: backend.best(classes(3, 1), states, choosing))
    assert first == AGAIN + Counter(alloc=3, kernel=3)
    for asking in ([a], [b], [c, a], [a, b, c]):
        backend.take_device_time()
        assert machine.counted(lambda one=asking: backend.best(classes(len(one), 61), one, choosing)) == AGAIN
        assert backend.take_device_time().device_ns == KERNEL_NS
    # The next larger of the graphs that there are; and 62 accesses of two fields are more than an order has.
    assert launched == [4, 1, 1, 2, 4]
    assert machine.counted(lambda: backend.best(classes(1, 62), [a], choosing))["graph_launch"] == 2


def test_auto_times_the_cpus_backends_as_well(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """And takes one of the device that was asked for all the same."""
    times = {"cuda": 50.0, "cpu": 5.0}
    monkeypatch.setattr("policies.models.choice.trial", lambda backend, *_: times[backend.place.type])
    model, _ = network(0, 1, 8, "key")
    backend, tried = BACKENDS.pick("auto", pick_device("auto"), weights_of(model, 1), 1)
    assert tried == {"compiled (cpu)": 5, "onnx (cpu)": 5, "eager (cpu)": 5, "cuda_graph": 50, "eager": 50}
    assert (backend.name, backend.place.type) == ("cuda_graph", "cuda")
    module = Gru((9, 5), 7, embedding=6, hidden=6).eval()
    own, tried = OF_CLASSES.pick("auto", pick_device("cuda"), Runnable("gru", module, None, None, 2, (9, 5)), 1)
    assert tried == {"eager (cpu)": 5, "onnx (cpu)": 5, "cuda_graph": 50, "eager": 50}
    # The CPU's ran with the same module, which is on the device now.
    own.advance(np.zeros((1, 1, 2), np.int64), [own.new_state()])
    assert BACKENDS.pick("auto", torch.device("cpu"), weights_of(model, 1), 1)[1].keys() == {
        "compiled",
        "onnx",
        "eager",
    }


def test_cublas_is_told_of_its_workspaces() -> None:
    """Before CUDA starts; the second would warn if it were left to itself."""
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"
    assert os.environ["CUBLASLT_WORKSPACE_SIZE"] == "128"


class _Nvml(ModuleType):
    """A driver that knows one process."""

    NVMLError = OSError

    def __init__(self, pid: int | None, bytes_used: int | None = 7 << 20) -> None:
        super().__init__("pynvml")
        self.asked: list[str] = []
        self.n_open, self._running = 0, [SimpleNamespace(pid=pid, usedGpuMemory=bytes_used)]
        self._is_there = pid is not None

    def nvmlInit(self) -> None:  # noqa: N802
        if not self._is_there:
            raise OSError("NVML Shared Library Not Found")
        self.n_open += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.n_open -= 1

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> int:  # noqa: N802
        self.asked.append(uuid)
        return 1

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[Any]:  # noqa: N802
        return self._running


def test_memory_beside_the_footprint(two_devices: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver's figure is there where the driver says it, of a MIG instance by its own name."""
    of_lstm(CudaGraph)
    second = torch.device("cuda", 1)
    for nvml, expected_bytes in (
        (_Nvml(os.getpid()), 7 << 20), (_Nvml(os.getpid() + 1), None), (_Nvml(None), None),
        (_Nvml(os.getpid(), None), None),
    ):  # fmt: skip
        monkeypatch.setitem(sys.modules, "pynvml", nvml)
        assert gpu_memory(second) == {"gpu_reserved_bytes": 2 << 20, "gpu_process_bytes": expected_bytes}
        assert nvml.n_open == 0
        assert nvml.asked == ([f"MIG-{two_devices.uuids[1]}"] if nvml._is_there else [])
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert gpu_memory(torch.device("cuda", 0))["gpu_process_bytes"] is None
    assert gpu_memory(torch.device("cpu")) == {"gpu_reserved_bytes": None, "gpu_process_bytes": None}
