"""A network along a stream, as inference would have it."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from policies.models.codecs.base import Classes
from policies.models.lanes import Encoded, windows_before
from policies.models.network import Network
from policies.models.schedule import Schedule

_CHUNK = 256


def tensor(classes: Classes, device: torch.device) -> Tensor:
    """Classes on a device."""
    return torch.from_numpy(np.ascontiguousarray(classes)).to(device)


def scored(
    model: Network, streams: Sequence[Encoded], config: Schedule, device: torch.device
) -> Iterator[tuple[Tensor, Classes]]:
    """Scores (T, C) along each stream, in pieces, with the targets (T, horizons, ...) of the same accesses."""
    for stream in streams:
        at = 0
        for scores in scores_along(model, stream.inputs, config, device):
            yield scores, stream.targets[at : at + len(scores)]
            at += len(scores)


def scores_along(
    model: Network, inputs: Classes, config: Schedule, device: torch.device, chunk: int = _CHUNK
) -> Iterator[Tensor]:
    """Scores (T, C) after each access of one stream, in pieces: as inference would have it, carried or windowed."""
    if config.is_carried:
        state: Any = None
        for at in range(0, len(inputs), chunk):
            with torch.inference_mode():
                scores, state = model(tensor(inputs[None, at : at + chunk], device), state)
            yield scores[0]
        return
    if model.is_padded:
        windows = windows_before(inputs, config.window)
    else:
        # The first accesses have shorter windows: each is a prefix of the first whole one.
        if config.window > 1:
            with torch.inference_mode():
                scores, _ = model(tensor(inputs[None, : config.window - 1], device))
            yield scores[0]
        if len(inputs) < config.window:
            return
        windows = np.lib.stride_tricks.sliding_window_view(inputs, config.window, axis=0).swapaxes(1, 2)
    for at in range(0, len(windows), chunk):
        with torch.inference_mode():
            scores = model.last(tensor(windows[at : at + chunk].copy(), device))
        yield scores
