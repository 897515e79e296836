"""What a question's time is made of: Python, a launch that does nothing, the device, and what is left to explain."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from policies.lstm.model import Weights
    from policies.models.backend import Backend
    from policies.models.codecs.base import Codec

_WARM_UP_CALLS = 50
Part = tuple[str, list[int]]


def parts_of(backends: "Sequence[Backend]", codec: "Codec", weights: "Weights", n_calls: int) -> list[dict[str, Any]]:
    """A row for each backend: medians in ns of whole questions, a stateful access each, and of their parts.

    The parts add up to the whole by ``rest_ns``, what they do not explain: on a GPU the network's own work on the host.
    """
    return [_row(backend, codec, weights, n_calls) for backend in backends]


def _row(backend: "Backend", codec: "Codec", weights: "Weights", n_calls: int) -> dict[str, Any]:
    from policies.models.device import device_name

    total, device = _questions(backend, codec, n_calls)
    python, _ = _questions(_null(backend, weights), codec, n_calls)
    row: dict[str, Any] = {"backend": backend.name, "device": device_name(backend.place), "n_calls": n_calls}
    row["total_ns"], row["python_ns"] = _median(total), _median(python)
    if backend.place.type == "cuda":
        from policies.models.graphs import empty_launches

        row["empty_launch_ns"] = _median(empty_launches(backend.place, n_calls + _WARM_UP_CALLS)[_WARM_UP_CALLS:])
        row["network_ns"] = _median(device)
    else:
        row["empty_launch_ns"] = 0
        row["network_ns"] = _median(_network(backend, weights, n_calls))
    row["rest_ns"] = row["total_ns"] - row["python_ns"] - row["empty_launch_ns"] - row["network_ns"]
    return row


def _median(values: list[int]) -> int:
    return sorted(values)[len(values) // 2]


def _questions(backend: "Backend", codec: "Codec", n_calls: int) -> tuple[list[int], list[int]]:
    """Host and device times from a key to the chosen blocks, as a policy has them."""
    import numpy as np

    from policies.models.context import Carried
    from policies.models.encoder import CodecEncoder, Seen
    from policies.models.predictor import Predictor

    predictor = Predictor(CodecEncoder("key", codec=codec), backend, lambda: Carried(backend), 1)
    keys = np.random.default_rng(0).integers(0, codec.n_inputs[0] - 1, n_calls + _WARM_UP_CALLS).astype(np.uint64)
    times = predictor.warmed(Seen(keys[:1]), [Seen(keys[i : i + 1]) for i in range(len(keys))])[_WARM_UP_CALLS:]
    return [host for host, _ in times], [device for _, device in times]


def _null(backend: "Backend", weights: "Weights") -> "Backend":
    """A backend that has its answer ready: scores, or the best classes of one that chooses itself."""
    import numpy as np

    from policies.models.backend import Backend

    class Null(Backend):
        name, device = "null", "cpu"

        def __init__(self, network: Any = None, place: Any = None) -> None:
            self._scores = np.random.default_rng(0).normal(size=(1, len(weights.head_bias))).astype(np.float32)

        def new_state(self) -> Any:
            return None

        def copy(self, state: Any) -> Any:
            return None

        def advance(self, classes: Any, states: Any) -> Any:
            return self._scores

    class Chosen(Null):
        _ready: Any = None

        def best(self, classes: Any, states: Any, choosing: Any) -> Any:
            self._ready = self._ready or super().best(classes, states, choosing)
            return self._ready

    return Chosen() if backend.chooses else Null()


def _network(backend: "Backend", weights: "Weights", n_calls: int) -> list[int]:
    """The network alone, on the host."""
    import numpy as np

    state, times = backend.new_state(), []
    n_classes = len(weights.embeddings[0])
    classes = np.random.default_rng(0).integers(0, n_classes, (n_calls + _WARM_UP_CALLS, 1, 1, 1))
    for one in classes:
        start = time.perf_counter_ns()
        backend.advance(one, [state])
        times.append(time.perf_counter_ns() - start)
    return times[_WARM_UP_CALLS:]
