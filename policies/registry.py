"""Every policy by its ``kind``: one line each. What a builder needs of torch it imports when it is called."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from policies.config import NextNConfig, NoneConfig
from policies.lstm.config import LstmConfig
from policies.next_n import NextNPolicy
from policies.none import NonePolicy
from simulator.policy import Policy, Trigger


@dataclass(frozen=True)
class Training:
    """What a learned policy may learn from, and the run's seed.

    ``sequences`` gives the keys of the training part: one sequence a stream (True) or one of all (False).
    """

    sequences: Callable[[bool], list[npt.NDArray[np.uint64]]]
    seed: int
    progress: Callable[[int, int, float, float], None] | None = None


@dataclass(frozen=True)
class Built:
    """A policy ready to run, what the ``runs`` table says of it, and rows of the ``training`` table."""

    policy: Policy
    details: dict[str, Any] = field(default_factory=dict)
    training: list[dict[str, Any]] = field(default_factory=list)


def _none(config: NoneConfig, training: Training) -> Built:
    return Built(NonePolicy())


def _next_n(config: NextNConfig, training: Training) -> Built:
    return Built(NextNPolicy(config.n, Trigger[config.trigger.upper()], config.stride))


def _lstm(config: LstmConfig, training: Training) -> Built:
    from policies.lstm.policy import LstmPolicy
    from policies.lstm.predictor import LstmPredictor

    predictor = LstmPredictor.trained(training.sequences(config.per_stream), config, training.seed, training.progress)
    return Built(LstmPolicy(predictor), predictor.details(), [asdict(row) for row in predictor.epochs])


BUILDERS: dict[str, Callable[[Any, Training], Built]] = {"none": _none, "next_n": _next_n, "lstm": _lstm}


def check(config: NoneConfig | NextNConfig | LstmConfig) -> None:
    """Find out before any run what a policy needs of the machine. Raises InputError if it is not there."""
    if config.kind == "lstm" and config.device == "cuda":
        from policies.lstm.model import pick_device

        pick_device(config.device)


def build(config: NoneConfig | NextNConfig | LstmConfig, training: Training) -> Built:
    """A fresh policy for one run."""
    return BUILDERS[config.kind](config, training)
