"""Shards: the runs of a command dealt out to so many commands, which need not know of each other.

Runs are dealt in turn, in the order of the plan over all experiments: so each shard has as many as any other, but for
one, and whoever knows the plan knows whose a run is.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from experiments.config import Experiment
from experiments.plan import Key, planned
from simulator.errors import InputError

MOST = 100_000


class Shard(NamedTuple):
    """One of so many, from 1 on."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @property
    def folder(self) -> str:
        """Where its results lie, below what is said as --out."""
        return f"shard-{self.number}-of-{self.of}"


class Share(NamedTuple):
    """What a shard makes of an experiment; ``said`` is what a manifest keeps of it."""

    keys: frozenset[Key]
    said: dict[str, Any]


def parse(text: str) -> Shard:
    """``3/64``. Raises InputError if it is none."""
    found = re.fullmatch(r"\s*([0-9]{1,6})\s*/\s*([0-9]{1,6})\s*", text)
    if found is None or not 1 <= int(found[1]) <= int(found[2]) <= MOST:
        raise InputError(f"--shard {text}: expected K/N, such as 3/64: the third of 64, with N up to {MOST:,}")
    return Shard(int(found[1]), int(found[2]))


def shares(experiments: Mapping[str, Experiment], shard: Shard, config: str) -> dict[str, Share]:
    """What a shard makes of each experiment, of those of which it makes anything.

    Raises InputError if there is nothing for it.
    """
    found, before = {}, 0
    plans = {name: planned(experiment) for name, experiment in experiments.items()}
    n_runs = sum(map(len, plans.values()))
    if shard.number > n_runs:
        raise InputError(f"--shard {shard}: there are but {n_runs:,} runs; expected no more shards than that")
    hashes = {name: experiment.folder_hash() for name, experiment in experiments.items()}
    stems = {name: [run.stem for run in runs] for name, runs in plans.items()}
    plan = hashlib.sha256(json.dumps([hashes, stems], sort_keys=True).encode()).hexdigest()[:16]
    said = {"number": shard.number, "of": shard.of, "n_runs": n_runs, "plan": plan, "config": config}
    for name, runs in plans.items():
        keys = frozenset(run.key for i, run in enumerate(runs, before) if shard_of(i, shard.of) == shard.number)
        if keys:
            found[name] = Share(keys, {**said, "before": before})
        before += len(runs)
    return found


def shard_of(place: int, of: int) -> int:
    """Which shard makes the run at a place of the whole plan."""
    return place % of + 1
