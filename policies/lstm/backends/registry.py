"""Every backend by name, and the choice among them by a short measured trial."""

import statistics
import time

import numpy as np

from policies.lstm.backends.base import Backend
from policies.lstm.backends.compiled import Compiled
from policies.lstm.backends.cuda_graph import CudaGraph
from policies.lstm.backends.eager import Eager, EagerCuda
from policies.lstm.backends.onnx import Onnx
from policies.lstm.model import Weights
from simulator.errors import InputError

# In order of preference where nothing is measured.
BACKENDS: tuple[type[Backend], ...] = (Compiled, Onnx, Eager, CudaGraph, EagerCuda)
_TRIAL_CALLS, _WARM_UP_CALLS = 200, 50


def available(device: str) -> list[type[Backend]]:
    """The backends that run on ``cpu`` or ``cuda`` here."""
    return [kind for kind in BACKENDS if kind.device == device and kind.missing() is None]


def named(name: str, device: str) -> type[Backend]:
    """One backend. Raises InputError if it cannot be used here."""
    for kind in BACKENDS:
        if kind.name == name and kind.device == device:
            reason = kind.missing()
            if reason is None:
                return kind
            raise InputError(f"policy.backend: {name!r} cannot be used: {reason}")
    raise InputError(
        f"policy.backend: {name!r} does not run on {device!r}; expected one of "
        f"{', '.join(kind.name for kind in BACKENDS if kind.device == device)}"
    )


def preferred(name: str | None, device: str) -> type[Backend]:
    """The backend of that name if it can be used on the device here, else the first that can."""
    found = available(device)
    return next((kind for kind in found if kind.name == name), found[0])


def trial(backend: Backend, weights: Weights, n_steps: int) -> float:
    """The median time of one question of ``n_steps`` accesses, in ns."""
    classes = np.ones((1, n_steps, len(weights.embeddings)), np.int64)
    state = backend.new_state()
    times = []
    for i in range(_WARM_UP_CALLS + _TRIAL_CALLS):
        start = time.perf_counter_ns()
        backend.advance(classes, [state])
        if i >= _WARM_UP_CALLS:
            times.append(time.perf_counter_ns() - start)
    return statistics.median(times)


def pick(wanted: str, device: str, weights: Weights, n_steps: int) -> tuple[Backend, dict[str, float]]:
    """The backend of that name, or for ``auto`` the fastest here with the median times, in ns, of all tried.

    Raises:
        InputError: it cannot be used here.
    """
    if wanted != "auto":
        return named(wanted, device)(weights), {}
    made = {kind.name: kind(weights) for kind in available(device)}
    times = {name: trial(backend, weights, n_steps) for name, backend in made.items()}
    return made[min(times, key=times.__getitem__)], times
