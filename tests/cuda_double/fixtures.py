"""The double as fixtures of pytest."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from policies.models import cuda
from tests.cuda_double.double import cuda_double
from tests.cuda_double.machine import Machine


def without_waking(patches: pytest.MonkeyPatch) -> None:
    """Its clocks need no time to rise; and devices of another double are others."""
    patches.setattr(cuda, "_WAKE_S", 0.0)
    cuda.wake.cache_clear()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """One device."""
    without_waking(monkeypatch)
    with cuda_double() as made:
        yield made


@pytest.fixture
def two_devices(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """A GPU and a MIG instance."""
    without_waking(monkeypatch)
    with cuda_double("Double H100 80GB", "Double H100 80GB MIG 1g.10gb") as made:
        yield made


@pytest.fixture
def only_reading_takes_time(monkeypatch: pytest.MonkeyPatch, machine: Machine) -> Machine:
    """Nothing but reading events moves the host's clock: by 1,000,000 ns each pair."""
    machine.reading_ns = 1_000_000
    clock: Any = SimpleNamespace(
        perf_counter_ns=lambda: machine.host_ns, thread_time_ns=lambda: machine.host_ns, monotonic=lambda: 0.0
    )
    for module in ("cuda", "policy", "predictor"):
        monkeypatch.setattr(f"policies.models.{module}.time", clock)
    return machine
