"""Tokens a second in training, and questions a second of a trained model on each backend."""

from collections.abc import Iterator
from time import perf_counter

import numpy as np
import torch

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


def measure() -> Iterator[Measurement]:
    """Of the default model on a pointer chase of 500 keys; ``n_accesses`` counts tokens, then questions."""
    made = SOURCES.parse(f"pointer_chase(n_keys=500, accesses={N_ACCESSES}, block=1 B, spacing=8)").build(0, "chase")
    keys = np.concatenate([batch.key for batch in made.batches()])
    config = LstmConfig.model_validate({"kind": "lstm", "epochs": EPOCHS, "patience": EPOCHS})
    for kind in ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]:
        device = pick_device(kind)
        start = perf_counter()
        trained = train([Accesses(keys, np.zeros(len(keys), bool))], LstmRecipe(config), 0, device, None)
        yield Measurement("learning", f"training, {kind}", N_ACCESSES * EPOCHS, perf_counter() - start)
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
