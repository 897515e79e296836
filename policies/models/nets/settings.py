"""The settings of the networks that come with it, without torch: each field is an argument of the network's class."""

from typing import Annotated

from pydantic import Field, model_validator

from simulator.config import Strict

Size = Annotated[int, Field(ge=1, le=4096)]
Layers = Annotated[int, Field(ge=1, le=16)]
Dropout = Annotated[float, Field(ge=0, lt=1)]


class RecurrentSettings(Strict):
    """Of ``gru`` and ``lstm``."""

    embedding: Annotated[int, Field(ge=2, le=4096)] = 64
    """Width of what a class is embedded in; the fields of an access share it."""
    hidden: Size = 64
    """Units of each layer."""
    layers: Layers = 2
    """Layers, one above the other."""
    dropout: Dropout = 0.1
    """Share of units that are left out in each step of training."""


class MlpSettings(Strict):
    """Of ``mlp``."""

    embedding: Annotated[int, Field(ge=2, le=4096)] = 32
    """Width of what a class is embedded in; the fields of an access share it."""
    hidden: Size = 128
    """Units of each hidden layer."""
    layers: Layers = 2
    """Layers, one above the other."""
    dropout: Dropout = 0.1
    """Share of units that are left out in each step of training."""


class TransformerSettings(Strict):
    """Of ``transformer``."""

    embedding: Annotated[int, Field(ge=2, le=4096)] = 64
    """Width of what a class is embedded in; the fields of an access share it."""
    heads: Annotated[int, Field(ge=1, le=256)] = 4
    """Attention heads; `embedding` is a multiple of them."""
    hidden: Size = 128
    """Units of each hidden layer."""
    layers: Layers = 2
    """Layers, one above the other."""
    dropout: Dropout = 0.1
    """Share of units that are left out in each step of training."""

    @model_validator(mode="after")
    def _heads(self) -> "TransformerSettings":
        if self.embedding % self.heads:
            raise ValueError(f"embedding: {self.embedding} is no multiple of heads: {self.heads}; expected one")
        return self


NETS: dict[str, tuple[str, type[Strict]]] = {
    "lstm": ("policies.models.nets.lstm:Lstm", RecurrentSettings),
    "gru": ("policies.models.nets.gru:Gru", RecurrentSettings),
    "mlp": ("policies.models.nets.mlp:Mlp", MlpSettings),
    "transformer": ("policies.models.nets.transformer:Transformer", TransformerSettings),
}
"""Where each is, and its settings."""
CARRIES = ("lstm", "gru")
"""Those that can carry a state; all can be run over a window."""
