"""tierfetch from Python: experiments, their results, traces, and single runs in memory (``docs/python.md``).

What is imported from here is what one can rely on; everything is loaded when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.metadata import version

    from experiments.callbacks import Callback as Callback
    from experiments.callbacks import Ongoing as Ongoing
    from experiments.exits import RunsDiedError as RunsDiedError
    from experiments.exits import RunsFailedError as RunsFailedError
    from policies.base import CompiledPolicy as CompiledPolicy
    from policies.base import PolicySettings as PolicySettings
    from policies.base import TablePolicy as TablePolicy
    from policies.given import Built as Built
    from policies.given import Given as Given
    from simulator.accounting import BooksError as BooksError
    from simulator.config import System as System
    from simulator.errors import InputError as InputError
    from simulator.errors import OutsideError as OutsideError
    from simulator.policy import AccessRun as AccessRun
    from simulator.policy import Ahead as Ahead
    from simulator.policy import Answer as Answer
    from simulator.policy import Decision as Decision
    from simulator.policy import Fate as Fate
    from simulator.policy import Outcome as Outcome
    from simulator.policy import Policy as Policy
    from simulator.policy import Told as Told
    from simulator.policy import Trigger as Trigger
    from simulator.trace import Batch as Batch
    from simulator.trace import Workload as Workload
    from simulator.trace import make_batch as make_batch
    from tierfetch.counts import misses as misses
    from tierfetch.kinds import admissions as admissions
    from tierfetch.kinds import evictions as evictions
    from tierfetch.kinds import formats as formats
    from tierfetch.kinds import policies as policies
    from tierfetch.kinds import workloads as workloads
    from tierfetch.memory import Books as Books
    from tierfetch.memory import simulate as simulate
    from tierfetch.record import Recorder as Recorder
    from tierfetch.results import Best as Best
    from tierfetch.results import Results as Results
    from tierfetch.study import Experiment as Experiment
    from tierfetch.traces import Trace as Trace
    from tierfetch.traces import TraceInfo as TraceInfo
    from tierfetch.variants import VariantResults as VariantResults
    from workloads.base import GeneratorSettings as GeneratorSettings
    from workloads.base import KeyGenerator as KeyGenerator
    from workloads.base import SourceSettings as SourceSettings

    __version__ = version("tierfetch")

_WHERE = {
    "experiments.callbacks": ("Callback", "Ongoing"),
    "experiments.exits": ("RunsDiedError", "RunsFailedError"),
    "policies.base": ("CompiledPolicy", "PolicySettings", "TablePolicy"),
    "policies.given": ("Built", "Given"),
    "simulator.accounting": ("BooksError",),
    "simulator.config": ("System",),
    "simulator.errors": ("InputError", "OutsideError"),
    "simulator.policy": (
        "AccessRun", "Ahead", "Answer", "Decision", "Fate", "Outcome", "Policy", "Told", "Trigger",
    ),
    "simulator.trace": ("Batch", "Workload", "make_batch"),
    "tierfetch.counts": ("misses",),
    "tierfetch.kinds": ("admissions", "evictions", "formats", "policies", "workloads"),
    "tierfetch.memory": ("Books", "simulate"),
    "tierfetch.record": ("Recorder",),
    "tierfetch.results": ("Best", "Results"),
    "tierfetch.study": ("Experiment",),
    "tierfetch.traces": ("Trace", "TraceInfo"),
    "tierfetch.variants": ("VariantResults",),
    "workloads.base": ("GeneratorSettings", "KeyGenerator", "SourceSettings"),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _WHERE.items() for name in names}

__all__ = [  # noqa: PLE0604 - what they are is said above
    "__version__", *_MODULE_OF,
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        found: Any = version("tierfetch")
    elif name in _MODULE_OF:
        found = getattr(import_module(_MODULE_OF[name]), name)
    else:
        raise AttributeError(f"module 'tierfetch' has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
