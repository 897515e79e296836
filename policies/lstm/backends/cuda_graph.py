"""Captured CUDA graphs with static buffers: one launch a call, the state updated in place on the device.

A graph is captured for each power of two of accesses up to 64, when the backend is made; other runs are cut into
such pieces. The buffers hold the state of the stream that asked last, so that a stream that asks again copies nothing.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from policies.lstm.backends.eager import EagerCuda
from policies.lstm.model import Weights
from policies.models.backend import Backend
from policies.models.codecs.base import Classes, Floats

_WARM_UPS = 3
_LENGTHS = (64, 32, 16, 8, 4, 2, 1)


class GraphState:
    """A stream's state (2, layers, 1, H) on the device; out of date while the static buffers hold it."""

    __slots__ = ("tensor",)

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


class _Captured:
    """Accesses of one length: pinned input and output on the host, and the graph between them."""

    def __init__(self, eager: EagerCuda, state: Tensor, length: int, n_fields: int) -> None:
        self.host_in = torch.zeros((1, length, n_fields), dtype=torch.int64, pin_memory=True)
        self.inputs = self.host_in.numpy()
        self._device_in = self.host_in.to("cuda")
        with torch.inference_mode():
            side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(_WARM_UPS):
                    scores = self._work(eager, state)
            torch.cuda.current_stream().wait_stream(side)
            self.host_out = torch.empty(scores.shape, dtype=scores.dtype, pin_memory=True)
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):
                self._device_in.copy_(self.host_in, non_blocking=True)
                self.host_out.copy_(self._work(eager, state), non_blocking=True)

    def _work(self, eager: EagerCuda, state: Tensor) -> Tensor:
        after = [state[0], state[1]]
        scores = eager.scores(self._device_in, [after])
        state[0].copy_(after[0])
        state[1].copy_(after[1])
        return scores


class CudaGraph(Backend):
    """A batch goes one by one: each question is one launch, or a few."""

    name = "cuda_graph"
    device = "cuda"

    def __init__(self, weights: Weights) -> None:
        # The graphs hold the addresses of its weights: it must live as long as they do.
        self._eager = EagerCuda(weights)
        self._shape = (2, weights.n_layers, 1, weights.n_hidden)
        self._state = torch.zeros(self._shape, device="cuda")
        self._holds: GraphState | None = None
        self._captured = {n: _Captured(self._eager, self._state, n, len(weights.embeddings)) for n in _LENGTHS}
        self._begun = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        self._ended = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]

    @classmethod
    def missing(cls) -> str | None:
        """CUDA."""
        return EagerCuda.missing()

    def new_state(self) -> GraphState:
        """Zero."""
        return GraphState(torch.zeros(self._shape, device="cuda"))

    def copy(self, state: GraphState) -> GraphState:
        """A tensor of its own."""
        return GraphState((self._state if self._holds is state else state.tensor).clone())

    def advance(self, classes: Classes, states: Sequence[GraphState]) -> Floats:
        """See the base."""
        found = []
        with torch.inference_mode():
            self._begun.record()
            for row, state in zip(classes, states, strict=True):
                found.append(self._run(row, state))
            self._ended.record()
            torch.cuda.synchronize()
        return np.stack(found)

    def _run(self, classes: Classes, state: GraphState) -> Floats:
        """All accesses (T, fields) of one stream: its scores (C,)."""
        if self._holds is not state:
            if self._holds is not None:
                self._holds.tensor.copy_(self._state)
            self._state.copy_(state.tensor)
            self._holds = state
        at = 0
        while at < len(classes):
            length = next(n for n in _LENGTHS if n <= len(classes) - at)
            captured = self._captured[length]
            captured.inputs[0] = classes[at : at + length]
            captured.graph.replay()
            # The host's buffers are used again by the next piece.
            torch.cuda.synchronize()
            at += length
        scores: Floats = captured.host_out.numpy()[0].copy()
        return scores

    def last_device_ns(self) -> int:
        """Between two CUDA events around graphs and copies of state."""
        return round(float(self._begun.elapsed_time(self._ended)) * 1e6)
