"""The same predictions charged with one latency after another: an experiment made of another one's learned arm."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from experiments.config import Arm, Experiment
from simulator.errors import InputError

MODES = ("async", "sync")
SCALES = (0.1, 1.0, 10.0)
_FIRST_NS, _LAST_NS = 1_000, 100_000_000


class Rung(NamedTuple):
    """A step of the ladder: a backend's name and the scale of its latencies, or ``fixed`` and nanoseconds."""

    backend: str
    mode: str
    value: float


def rungs(per_decade: int) -> list[int]:
    """Latencies in ns: 0, then 1 us to 100 ms in equal steps of their logarithm."""
    n = 5 * per_decade
    return [0, *(round(_FIRST_NS * (_LAST_NS / _FIRST_NS) ** (i / n)) for i in range(n + 1))]


def learned_arm(experiment: Experiment, name: str | None) -> Arm:
    """The arm of that name, or the first that learns. Raises InputError if there is none."""
    for arm in experiment.arms:
        if arm.name == name or (name is None and arm.policy.core.is_measured):
            if not arm.policy.core.is_measured:
                raise InputError(f"--arm {name}: does not learn, so its questions take no time; expected one that does")
            return arm
    names = ", ".join(arm.name for arm in experiment.arms)
    raise InputError(f"--arm {name}: no such arm; expected one of {names}" if name else f"no arm learns: {names}")


def references(experiment: Experiment) -> list[Arm]:
    """What it is compared with: the baseline, and the policies that neither learn nor know the future."""
    from policies.oracle import OracleConfig

    return [
        arm
        for arm in experiment.arms
        if arm.name == experiment.baseline
        or not (arm.policy.core.is_measured or isinstance(arm.policy.core, OracleConfig))
    ]


def measuring(experiment: Experiment, arm: Arm, backends: Sequence[str]) -> Experiment:
    """The arm with each backend, measured, on the first seed: the latency distributions to be scaled."""
    arms = []
    for backend in backends:
        policy = arm.policy.run_by(backend)
        arms.append(
            Arm.model_validate({"name": backend, "policy": policy, "charge": {"kind": "measured"}, "set": arm.set})
        )
    base = next(one for one in experiment.arms if one.name == experiment.baseline)
    return _with(experiment, "measured", [base, *arms], seeds=experiment.seeds[:1])


def climbing(
    experiment: Experiment,
    arm: Arm,
    latencies: Mapping[str, Sequence[int]],
    assumed_ns: int,
    recorded: dict[str, Path] | None = None,
) -> Experiment:
    """The references, and the arm charged with the latencies of each mode, and with scaled recordings of backends.

    At every rung the policy believes that a question takes ``assumed_ns``, so that it wants the same blocks at all.
    """
    policy = arm.policy.beforehand()
    arms = list(references(experiment))
    charge: dict[str, Any]
    for mode, rungs_of_mode in latencies.items():
        for ns in rungs_of_mode:
            charge = {"kind": "fixed", "latency": f"{ns} ns", "assumed": f"{assumed_ns} ns"}
            arms.append(_rung(arm, policy, f"fixed-{mode}-{ns}", mode, charge))
    for backend, mode, scale in product(recorded or {}, latencies, SCALES):
        source = str((recorded or {})[backend])
        charge = {"kind": "sampled", "source": source, "scale": scale, "assumed": f"{assumed_ns} ns"}
        arms.append(_rung(arm, policy, f"{backend}-{mode}-{scale:g}", mode, charge))
    return _with(experiment, "ladder", arms, seeds=experiment.seeds)


def rung_of(arm: str) -> Rung | None:
    """What the name of an arm of ``climbing`` says: None for a reference."""
    backend, mode, value = [*arm.rsplit("-", 2), "", ""][:3]
    return Rung(backend, mode, float(value)) if mode in MODES else None


def _rung(arm: Arm, policy: Any, name: str, mode: str, charge: dict[str, Any]) -> Arm:
    changes = {**arm.set, "system.inference.mode": mode}
    return Arm.model_validate({"name": name, "policy": policy, "charge": charge, "set": changes})


def _with(experiment: Experiment, what: str, arms: list[Arm], seeds: Sequence[int]) -> Experiment:
    update = {"name": f"{experiment.name}-{what}", "arms": tuple(arms), "seeds": tuple(seeds)}
    return experiment.model_copy(update=update)
