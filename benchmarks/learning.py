"""Tokens a second in training, and questions a second of a trained model on each backend."""

from collections.abc import Iterator
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from benchmarks.results import Measurement
from policies.given import Accesses
from policies.lstm.backends.registry import BACKENDS
from policies.lstm.config import LstmConfig
from policies.lstm.model import weights_of
from policies.lstm.recipe import LstmRecipe
from policies.models.device import pick_device
from policies.models.train import train
from workloads.registry import SOURCES

N_ACCESSES, EPOCHS, N_QUESTIONS = 20_000, 3, 5_000
PIECES = ((16, 16), (16, 32), (64, 32))
"""Of the plain loop: so many side by side, of so many accesses."""


def plain_loop(keys: npt.NDArray[np.uint64], n_lanes: int, n_steps: int, layers: int) -> tuple[int, float]:
    """Accesses and seconds of what one would write: nn.LSTM, cross-entropy, clipping, AdamW; nothing is validated."""
    n_classes, classes = len(np.unique(keys)), torch.from_numpy(np.unique(keys, return_inverse=True)[1])
    net = nn.ModuleList(
        [nn.Embedding(n_classes, 64), nn.LSTM(64, 64, layers, batch_first=True), nn.Linear(64, n_classes)]
    )
    embedding, lstm, head = net
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2, fused=True)
    lanes = classes[: (len(classes) - 1) // n_lanes * n_lanes].view(n_lanes, -1)
    after = classes[1 : lanes.numel() + 1].view(n_lanes, -1)
    n, start = 0, perf_counter()
    for _ in range(EPOCHS):
        state: Any = None
        for at in range(0, lanes.shape[1] - n_steps + 1, n_steps):
            outputs, (h, c) = lstm(embedding(lanes[:, at : at + n_steps]), state)
            state = h.detach(), c.detach()
            wanted = after[:, at : at + n_steps].reshape(-1)
            optimizer.zero_grad()
            cross_entropy(head(outputs).reshape(len(wanted), -1), wanted).backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            n += len(wanted)
    return n, perf_counter() - start


def measure() -> Iterator[Measurement]:
    """Of one and of two layers of 64 on a pointer chase of 500 keys; ``n_accesses`` counts tokens, then questions.

    The first training has to load what it is made of, as each process does once. Beside it a plain loop.
    """
    made = SOURCES.parse(f"pointer_chase(n_keys=500, accesses={N_ACCESSES}, block=1 B, spacing=8)").build(0, "chase")
    keys = np.concatenate([batch.key for batch in made.batches()])
    accesses = Accesses(keys, np.zeros(len(keys), bool))
    n_threads = torch.get_num_threads()
    for kind in ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]:
        device = pick_device(kind)
        for layers, name in ((2, "training, first"), (2, "training, two layers"), (1, "training, one layer")):
            config = LstmConfig.model_validate({"kind": "lstm", "epochs": EPOCHS, "layers": layers})
            start = perf_counter()
            trained = train([accesses], LstmRecipe(config), 0, device, None)
            yield Measurement("learning", f"{name}, {kind}", N_ACCESSES * EPOCHS, perf_counter() - start)
        if kind == "cpu":
            torch.set_num_threads(n_threads)
            for n_lanes, n_steps in PIECES:
                n, seconds = plain_loop(keys, n_lanes, n_steps, 2)
                yield Measurement("learning", f"plain loop, two layers, {n_lanes} pieces of {n_steps}", n, seconds)
            torch.set_num_threads(1)
        for backend in BACKENDS.available(device.type):
            made_backend = backend(weights_of(trained.model, 1))
            classes, state = np.full((1, 1, 1), 3, np.int64), made_backend.new_state()
            made_backend.advance(classes, [state])
            times = []
            for _ in range(N_QUESTIONS):
                begin = perf_counter()
                made_backend.advance(classes, [state])
                times.append(perf_counter() - begin)
                # Else it is read in the next call.
                made_backend.take_device_time()
            yield Measurement("learning", f"step, {backend.name}, {kind}", N_QUESTIONS, sum(times))
