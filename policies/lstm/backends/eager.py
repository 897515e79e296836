"""PyTorch as it comes, on any device: LSTM cells for one step, the fused LSTM for longer runs."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from policies.lstm.model import Weights
from policies.models.backend import Backend
from policies.models.codecs.base import Classes, Floats
from policies.models.cuda import OnCuda, bytes_of


class Eager(Backend):
    """On the CPU. A state is (h, c), each (layers, 1, H)."""

    name = "eager"
    device = "cpu"
    takes_weights = True

    def __init__(self, weights: Weights, place: torch.device | None = None) -> None:
        self.place = torch.device(self.device) if place is None else place
        if self.device == "cpu":
            # One small step at a time: a second thread costs more than it gives.
            torch.set_num_threads(1)

        def tensor(array: Floats) -> Tensor:
            return torch.from_numpy(array).to(self.place)

        self._shape = (weights.n_layers, 1, weights.n_hidden)
        self._embeddings = [tensor(e) for e in weights.embeddings]
        self._w_ih = [tensor(w) for w in weights.input_weights]
        self._w_hh = [tensor(w) for w in weights.hidden_weights]
        self._b = [tensor(b) for b in weights.biases]
        self._zero_b = torch.zeros_like(self._b[0])
        self._head, self._head_bias = tensor(weights.head), tensor(weights.head_bias)
        n_input = self._w_ih[0].shape[1]
        self._lstm = nn.LSTM(n_input, weights.n_hidden, weights.n_layers, batch_first=True, device=self.place).eval()
        with torch.no_grad():
            for i in range(weights.n_layers):
                getattr(self._lstm, f"weight_ih_l{i}").copy_(self._w_ih[i])
                getattr(self._lstm, f"weight_hh_l{i}").copy_(self._w_hh[i])
                getattr(self._lstm, f"bias_ih_l{i}").copy_(self._b[i])
                getattr(self._lstm, f"bias_hh_l{i}").zero_()
        self._lstm.flatten_parameters()

    def weights(self) -> list[Tensor]:
        """All that lies on the device: for one access alone, and the same once more for longer runs."""
        apart = [*self._embeddings, *self._w_ih, *self._w_hh, *self._b, self._zero_b, self._head, self._head_bias]
        return [*apart, *self._lstm.parameters()]

    def take(self, network: Weights) -> None:
        """See the base."""
        with torch.no_grad():
            for mine, other in zip(self.weights(), type(self)(network, self.place).weights(), strict=True):
                mine.copy_(other)

    def new_state(self) -> list[Tensor]:
        """Zero."""
        return [torch.zeros(self._shape, device=self.place) for _ in range(2)]

    def copy(self, state: list[Tensor]) -> list[Tensor]:
        """Tensors of its own."""
        return [part.clone() for part in state]

    def advance(self, classes: Classes, states: Sequence[list[Tensor]]) -> Floats:
        """See the base."""
        with torch.inference_mode():
            inputs = torch.from_numpy(np.ascontiguousarray(classes)).to(self.place)  # (B, T, fields)
            scores = self.scores(inputs, states)
            found: Floats = scores.cpu().numpy()
        return found

    def scores(self, inputs: Tensor, states: Sequence[list[Tensor]]) -> Tensor:
        """Scores (B, C) on the device after inputs (B, T, fields); the states go on."""
        parts = [table[inputs[..., i]] for i, table in enumerate(self._embeddings)]
        x = parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)  # (B, T, E)
        if len(states) == 1:
            h, c = states[0]
        else:
            h, c = (torch.cat([state[i] for state in states], dim=1) for i in range(2))
        if x.shape[1] == 1:
            top, h, c = self._cell_step(x[:, 0], h, c)
        else:
            output, (h, c) = self._lstm(x, (h, c))
            top = output[:, -1]
        for i, state in enumerate(states):
            # cuDNN refuses states that are cut from a batch.
            state[0], state[1] = (h, c) if len(states) == 1 else (part[:, i : i + 1].contiguous() for part in (h, c))
        return linear(top, self._head, self._head_bias)  # (B, C)

    def _cell_step(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        hs, cs = [], []
        for i in range(self._shape[0]):
            x, after = torch.lstm_cell(x, (h[i], c[i]), self._w_ih[i], self._w_hh[i], self._b[i], self._zero_b)
            hs.append(x)
            cs.append(after)
        return x, torch.stack(hs), torch.stack(cs)


class EagerCuda(OnCuda, Eager):
    """On a CUDA device."""

    def advance(self, classes: Classes, states: Sequence[list[Tensor]]) -> Floats:
        """See the base."""
        return self.on_device(classes, lambda inputs: self.scores(inputs, states))

    def held_bytes(self) -> int:
        """See the base."""
        return bytes_of(self.weights())
