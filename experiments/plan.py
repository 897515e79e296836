"""Which runs an experiment consists of, how their files are called, and in which order they are made."""

from typing import Any, NamedTuple

from experiments.config import Arm, Experiment

Key = tuple[str, int, int]
"""The name of a run's arm, its seed, its repeat."""


def stem_of(arm: str, seed: int, repeat: int = 0) -> str:
    """What a run's files are called, but for what follows the dot."""
    return f"{arm}-{seed}" + (f"-r{repeat}" if repeat else "")


class Run(NamedTuple):
    """An arm with a seed; ``repeat`` counts from 0 where its latencies are measured several times."""

    arm: Arm
    seed: int
    repeat: int = 0

    @property
    def key(self) -> Key:
        """What tells it from others."""
        return self.arm.name, self.seed, self.repeat

    @property
    def stem(self) -> str:
        """What its files are called."""
        return stem_of(*self.key)

    def __str__(self) -> str:
        return f"arm {self.arm.name}, seed {self.seed}" + (f", repeat {self.repeat}" if self.repeat else "")


def key_of(row: dict[str, Any]) -> Key:
    """The run that a row is of."""
    return row["arm"], row["seed"], row["repeat"]


def is_timed(arm: Arm) -> bool:
    """Whether the arm is charged the time that its own inferences, or its training in between, take on this machine."""
    kind = arm.charged.kind
    return kind == "measured" or (arm.policy.core.times_updates and kind not in ("free", "replay"))


def n_repeats(experiment: Experiment, arm: Arm) -> int:
    """How often an arm runs with each seed: what is not timed is the same every time."""
    return experiment.repeats if is_timed(arm) else 1


def planned(experiment: Experiment) -> list[Run]:
    """All runs, in the order of their rows: by arm, seed, repeat."""
    return [
        Run(arm, seed, repeat)
        for arm in experiment.arms
        for seed in experiment.seeds
        for repeat in range(n_repeats(experiment, arm))
    ]


def in_turn(runs: list[Run]) -> list[Run]:
    """In the order in which they are to be made: a repeat of all arms and seeds after the other.

    The machine's state lasts for a while. What is compared is measured close together, and repeats far apart.
    """
    return sorted(runs, key=lambda run: run.repeat)
