"""An LSTM in training on a CPU: forwards and backwards by hand, with a compiled recurrence and memory that is kept.

PyTorch makes a graph of operations and a tensor for each of them, and at this size that takes longer than what they
compute. The weights are the network's own, in place; what comes out is the same as its own to some digits.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from policies.models.codecs.base import Classes, Floats
from policies.models.kernels import HAS_KERNELS, add_rows, drop, run_backwards, run_forwards
from policies.models.nets.lstm import Lstm
from policies.models.network import Network
from policies.models.schedule import Schedule


class _Weights(NamedTuple):
    """Those of a layer as torch has them: (4H, I), (4H, H), (4H,) and (4H,); and those of the state as an array."""

    of_input: Tensor
    of_state: Tensor
    bias: Tensor
    bias_of_state: Tensor
    array_of_state: Floats


class _Layer:
    """What a layer leaves in memory for the way back, of T accesses of B lanes: tensors, and arrays over them."""

    def __init__(self, n_steps: int, n_lanes: int, n_hidden: int) -> None:
        n = n_steps * n_lanes
        gates = torch.empty(n_steps, n_lanes, 4 * n_hidden)
        h, self.c = torch.zeros(2, n_steps + 1, n_lanes, n_hidden)
        turned = torch.empty(n_hidden, 4 * n_hidden)
        mask, dropped = torch.empty(2, n, n_hidden)
        self.flat, self.mask, self.dropped, self.turned, self.h = gates.view(n, -1), mask, dropped, turned, h
        self.before, self.after = h[:-1].view(n, -1), h[1:].view(n, -1)
        self.recurrence = gates.numpy(), turned.numpy(), h.numpy(), self.c.numpy(), np.empty_like(h[1:].numpy())
        self.dropping = self.after.view(-1).numpy(), mask.view(-1).numpy(), dropped.view(-1).numpy()


class _Memory:
    """What B lanes of T accesses need."""

    def __init__(self, layers: list[_Weights], n_scores: int, n_steps: int, n_lanes: int) -> None:
        n_embedded, n_hidden = layers[0].of_input.shape[1], layers[0].of_state.shape[1]
        n = n_steps * n_lanes
        self.classes: Classes = np.empty((0, 0), np.int64)
        self.embedded, self.of_embedded = torch.empty(2, n, n_embedded)
        self.layers = [_Layer(n_steps, n_lanes, n_hidden) for _ in layers]
        self.scores = torch.empty(n, n_scores)
        self.down = torch.empty(n, n_hidden)
        self.array_of_down = self.down.view(n_steps, n_lanes, n_hidden).numpy()


class FastLstm:
    """One part of a batch after another, forwards and then backwards; parts on threads have one each."""

    def __init__(self, net: Lstm, seed: int) -> None:
        self._tables = [weights.detach() for weights in net.embeddings.parameters()]
        self._layers = [
            _Weights(w.detach(), u.detach(), a.detach(), b.detach(), u.detach().numpy())
            for w, u, a, b in net.lstm.all_weights
        ]
        self._head, self._head_bias = net.head.weight.detach(), net.head.bias.detach()
        self._dropout = float(net.dropout.p)
        self._rng = np.random.default_rng(seed)
        self._memories: dict[tuple[int, int], _Memory] = {}
        self._now: _Memory | None = None
        self.slopes = {name: torch.empty_like(weights) for name, weights in net.named_parameters()}

    def forwards(self, classes: Classes, *, goes_on: bool, is_training: bool = True) -> Tensor:
        """Scores (T, B, C) of what follows each of (B, T, fields), from where the last ones ended or from the start.

        They are valid until the next call.
        """
        n_lanes, n_steps, n_fields = classes.shape
        memory = self._memories.get((n_lanes, n_steps))
        if memory is None:
            memory = _Memory(self._layers, len(self._head_bias), n_steps, n_lanes)
            self._memories[n_lanes, n_steps] = memory
        ends = [(layer.h[-1], layer.c[-1]) for layer in self._now.layers] if goes_on and self._now is not None else []
        self._now = memory
        memory.classes = np.ascontiguousarray(classes.transpose(2, 1, 0)).reshape(n_fields, -1)
        at = 0
        for table, field in zip(self._tables, memory.classes, strict=True):
            memory.embedded[:, at : at + table.shape[1]] = table[torch.from_numpy(field)]
            at += table.shape[1]
        below = memory.embedded
        for i, (weights, layer) in enumerate(zip(self._layers, memory.layers, strict=True)):
            torch.addmm(weights.bias + weights.bias_of_state, below, weights.of_input.t(), out=layer.flat)
            layer.turned.copy_(weights.of_state.t())
            layer.h[0], layer.c[0] = ends[i] if ends else (0, 0)
            run_forwards(*layer.recurrence)
            below = layer.after
            if is_training and self._dropout > 0:
                x, mask, out = layer.dropping
                drop(x, self._dropout, int(self._rng.integers(2**62)), mask, out)
                below = layer.dropped
        torch.addmm(self._head_bias, below, self._head.t(), out=memory.scores)
        return memory.scores.view(n_steps, n_lanes, -1)

    def backwards(self, slopes: Tensor) -> None:
        """From the gradients (T * B, C) of the scores to those of all weights, ``slopes`` by their names."""
        memory, into = self._now, self.slopes
        assert memory is not None
        outputs = [layer.dropped if self._dropout > 0 else layer.after for layer in memory.layers]
        torch.mm(slopes.t(), outputs[-1], out=into["head.weight"])
        torch.sum(slopes, 0, out=into["head.bias"])
        torch.mm(slopes, self._head, out=memory.down)
        for i in range(len(self._layers) - 1, -1, -1):
            weights, layer = self._layers[i], memory.layers[i]
            if self._dropout > 0:
                memory.down.mul_(layer.mask)
            gates, _, _, c, tops = layer.recurrence
            run_backwards(gates, weights.array_of_state, c, tops, memory.array_of_down)
            turned = layer.flat.t()
            torch.mm(turned, outputs[i - 1] if i > 0 else memory.embedded, out=into[f"lstm.weight_ih_l{i}"])
            torch.mm(turned, layer.before, out=into[f"lstm.weight_hh_l{i}"])
            torch.sum(layer.flat, 0, out=into[f"lstm.bias_ih_l{i}"])
            into[f"lstm.bias_hh_l{i}"].copy_(into[f"lstm.bias_ih_l{i}"])
            torch.mm(layer.flat, weights.of_input, out=memory.down if i > 0 else memory.of_embedded)
        at = 0
        for j, field in enumerate(memory.classes):
            table = into[f"embeddings.{j}.weight"].zero_()
            add_rows(table.numpy(), field, memory.of_embedded.numpy()[:, at : at + table.shape[1]])
            at += table.shape[1]


def fast_lstm_of(model: Network, device: torch.device) -> Lstm | None:
    """The LSTM that a network is, if it can be trained so."""
    bare: Any = model.bare
    can = HAS_KERNELS and device.type == "cpu" and isinstance(bare, Lstm)
    return bare if can and bare.head.weight.dtype == torch.float32 else None


class _FastNetwork(Network):
    """A network along one stream, by the same kernels, while it is trained."""

    def __init__(self, model: Network, net: Lstm) -> None:
        super().__init__()
        self.spans, self.is_padded, self.scores_each = model.spans, model.is_padded, model.scores_each
        self._fast = FastLstm(net, 0)

    def forward(self, classes: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """See the base; the state stays in here."""
        scores = self._fast.forwards(classes.numpy(), goes_on=state is not None, is_training=False)
        return scores.transpose(0, 1), True

    def last(self, classes: Tensor) -> Tensor:
        """See the base."""
        return self(classes)[0][:, -1]


def fast_network(model: Network, config: Schedule, device: torch.device) -> Network:
    """The same network, faster if it can be, to be run along one stream after another; of each scores until the next.

    Many windows side by side PyTorch does as fast.
    """
    net = fast_lstm_of(model, device) if config.is_carried else None
    return model if net is None else _FastNetwork(model, net)
