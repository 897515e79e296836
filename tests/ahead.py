"""``python -m tests.ahead``: compiles what many tests share into the disk cache, before they run side by side.

On an empty cache each process of the tests would compile all of it by itself.
"""

import multiprocessing
import sys
import time
from collections.abc import Callable
from functools import partial
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


def policies(which: slice) -> None:
    """Some of the policies, asked without Python; what is asked at arrivals, where requests have a life."""
    closed = Closed.model_validate({"kind": "closed", "think": "1 us"})
    trace = workload(np.random.default_rng(0).integers(0, 60, 300))
    for kind in list(EXAMPLES)[which]:
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


# In a process of its own: it needs nothing of the core.
READERS = {"readers": readers}
CORE = {"core and evictions": core}
# In two processes, once the core is there: else each would compile it for itself.
HALVES: tuple[dict[str, Callable[[], None]], ...] = (
    {"half of the policies": partial(policies, slice(0, None, 2)), "the LSTM": learned},
    {"the other half": partial(policies, slice(1, None, 2))},
)


def compile_parts(parts: dict[str, Callable[[], None]]) -> None:
    """One after another, and how long each took."""
    for name, part in parts.items():
        start = time.monotonic()
        part()
        print(f"compiled {name} in {time.monotonic() - start:.0f} s", flush=True)


def main() -> None:
    """All of it, two processes at a time. Exits with 1 if one of them fails."""
    start = multiprocessing.get_context("spawn").Process
    failed = False
    for beside, here in ((READERS, CORE), HALVES):
        process = start(target=compile_parts, args=(beside,))
        process.start()
        compile_parts(here)
        process.join()
        failed |= process.exitcode != 0
    sys.exit(int(failed))


if __name__ == "__main__":
    main()
