"""The network: the LSTM that comes with ``kind: model``, with scores for every horizon and field in one head."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from policies.lstm.config import LstmConfig
from policies.models.codecs.base import Classes, Codec, Floats
from policies.models.nets.lstm import Lstm, State
from policies.models.network import Network


class LstmModel(Lstm, Network):
    """Two layers of 64 by default. ``spans[horizon]`` has the (first, end) columns of each field's scores."""

    def __init__(self, codec: Codec, config: LstmConfig) -> None:
        spans: dict[int, list[tuple[int, int]]] = {}
        end = 0
        for horizon in config.horizons:
            spans[horizon] = []
            for n in codec.n_outputs(horizon):
                spans[horizon].append((end, end + n))
                end += n
        super().__init__(codec.n_inputs, end, config.embedding, config.hidden, config.layers, config.dropout)
        self.spans = spans

    def forward(self, classes: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Scores of what follows each access: (B, T, fields) int64 -> (B, T, C), and the state after the last."""
        output, after = self.lstm(self.embeddings(classes), state)
        return self.head(self.dropout(output)), after

    def last(self, classes: Tensor) -> Tensor:
        """See the base."""
        output, _ = self.lstm(self.embeddings(classes))
        scores: Tensor = self.head(output[:, -1])
        return scores


@dataclass(frozen=True)
class Weights:
    """A trained model as arrays, with the head of one horizon: all that a backend needs.

    Per field (n, e); per layer (4H, in), (4H, H) and the summed biases (4H,), gates in torch's order i, f, g, o; the
    head (C, H) and (C,); ``widths`` are the classes of each field, side by side in C.
    """

    embeddings: tuple[Floats, ...]
    input_weights: tuple[Floats, ...]
    hidden_weights: tuple[Floats, ...]
    biases: tuple[Floats, ...]
    head: Floats
    head_bias: Floats
    widths: tuple[int, ...]

    @property
    def n_fields(self) -> int:
        """Fields of an access."""
        return len(self.embeddings)

    @property
    def n_layers(self) -> int:
        """Layers of the LSTM."""
        return len(self.hidden_weights)

    @property
    def n_hidden(self) -> int:
        """Units a layer."""
        return int(self.hidden_weights[0].shape[1])

    def input_products(self) -> tuple[Floats, Classes]:
        """What every class adds to the first layer's gates: (classes of all fields, 4H), and each field's first row."""
        tables, at = [], 0
        for embedding in self.embeddings:
            width = embedding.shape[1]
            tables.append(embedding @ self.input_weights[0][:, at : at + width].T)
            at += width
        starts = np.cumsum([0, *(len(table) for table in tables)])[:-1].astype(np.int64)
        return np.ascontiguousarray(np.concatenate(tables), np.float32), starts


def weights_of(model: Network, horizon: int) -> Weights:
    """The weights of an LSTM that predict at one horizon."""
    assert isinstance(model, LstmModel)

    def array(tensor: Tensor) -> Floats:
        return np.ascontiguousarray(tensor.detach().cpu().numpy(), np.float32)

    named = dict(model.lstm.named_parameters())
    layers = range(model.lstm.num_layers)
    spans = model.spans[horizon]
    first, end = spans[0][0], spans[-1][1]
    return Weights(
        tuple(array(layer.weight) for layer in model.embeddings),  # type: ignore[arg-type]
        tuple(array(named[f"weight_ih_l{i}"]) for i in layers),
        tuple(array(named[f"weight_hh_l{i}"]) for i in layers),
        tuple(array(named[f"bias_ih_l{i}"] + named[f"bias_hh_l{i}"]) for i in layers),
        array(model.head.weight[first:end]),
        array(model.head.bias[first:end]),
        tuple(b - a for a, b in spans),
    )
