"""Single questions timed on every backend, in turns, back to back or with pauses as the simulated system has them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rich.console import Console

    from experiments.gpu_watch import GpuWatch
    from policies.lstm.model import Weights
    from policies.models.backend import Backend
    from policies.models.codecs.base import Codec
    from simulator.paced import OtherWork

ROUNDS = 20
_WARM_UP_CALLS = 100
Contender = tuple[str, str, int]
"""Backend, device, window; 0: stateful."""
Times = dict[Contender, tuple[list[int], list[int]]]
"""Host and device times of every call, in ns, as many in each round."""


class Pauses(NamedTuple):
    """The least and the most time between the end of a call and the next one, drawn evenly, in ns."""

    least_ns: int
    most_ns: int


@dataclass
class Timed:
    """A backend of a device; ``made_ns`` is what making it took, ``first_ns`` the first call of each window."""

    backend: "Backend"
    device: str
    made_ns: int
    first_ns: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Network:
    """What is timed: two layers of 64."""

    codec: "Codec"
    weights: "Weights"


def network_of(n_classes: int) -> Network:
    """With random weights."""
    import numpy as np

    from policies.lstm.config import LstmConfig
    from policies.lstm.model import LstmModel, weights_of
    from policies.models.codecs.key import KeyCodec

    codec = KeyCodec({"key": np.arange(n_classes - 1, dtype=np.uint64)})
    return Network(codec, weights_of(LstmModel(codec, LstmConfig(kind="lstm")).eval(), 1))


def made(device: str, windows: Sequence[int], network: Network, console: "Console | None") -> list[Timed]:
    """Every backend of a device. Raises InputError if the device is unknown or not there."""
    from policies.lstm.backends.registry import BACKENDS
    from policies.models.device import device_name, pick_device

    place = pick_device(device)
    found = []
    for kind in BACKENDS:
        if device != "auto" and kind.device != place.type:
            continue
        reason = kind.missing()
        if reason is None:
            start = time.perf_counter_ns()
            backend = kind(network.weights, place if place.type == kind.device else None)
            for window in windows:
                backend.expect(window)
            found.append(Timed(backend, device_name(backend.place), time.perf_counter_ns() - start))
        elif console is not None:
            console.print(f"{kind.name} on {kind.device} is left out: {reason}", highlight=False)
    return found


def timed(
    backends: Sequence[Timed], windows: Sequence[int], n_calls: int, network: Network, console: "Console | None",
    pauses: Pauses | None = None, watch: "GpuWatch | None" = None, work: "OtherWork | None" = None,
) -> Times:  # fmt: skip
    """The times of every contender, of the network alone; what chooses on the device is asked to.

    ``watch`` looks at the GPU behind each round, when no call is timed. ``work`` is done before each call.
    """
    import numpy as np

    from policies.models.top import Choosing

    choosing = Choosing(np.array(network.weights.widths, np.int64), 1.0, 1)
    rng, n_classes = np.random.default_rng(0), len(network.weights.head_bias)
    contenders = [(one, window) for one in backends for window in (0, *windows)]
    times: Times = {(one.backend.name, one.device, window): ([], []) for one, window in contenders}
    for turn in range(ROUNDS + 1):
        if console is not None and turn % 5 == 0:
            console.print(f"round {turn} of {ROUNDS}", highlight=False)
        for one, window in contenders:
            backend = one.backend
            host, on_device = times[backend.name, one.device, window]
            state = backend.new_state()
            questions = rng.integers(0, n_classes, (max(n_calls // ROUNDS, 1), 1, max(window, 1), 1))
            gaps_ns = rng.integers(*pauses, len(questions), endpoint=True).tolist() if pauses else [0] * len(questions)
            # The first round warms up clocks and caches.
            for classes, gap_ns in zip(questions if turn else questions[:_WARM_UP_CALLS], gaps_ns, strict=False):
                if gap_ns:
                    time.sleep(gap_ns / 1e9)
                if work is not None:
                    work(gap_ns)
                start = time.perf_counter_ns()
                if window:
                    state = backend.new_state()
                if backend.chooses:
                    backend.best(classes, [state], choosing)
                else:
                    backend.advance(classes, [state])
                took = time.perf_counter_ns() - start
                device_ns = backend.take_device_time().device_ns
                one.first_ns.setdefault(window, took)
                if turn:
                    host.append(took)
                    on_device.append(device_ns)
        if watch is not None:
            watch.take(str(turn))
    return times


def _quantile(values: Sequence[int], q: float) -> int:
    import numpy as np

    return int(np.quantile(values, q, method="inverted_cdf"))


def summarize(times: Times, backends: Sequence[Timed], pace: str) -> list[dict[str, Any]]:
    """A row for each contender. ``speedup_ratio``: eager's median over the same window (the shortest, for stateful)."""
    import numpy as np

    shortest = min((window for _, _, window in times if window), default=0)
    of = {(one.backend.name, one.device): one for one in backends}
    rows = []
    for (backend, device, window), (host, on_device) in times.items():
        yardstick = next(
            host for (name, where, w), (host, _) in times.items()
            if name == "eager" and where == device and w == (window or shortest)
        )  # fmt: skip
        rows.append(
            {
                "backend": backend,
                "device": device,
                "inference": "window" if window else "stateful",
                "window": window or None,
                "pace": pace,
                "n_calls": len(host),
                "p50_ns": _quantile(host, 0.5),
                "p99_ns": _quantile(host, 0.99),
                "p999_ns": _quantile(host, 0.999),
                "mean_ns": float(np.mean(host)),
                "p50_device_ns": _quantile(on_device, 0.5),
                "speedup_ratio": _quantile(yardstick, 0.5) / _quantile(host, 0.5),
                "made_ns": of[backend, device].made_ns,
                "first_ns": of[backend, device].first_ns[window],
            }
        )
    return rows


def by_round(times: Times, pace: str) -> list[dict[str, Any]]:
    """A row for each contender and round."""
    rows = []
    for (backend, device, window), (host, on_device) in times.items():
        n = len(host) // ROUNDS
        for turn in range(ROUNDS):
            mine, its = host[turn * n : (turn + 1) * n], on_device[turn * n : (turn + 1) * n]
            rows.append(
                {
                    "backend": backend, "device": device, "window": window or None, "pace": pace, "round": turn + 1,
                    "n_calls": n, "p50_ns": _quantile(mine, 0.5), "p99_ns": _quantile(mine, 0.99),
                    "p999_ns": _quantile(mine, 0.999), "p50_device_ns": _quantile(its, 0.5),
                }
            )  # fmt: skip
    return rows
