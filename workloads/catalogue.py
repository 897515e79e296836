"""Language models by name: how many bytes a block of keys and values has, and an expert.

``models.toml`` has the figures, each model's with the published configuration that they are from.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from simulator.errors import InputError

KV_BITS: Mapping[str, int] = {"bf16": 16, "fp16": 16, "fp8": 8, "int8": 8, "int4": 4}
"""Of a number that is kept. Scales, if there are some, are not counted."""
WEIGHT_BITS: Mapping[str, float] = {**KV_BITS, "mxfp4": 4.25}
"""Of a weight; of mxfp4 with the scale of 8 bits that 32 share."""


@dataclass(frozen=True)
class LanguageModel:
    """What of a model decides sizes; 0 where it has no such thing. ``models.toml`` says what each field is."""

    name: str
    source: str
    layers: int
    kv_heads: int = 0
    head_size: int = 0
    latent: int = 0
    sliding_layers: int = 0
    window: int = 0
    moe_layers: int = 0
    experts: int = 0
    top_k: int = 0
    hidden: int = 0
    expert_hidden: int = 0

    def kv_bytes(self, tokens: int = 1, kv: str = "bf16", tensor_parallel: int = 1) -> int:
        """Keys and values of so many tokens, in all layers, on one of ``tensor_parallel`` devices, rounded up.

        Heads are divided over the devices; where there are fewer heads than devices each has one, and with latent
        attention each has all. Layers that look at a window alone are counted like others: what blocks of it are
        written, not what of them is still looked at.
        """
        numbers = self.latent or 2 * -(-self.kv_heads // tensor_parallel) * self.head_size
        return -(-tokens * self.layers * numbers * KV_BITS[kv] // 8)

    def expert_bytes(self, weights: str = "bf16") -> int:
        """One expert of one layer: three matrices. Raises InputError if the model has none."""
        if not self.experts:
            raise InputError(f"model: {self.name!r} has no experts; expected one of {', '.join(with_experts())}")
        return -(-3 * self.hidden * self.expert_hidden * int(100 * WEIGHT_BITS[weights]) // 800)


@cache
def catalogue() -> Mapping[str, LanguageModel]:
    """All, by name."""
    with Path(__file__).with_name("models.toml").open("rb") as file:
        return {name: LanguageModel(name, **fields) for name, fields in tomllib.load(file).items()}


def with_experts() -> list[str]:
    """The names of those that have some."""
    return [name for name, model in catalogue().items() if model.experts]


def model_named(name: str) -> LanguageModel:
    """The model of a name. Raises InputError if there is none, and says which comes nearest."""
    found = catalogue().get(name)
    if found is None:
        close = get_close_matches(name, catalogue(), 1)
        meant = f" ({close[0]!r}?)" if close else ""
        raise InputError(f"model: {name!r} is not known{meant}; expected one of {', '.join(catalogue())}")
    return found
