"""Models that note themselves what they use, and what a recording of them says."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import torch
from torch import Tensor, nn

import tierfetch

STEP = 2**44
NONE = 2**64 - 1


def rows_of(path: Path) -> pd.DataFrame:
    """All accesses, as the reader of a workload has them; ``space`` and ``id`` are parts of the key."""
    rows = tierfetch.Trace.read(path).to_pandas()
    return rows.assign(space=rows["key"] // STEP, id=rows["key"] % STEP)


def legend_of(path: Path) -> dict[str, Any]:
    """What the file says of its spaces, by name."""
    described = json.loads(pq.read_metadata(path).metadata[b"tierfetch_recording"])
    return {space.pop("name"): space for space in described["spaces"]}


class Experts(nn.Module):
    """A mixture of experts, token by token, which notes the experts that it has run."""

    def __init__(self, width: int = 8, n_experts: int = 5, top_k: int = 2) -> None:
        super().__init__()
        self.gate = nn.Linear(width, n_experts)
        self.experts = nn.ModuleList(nn.Linear(width, width) for _ in range(n_experts))
        self.top_k = top_k
        self.ran: list[int] = []

    def forward(self, x: Tensor) -> Tensor:  # (B, width)
        weights, chosen = self.gate(x).softmax(-1).topk(self.top_k, -1)
        out = torch.zeros_like(x)
        for token in range(len(x)):
            for weight, expert in zip(weights[token], chosen[token].tolist(), strict=True):
                self.ran.append(expert)
                out[token] += weight * self.experts[expert](x[token])
        return out


class Model(nn.Module):
    """Tables of both kinds, and a mixture behind them."""

    def __init__(self) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(1000, 8, mode="sum")
        self.tok = nn.Embedding(300, 8)
        self.moe = Experts()

    def forward(self, ids: Tensor, offsets: Tensor, tokens: Tensor) -> Tensor:
        out: Tensor = self.moe(self.bag(ids, offsets) + self.tok(tokens))
        return out
