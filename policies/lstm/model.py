"""The network: an embedding a field, LSTM, dropout, and scores for every horizon and field in one head."""

import os
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from policies.lstm.codecs.base import Codec
from policies.lstm.config import LstmConfig
from simulator.errors import InputError

# Before CUDA starts: cuBLAS then sums in the same order each time. cuBLASLt takes its workspace from that one, here
# 128 KiB, and torch warns where it would ask for more.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":16:8")
os.environ.setdefault("CUBLASLT_WORKSPACE_SIZE", "128")
# Products of three digits would not be those of the other backends.
torch.backends.cudnn.allow_tf32 = False
torch.backends.cuda.matmul.allow_tf32 = False

State = tuple[Tensor, Tensor]
"""h and c, both (layers, B, H)."""
Floats = npt.NDArray[np.float32]


class LstmModel(nn.Module):
    """Two layers of 64 by default. ``spans[horizon]`` has the (first, end) columns of each field's scores."""

    def __init__(self, codec: Codec, config: LstmConfig) -> None:
        super().__init__()
        n_fields = len(codec.names)
        sizes = [config.embedding // n_fields] * (n_fields - 1)
        sizes.append(config.embedding - sum(sizes))
        self.embeddings = nn.ModuleList(nn.Embedding(n, size) for n, size in zip(codec.n_inputs, sizes, strict=True))
        between = config.dropout if config.layers > 1 else 0.0
        self.lstm = nn.LSTM(config.embedding, config.hidden, config.layers, batch_first=True, dropout=between)
        self.dropout = nn.Dropout(config.dropout)
        self.spans: dict[int, list[tuple[int, int]]] = {}
        end = 0
        for horizon in config.horizons:
            self.spans[horizon] = []
            for n in codec.n_outputs(horizon):
                self.spans[horizon].append((end, end + n))
                end += n
        self.head = nn.Linear(config.hidden, end)

    def hidden(self, classes: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """The top layer's output after each access: (B, T, fields) int64 -> (B, T, H), and the state after the last."""
        embedded = torch.cat([layer(classes[..., i]) for i, layer in enumerate(self.embeddings)], dim=-1)  # (B, T, E)
        output, after = self.lstm(embedded, state)
        return output, after

    def forward(self, classes: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Scores of what follows each access: (B, T, fields) int64 -> (B, T, C), and the state after the last."""
        output, after = self.hidden(classes, state)
        return self.head(self.dropout(output)), after

    def n_bytes(self) -> int:
        """What the weights occupy."""
        return int(sum(weight.numel() * weight.element_size() for weight in self.parameters()))


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
    def n_layers(self) -> int:
        """Layers of the LSTM."""
        return len(self.hidden_weights)

    @property
    def n_hidden(self) -> int:
        """Units a layer."""
        return int(self.hidden_weights[0].shape[1])


def weights_of(model: LstmModel, horizon: int) -> Weights:
    """The weights that predict at one horizon."""

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


def pick_device(wanted: str) -> torch.device:
    """The device for ``auto``, ``cuda`` or ``cpu``.

    Raises:
        InputError: it is none of them, or ``cuda`` was asked for and there is none.
    """
    if wanted not in ("auto", "cpu", "cuda"):
        raise InputError(f"device: {wanted!r}; expected auto, cpu or cuda")
    if wanted == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "policy.device: 'cuda', but torch finds no CUDA device here; expected one, or device: cpu or auto"
        )
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")


def device_name(kind: str) -> str:
    """What the tables call a device, ``cpu`` or ``cuda``: the kind, and of a GPU the model."""
    return f"cuda: {torch.cuda.get_device_name()}" if kind == "cuda" else "cpu"
