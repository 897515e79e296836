"""``python -m tests.ahead``: compiles what many tests share into the disk cache, before they run side by side.

On an empty cache each process of the tests would compile all of it by itself.
"""

import multiprocessing
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from experiments.warm import compile_core
from policies.lstm.policy import CompiledLstmPolicy
from simulator.charge import fixed
from simulator.config import Closed
from simulator.engine import Engine
from simulator.plugins import needs_nothing
from simulator.policy import Trigger
from simulator.residency.registry import EVICTIONS
from tests.strategies import FREE, books, system, workload
from tests.test_asking import N_STREAMS, batched, everything, predictor
from tests.test_hybrid import hybrid
from tests.test_lives import OPEN
from tests.test_policies import EXAMPLES, made
from tests.test_presets import PRESETS, is_text
from tests.test_presets import made as reader


def policies() -> None:
    """Each policy, asked without Python; what is asked at arrivals, where requests have a life."""
    closed = Closed.model_validate({"kind": "closed", "think": "1 us"})
    trace = workload(np.random.default_rng(0).integers(0, 60, 300))
    for kind in EXAMPLES:
        arrives = made(kind).trigger == Trigger.ARRIVAL
        machine = system(20_000, requests={"running": 2} if arrives else None)
        Engine(machine, OPEN if arrives else closed, trace, made(kind), FREE, books()).run()


def learned() -> None:
    """The LSTM, asked without Python, and what it has predicted beforehand."""
    for case in ("key", "rollout", "window"):
        everything(Engine, CompiledLstmPolicy(predictor(case), 0.01, N_STREAMS), FREE, {})
    everything(Engine, batched("key"), FREE, {})
    # A hybrid with one answers as a whole where questions are free, else in parts.
    for charge in (FREE, fixed(1)):
        everything(Engine, hybrid(), charge, {})


def readers() -> None:
    """The example of each trace format."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "example.txt"
        for kind, settings in PRESETS.items():
            path.write_text(settings.preset.example + "\n")
            if is_text(settings, kind, path):
                list(reader(kind, path).build(0).batches())


def core() -> None:
    """What each run has, with each eviction policy."""
    compile_core([EVICTIONS.validate(kind) for kind, class_ in EVICTIONS.items() if needs_nothing(class_)])


# In a process of its own: it needs nothing of the core, which each process compiles for itself.
BESIDE = {"readers": readers}
PARTS = {"core and evictions": core, "policies": policies, "the LSTM": learned}


def compile_parts(parts: dict[str, Callable[[], None]]) -> None:
    """One after another, and how long each took."""
    for name, part in parts.items():
        start = time.monotonic()
        part()
        print(f"compiled {name} in {time.monotonic() - start:.0f} s", flush=True)


def main() -> None:
    """All of it, in two processes. Exits with 1 if one of them fails."""
    beside = multiprocessing.get_context("spawn").Process(target=compile_parts, args=(BESIDE,))
    beside.start()
    compile_parts(PARTS)
    beside.join()
    sys.exit(int(beside.exitcode != 0))


if __name__ == "__main__":
    main()
