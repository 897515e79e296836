"""The network: embedding, LSTM, dropout, a score for every class."""

import torch
from torch import Tensor, nn

from policies.lstm.config import LstmConfig
from simulator.errors import InputError


class LstmModel(nn.Module):
    """Two layers of 64 by default; the state starts at zero with every window."""

    def __init__(self, n_classes: int, config: LstmConfig) -> None:
        super().__init__()
        between = config.dropout if config.layers > 1 else 0.0
        self.embedding = nn.Embedding(n_classes, config.embedding)
        self.lstm = nn.LSTM(config.embedding, config.hidden, config.layers, batch_first=True, dropout=between)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.hidden, n_classes)

    def forward(self, classes: Tensor) -> Tensor:
        """Scores of the next class after each position: (B, T) int64 -> (B, T, C)."""
        hidden, _ = self.lstm(self.embedding(classes))  # (B, T, H)
        scores: Tensor = self.head(self.dropout(hidden))
        return scores

    def last(self, classes: Tensor) -> Tensor:
        """Scores of what follows the window: (B, T) int64 -> (B, C). The head runs once, not at each position."""
        hidden, _ = self.lstm(self.embedding(classes))  # (B, T, H)
        scores: Tensor = self.head(hidden[:, -1])
        return scores

    def n_bytes(self) -> int:
        """What the weights occupy."""
        return sum(weight.numel() * weight.element_size() for weight in self.parameters())


def pick_device(wanted: str) -> torch.device:
    """The device for ``auto``, ``cuda`` or ``cpu``.

    Raises:
        InputError: ``cuda`` was asked for and there is none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "policy.device: 'cuda', but torch finds no CUDA device here; expected one, or device: cpu or auto"
        )
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")


def device_name(device: torch.device) -> str:
    """What the tables call a device: the kind, and of a GPU the model."""
    if device.type == "cuda":
        return f"cuda: {torch.cuda.get_device_name(device)}"
    return "cpu"
