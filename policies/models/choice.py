"""The choice among backends: the one that is named, or the fastest by a short measured trial."""

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from policies.given import Given
from policies.models.backend import Backend
from policies.models.top import Choosing
from simulator.errors import InputError

_TRIAL_CALLS, _WARM_UP_CALLS = 200, 50
ON_CPU = " (cpu)"
"""Behind the name of a backend that was timed on the CPU though the GPU was asked for."""


class Backends:
    """The backends that can run a network of some kind, in order of preference where nothing is measured."""

    def __init__(self, kinds: Sequence[type[Backend]], why_not: str = "") -> None:
        """``why_not``: what else may be wrong with one that is none of them."""
        self.kinds, self._why = tuple(kinds), why_not

    def __iter__(self) -> Iterator[type[Backend]]:
        return iter(self.kinds)

    def that_take_weights(self) -> "Backends":
        """Those that can be given other weights while they are used."""
        return Backends([kind for kind in self.kinds if kind.takes_weights], "cannot be updated while it runs, or ")

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
            f"policy.backend: {name!r} {self._why}does not run on {device!r}; expected one of "
            f"{', '.join(kind.name for kind in self.kinds if kind.device == device)}"
        )

    def preferred(self, name: str | None, device: str) -> type[Backend]:
        """The backend of that name if it can be used on the device here, else the first that can."""
        found = self.available(device)
        return next((kind for kind in found if kind.name == name), found[0])

    def pick(self, wanted: str, place: torch.device, network: Any, n_steps: int) -> tuple[Backend, dict[str, float]]:
        """The backend of that name, or for ``auto`` the fastest there with the median times, in ns, of all tried.

        Where that is on a GPU, those that run on the CPU are timed as well, to be told of.

        Raises:
            InputError: it cannot be used here.
        """
        if wanted != "auto":
            return ready(self.named(wanted, place.type), network, place, n_steps), {}
        times: dict[str, float] = {}
        if place.type != "cpu":
            # Before the others, and then they are gone: a module is moved to where it is run.
            others = self._tried(torch.device("cpu"), network, n_steps, must=False).items()
            times = {f"{name}{ON_CPU}": trial(backend, network, n_steps) for name, backend in others}
        made = self._tried(place, network, n_steps, must=True)
        times |= {name: trial(backend, network, n_steps) for name, backend in made.items()}
        return made[min(made, key=times.__getitem__)], times

    def _tried(self, place: torch.device, network: Any, n_steps: int, *, must: bool) -> dict[str, Backend]:
        """Those that can be made; where one ``must`` be, raises InputError if the first cannot."""
        made: dict[str, Backend] = {}
        for kind in self.available(place.type):
            if kind.is_tried:
                try:
                    made[kind.name] = ready(kind, network, place, n_steps)
                except InputError:
                    # Not every network can be exported or captured; the first of the kinds can run them all.
                    if must and not made:
                        raise
        return made

    def chosen(
        self, wanted: str, place: torch.device, network: Any, n_steps: int, given: Given
    ) -> tuple[Backend, dict[str, float]]:
        """As ``pick``, but what predicted in a recording that is replayed, and no trial where no time is charged."""
        if given.recorded is not None:
            # What predicted then if it is here: another one would round differently.
            return ready(self.preferred(given.recorded.backend, place.type), network, place, n_steps), {}
        if wanted == "auto" and not given.is_measured:
            # No call's time is charged, so nothing speaks for a choice that could differ from run to run.
            return ready(self.preferred(None, place.type), network, place, n_steps), {}
        return self.pick(wanted, place, network, n_steps)


def ready(kind: type[Backend], network: Any, place: torch.device, n_steps: int) -> Backend:
    """A backend on a device, that expects questions of ``n_steps`` accesses. Raises InputError if it cannot be made."""
    backend = kind(network, place)
    backend.expect(n_steps)
    return backend


def trial(backend: Backend, network: Any, n_steps: int) -> float:
    """The median time of one question of ``n_steps`` accesses, in ns."""
    classes = np.ones((1, n_steps, network.n_fields), np.int64)
    # As in a run: those whose fields are known are asked for the best classes.
    widths = getattr(network, "widths", None)
    choosing = None if widths is None else Choosing(np.array(widths, np.int64), 1.0, 1)
    state = backend.new_state()
    times = []
    for i in range(_WARM_UP_CALLS + _TRIAL_CALLS):
        start = time.perf_counter_ns()
        if n_steps > 1:
            # A window begins anew.
            state = backend.new_state()
        if choosing is None:
            backend.advance(classes, [state])
        else:
            backend.best(classes, [state], choosing)
        took = time.perf_counter_ns() - start
        # Read each time, as in a run.
        reading_ns = backend.take_device_time().reading_ns
        if i >= _WARM_UP_CALLS:
            times.append(took - reading_ns)
    return statistics.median(times)


def trial_text(times: Mapping[str, float]) -> str | None:
    """What was tried, the fastest first, and behind it those of the CPU that the choice was not among."""
    if not times:
        return None

    def listed(*, on_cpu: bool) -> str:
        found = sorted((ns, name) for name, ns in times.items() if name.endswith(ON_CPU) == on_cpu)
        return ", ".join(f"{name.removesuffix(ON_CPU)} {ns / 1000:.1f} us" for ns, name in found)

    others = listed(on_cpu=True)
    return listed(on_cpu=False) + (f"; with device: cpu {others}" if others else "")
