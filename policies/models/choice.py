"""The choice among backends: the one that is named, or the fastest by a short measured trial."""

import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from policies.given import Given
from policies.models.backend import Backend
from simulator.errors import InputError

_TRIAL_CALLS, _WARM_UP_CALLS = 200, 50


class Backends:
    """The backends that can run a network of some kind, in order of preference where nothing is measured."""

    def __init__(self, kinds: Sequence[type[Backend]]) -> None:
        self.kinds = tuple(kinds)

    def __iter__(self) -> Iterator[type[Backend]]:
        return iter(self.kinds)

    def available(self, device: str) -> list[type[Backend]]:
        """Those that run on ``cpu`` or ``cuda`` here."""
        return [kind for kind in self.kinds if kind.device == device and kind.missing() is None]

    def named(self, name: str, device: str) -> type[Backend]:
        """One backend. Raises InputError if it cannot be used here."""
        for kind in self.kinds:
            if kind.name == name and kind.device == device:
                reason = kind.missing()
                if reason is None:
                    return kind
                raise InputError(f"policy.backend: {name!r} cannot be used: {reason}")
        raise InputError(
            f"policy.backend: {name!r} does not run on {device!r}; expected one of "
            f"{', '.join(kind.name for kind in self.kinds if kind.device == device)}"
        )

    def preferred(self, name: str | None, device: str) -> type[Backend]:
        """The backend of that name if it can be used on the device here, else the first that can."""
        found = self.available(device)
        return next((kind for kind in found if kind.name == name), found[0])

    def pick(self, wanted: str, device: str, network: Any, n_steps: int) -> tuple[Backend, dict[str, float]]:
        """The backend of that name, or for ``auto`` the fastest here with the median times, in ns, of all tried.

        Raises:
            InputError: it cannot be used here.
        """
        if wanted != "auto":
            return self.named(wanted, device)(network), {}
        made: dict[str, Backend] = {}
        for kind in self.available(device):
            if kind.is_tried:
                try:
                    made[kind.name] = kind(network)
                except InputError:
                    # Not every network can be exported or captured; the first of the kinds can run them all.
                    if not made:
                        raise
        times = {name: trial(backend, network, n_steps) for name, backend in made.items()}
        return made[min(times, key=times.__getitem__)], times

    def chosen(
        self, wanted: str, device: str, network: Any, n_steps: int, given: Given
    ) -> tuple[Backend, dict[str, float]]:
        """As ``pick``, but what predicted in a recording that is replayed, and no trial where no time is charged."""
        if given.recorded is not None:
            # What predicted then if it is here: another one would round differently.
            return self.preferred(given.recorded.backend, device)(network), {}
        if wanted == "auto" and not given.is_measured:
            # No call's time is charged, so nothing speaks for a choice that could differ from run to run.
            return self.preferred(None, device)(network), {}
        return self.pick(wanted, device, network, n_steps)


def trial(backend: Backend, network: Any, n_steps: int) -> float:
    """The median time of one question of ``n_steps`` accesses, in ns."""
    classes = np.ones((1, n_steps, network.n_fields), np.int64)
    state = backend.new_state()
    times = []
    for i in range(_WARM_UP_CALLS + _TRIAL_CALLS):
        start = time.perf_counter_ns()
        backend.advance(classes, [state])
        if i >= _WARM_UP_CALLS:
            times.append(time.perf_counter_ns() - start)
    return statistics.median(times)
