"""A captured CUDA graph with static buffers: one launch a call, the state copied in place on the device.

Each shape (B, T) is captured at its first use; a trace asks in very few. Dropout would break the capture, so the model
runs in evaluation mode, as it must.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from policies.lstm.backends.base import Backend, Classes
from policies.lstm.backends.eager import EagerCuda
from policies.lstm.model import Floats, Weights

_WARM_UPS = 3


class _Captured:
    """One shape: host and device buffers, and the graph between them."""

    def __init__(self, eager: EagerCuda, n_rows: int, n_steps: int, n_fields: int) -> None:
        self.host_in = torch.zeros((n_rows, n_steps, n_fields), dtype=torch.int64, pin_memory=True)
        self._inputs = self.host_in.to("cuda")
        self.state = [torch.cat([part] * n_rows, dim=1) for part in eager.new_state()]
        self._eager = eager
        with torch.inference_mode():
            side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(_WARM_UPS):
                    scores = self._work()
            torch.cuda.current_stream().wait_stream(side)
            self.host_out = torch.empty(scores.shape, dtype=scores.dtype, pin_memory=True)
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):
                self._inputs.copy_(self.host_in, non_blocking=True)
                self.host_out.copy_(self._work(), non_blocking=True)

    def _work(self) -> Tensor:
        whole = [list(self.state)]
        scores = self._eager.scores(self._inputs, whole)
        for buffer, after in zip(self.state, whole[0], strict=True):
            buffer.copy_(after)
        return scores


class CudaGraph(Backend):
    """A state is [h, c] on the device, each (layers, 1, H)."""

    name = "cuda_graph"
    device = "cuda"

    def __init__(self, weights: Weights) -> None:
        self._eager = EagerCuda(weights)
        self._captured: dict[tuple[int, int], _Captured] = {}
        self._n_fields = len(weights.embeddings)
        self._begun = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        self._ended = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]

    @classmethod
    def missing(cls) -> str | None:
        """CUDA."""
        return EagerCuda.missing()

    def new_state(self) -> list[Tensor]:
        """Zero."""
        return self._eager.new_state()

    def copy(self, state: list[Tensor]) -> list[Tensor]:
        """Tensors of its own."""
        return self._eager.copy(state)

    def advance(self, classes: Classes, states: Sequence[list[Tensor]]) -> Floats:
        """See the base."""
        shape = classes.shape[0], classes.shape[1]
        if shape not in self._captured:
            self._captured[shape] = _Captured(self._eager, *shape, self._n_fields)
        captured = self._captured[shape]
        captured.host_in.numpy()[...] = classes
        with torch.inference_mode():
            self._begun.record()
            for i, state in enumerate(states):
                for buffer, part in zip(captured.state, state, strict=True):
                    buffer[:, i : i + 1].copy_(part)
            captured.graph.replay()
            for i, state in enumerate(states):
                for buffer, part in zip(captured.state, state, strict=True):
                    part.copy_(buffer[:, i : i + 1])
            self._ended.record()
            torch.cuda.synchronize()
        return np.array(captured.host_out.numpy())

    def last_device_ns(self) -> int:
        """Between two CUDA events around the graph and the copies of state."""
        return round(float(self._begun.elapsed_time(self._ended)) * 1e6)
