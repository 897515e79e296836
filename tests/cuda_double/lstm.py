"""An LSTM as cuDNN has it: one kernel forward, one backward. In torch's own pieces training would take minutes here."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

_APART = ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,))


def lstm(
    mode: Any, x: Tensor, state: Any, weights: Any, has_biases: bool, n_layers: int, dropout: float, training: bool,
    bidirectional: bool, batch_first: bool,
) -> Any:  # fmt: skip
    """``torch.lstm`` of tensors of the double. Raises RuntimeError for states that cuDNN refuses."""
    if not all(part.elem.is_contiguous() for part in state):
        raise RuntimeError("rnn: hx is not contiguous")
    # The masks of a dropout would be others in the pass back.
    assert dropout == 0 or not training or n_layers == 1, "the double knows no dropout between layers"
    rest = (has_biases, n_layers, 0.0, training, bidirectional, batch_first)
    return _Lstm.apply(mode, rest, x, *state, *weights)


def _forward(rest: Any, x: Tensor, h: Tensor, c: Tensor, *weights: Tensor) -> Any:
    return torch._VF.lstm(x, (h, c), list(weights), *rest)


def _gradients(rest: Any, given: Any, of_outputs: Any) -> Any:
    """In a thread of its own: where work is done, torch may have been told to leave autograd out."""

    def work() -> Any:
        leaves = [part.detach().clone().requires_grad_() for part in given]
        return torch.autograd.grad(_forward(rest, *leaves), leaves, of_outputs)

    return _APART.submit(work).result()


class _Lstm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, mode: Any, rest: Any, *given: Tensor) -> Any:
        ctx.mode, ctx.rest = mode, rest
        ctx.save_for_backward(*given)
        stream = mode.machine.current(given[0].device)
        return mode.late("lstm", lambda *raws: _forward(rest, *raws), given, {}, stream)

    @staticmethod
    def backward(ctx: Any, *of_outputs: Tensor) -> Any:
        given, rest = ctx.saved_tensors, ctx.rest
        stream = ctx.mode.machine.current(given[0].device)
        found = ctx.mode.late("lstm_backward", lambda a, b: _gradients(rest, a, b), (given, of_outputs), {}, stream)
        return None, None, *found
