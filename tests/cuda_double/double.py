"""``with cuda_double() as machine``: torch finds CUDA devices, and the machine says what was done on them."""

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from policies.lstm.backends import fused
from tests.cuda_double.machine import Event, Graph, Machine, Stream
from tests.cuda_double.mode import Names, OnDevices
from tests.cuda_double.tensor import Dev

NAME = "Double H100 80GB"
UUIDS = ("5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77", "5d5bffff-42e4-5de3-91c7-45d71c87eb3f")


@contextlib.contextmanager
def cuda_double(*names: str) -> Iterator[Machine]:
    """One device, or as many as there are names; tensors of the double are of no use outside."""
    names = names or (NAME,)
    machine = Machine(names, UUIDS[: len(names)])
    mode = OnDevices(machine)
    is_pinned = Tensor.is_pinned
    n_threads = torch.get_num_threads()
    # Its kernels are small: a second thread would only wait.
    torch.set_num_threads(1)
    with contextlib.ExitStack() as stack:
        stack.callback(torch.set_num_threads, n_threads)
        for name, value in _of_cuda(machine).items():
            stack.enter_context(patch.object(torch.cuda, name, value))
        methods = {
            "pin_memory": lambda self: mode.pin(self.clone()),
            "is_pinned": lambda self: mode.is_pinned(self) if not isinstance(self, Dev) else is_pinned(self),
        }
        for name, value in methods.items():
            stack.enter_context(patch.object(Tensor, name, value))
        # Triton asks a driver of NVIDIA's for the device that it compiles for.
        stack.enter_context(patch.object(fused, "find_spec", lambda name: None))
        # Else torch would say that this build has no cuDNN.
        stack.enter_context(patch.object(torch.backends.cudnn, "is_acceptable", lambda tensor: False))
        stack.enter_context(mode)
        stack.enter_context(Names(mode))
        yield machine


def _of_cuda(machine: Machine) -> dict[str, Any]:
    """What is in the place of ``torch.cuda``'s own."""

    def index_of(device: Any = None) -> int:
        if device is None:
            return machine.index
        if isinstance(device, int):
            return device
        found = torch.device(device).index
        return machine.index if found is None else int(found)

    @contextlib.contextmanager
    def device(wanted: Any) -> Iterator[None]:
        before, machine.index = machine.index, index_of(wanted)
        try:
            yield
        finally:
            machine.index = before

    @contextlib.contextmanager
    def stream(wanted: Stream) -> Iterator[None]:
        before, index = machine.current(wanted.device), machine.index
        machine.set_current(wanted)
        machine.index = wanted.device.index
        try:
            yield
        finally:
            machine.index = index
            machine.set_current(before)

    @contextlib.contextmanager
    def graph(captured: Graph, pool: Any = None, stream: Stream | None = None, **_: Any) -> Iterator[None]:
        # torch makes its own stream on the device that was current when it first captured.
        side = stream or Stream(machine, machine.devices[0])
        machine.synchronize("device_sync", device=side.device)
        captured.begin(side, pool)
        with _of_cuda(machine)["stream"](side):
            machine.capturing = captured
            try:
                yield
            finally:
                machine.capturing = None
        captured.end()

    def new_graph(*_: Any, **__: Any) -> Graph:
        machine.graphs.append(Graph(machine))
        return machine.graphs[-1]

    def properties(wanted: Any = None) -> Any:
        index = index_of(wanted)
        return SimpleNamespace(
            name=machine.names[index], uuid=machine.uuids[index], major=9, minor=0, total_memory=80 << 30
        )

    return {
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "is_current_stream_capturing": lambda: machine.capturing is not None,
        "_lazy_init": lambda: None,
        "device_count": lambda: len(machine.devices),
        "current_device": lambda: machine.index,
        "set_device": lambda wanted: setattr(machine, "index", index_of(wanted)),
        "device": device,
        "get_device_name": lambda wanted=None: machine.names[index_of(wanted)],
        "get_device_properties": properties,
        "get_device_capability": lambda wanted=None: (9, 0),
        "synchronize": lambda wanted=None: machine.synchronize("device_sync", device=machine.devices[index_of(wanted)]),
        "current_stream": lambda wanted=None: machine.current(machine.devices[index_of(wanted)]),
        "default_stream": lambda wanted=None: machine.defaults[index_of(wanted)],
        "Stream": lambda device=None, **_: Stream(machine, machine.devices[index_of(device)]),
        "stream": stream,
        "Event": lambda *given, **named: Event(machine, *given, **named),
        "CUDAGraph": new_graph,
        "graph": graph,
        "empty_cache": lambda: None,
        "manual_seed_all": lambda seed: None,
        "memory_reserved": lambda wanted=None: sum(machine.pools.values()),
        "memory_allocated": lambda wanted=None: 0,
        "max_memory_allocated": lambda wanted=None: machine.most_captured,
        "reset_peak_memory_stats": lambda wanted=None: setattr(machine, "most_captured", 0),
    }
