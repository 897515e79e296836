"""An experiment's config, checked as a whole."""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, PrivateAttr, Tag, ValidationError, model_validator

from experiments.arm_checks import check_arm
from experiments.charges import AnyCharge, ChargeConfig, Free, Measured
from experiments.lives import told
from experiments.overrides import override
from policies.registry import PolicyConfig
from simulator.accounting import Keeps
from simulator.config import Arrivals, Closed, Count, Strict, System
from simulator.places import beside, config_folder
from workloads.registry import Source

EngineName = Literal["auto", "compiled", "simpy"]
"""What keeps the events: compiled code, or SimPy, with the same results. ``auto``: compiled, if it can all that is
asked for; which is all but evictions in plain Python from outside."""
Start = Literal["cold", "warm"]
"""Tiers, and what policies have seen: nothing, or as the training part leaves them, which runs first, not judged."""
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)]


class WorkloadConfig(Strict):
    """Where accesses come from, how they arrive, and the share that policies learn from and no arm is judged on."""

    source: Source
    """What makes accesses: a generator, a recorded trace, or what is made of others."""
    arrivals: Arrivals = Field(default_factory=lambda: Closed.model_validate({"kind": "closed"}))
    """When requests come: in a closed loop, at the trace's own times, or at random."""
    train_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """First share of the trace, which policies learn from and no arm is judged on."""
    reuse: Literal["auto", "block", "prefix"] = "auto"
    """Whether a block behind a missing one of its request is of use (rule R41); ``auto``: as the source says."""

    @property
    def reuses_prefixes(self) -> bool:
        """Whether it is of no use: as ``reuse`` says, or the source."""
        return (self.source.reuse if self.reuse == "auto" else self.reuse) == "prefix"

    @model_validator(mode="after")
    def _times(self) -> "WorkloadConfig":
        if self.arrivals.kind == "open" and not self.source.has_times:
            raise ValueError(
                f"arrivals.kind: 'open' needs a trace with arrival times, but source {self.source.kind!r} has none; "
                "expected closed or poisson"
            )
        return self


def _warm_up(value: Any) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if value in ("none", "mser5") or (is_number and (0 < value < 1 or (isinstance(value, int) and value >= 0))):
        return value
    raise ValueError("expected none, mser5, a number of accesses such as 1000, or a share such as 0.1")


WarmUp = Annotated[Literal["none", "mser5"] | int | float, BeforeValidator(_warm_up)]
"""How much is run and not judged, in every arm alike: accesses, a share of them, or until the baseline settles."""


class Arm(Strict):
    """A policy, what its deciding is charged, and what else differs: ``set`` overrides keys below ``system``."""

    name: FileName
    """Names it in tables and folders."""
    policy: PolicyConfig
    """What to prefetch, and when it is asked: a name, a line such as next_n(n=4), or settings of a kind."""
    charge: ChargeConfig | None = None
    """What deciding costs on the simulated clock; null: measured for what learns, nothing for a table."""
    set: dict[str, Any] = Field(default_factory=dict)
    """Overrides of keys below system, for this arm alone: {system.placement: exclusive}."""

    @property
    def charged(self) -> AnyCharge:
        """The charge, by default measured for a network and nothing for a table."""
        if self.charge is not None:
            return self.charge
        return Measured.model_validate({"kind": "measured"}) if self.policy.core.is_measured else Free(kind="free")


class SampledRows(Strict):
    """Of a share of the requests, drawn by their numbers, the same in every arm: those drawn have all their rows."""

    kind: Literal["sampled"]
    rate: Annotated[float, Field(gt=0, le=1)]
    """The share."""


class WindowedRows(Strict):
    """Of every ``every`` accesses the first ``length``: stretches in which all can be seen."""

    kind: Literal["windowed"]
    length: Count
    """Accesses of a stretch."""
    every: Count
    """Accesses from the start of one to the start of the next."""

    @model_validator(mode="after")
    def _fits(self) -> "WindowedRows":
        if self.length > self.every:
            raise ValueError(f"length: {self.length} is more than every: {self.every}; expected a part of it")
        return self


def _rows_kind(value: Any) -> str:
    return str(value.get("kind")) if isinstance(value, dict) else getattr(value, "kind", "bool")


AccessRows = Annotated[
    Annotated[bool, Tag("bool")] | Annotated[SampledRows, Tag("sampled")] | Annotated[WindowedRows, Tag("windowed")],
    Discriminator(_rows_kind),
]


class Output(Strict):
    """Which tables to write, and how many accesses a row of ``windows`` sums up. Of accesses, some may be left out."""

    accesses: AccessRows = True
    """Rows for accesses: true for all, false for none, or some of them."""
    prefetches: bool = True
    """A row for each issued prefetch."""
    inferences: bool = True
    """A row for each question."""
    transfers: bool = False
    """A row for each block that goes over a link, what timelines and explanations are made of."""
    window: Count = 1000
    """Accesses that a row of `windows` sums up."""

    @property
    def keeps(self) -> Keeps:
        """Of which accesses there are rows."""
        match self.accesses:
            case SampledRows():
                return Keeps(share=self.accesses.rate)
            case WindowedRows():
                return Keeps(self.accesses.length, self.accesses.every)
        return Keeps(length=int(self.accesses))


class Experiment(Strict):
    """The whole config."""

    name: FileName
    """Names the folder of results."""
    seeds: Annotated[
        tuple[Annotated[int, Field(ge=0, lt=2**63)], ...],
        BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v),
    ]
    """Each makes its own trace, trains its own models, and is compared arm by arm."""
    workload: WorkloadConfig
    """Where accesses come from, and when."""
    system: System
    """The simulated machine."""
    arms: Annotated[tuple[Arm, ...], Field(min_length=1, strict=False)]
    """What is compared: a policy each, and what else differs."""
    baseline: str
    """The arm that the others are compared with."""
    start: Start = "cold"
    """Tiers and tables begin empty (`cold`), or as the training part leaves them (`warm`)."""
    warm_up: WarmUp = "none"
    """What is run and not judged, in every arm alike: none, accesses, a share, or mser5: until the baseline settles."""
    repeats: Annotated[int, Field(ge=1, le=10_000)] = 1
    """How often measured latencies are measured with each seed; from 2 on intervals cover the machine's noise."""
    output: Output = Output()
    """Which tables are written, and how much of them."""
    engine: EngineName = "auto"
    """What keeps the events; the results are the same. `simpy` is the readable model."""
    _beside: Path | None = PrivateAttr(default=None)
    _swept: dict[str, dict[str, Any]] = PrivateAttr(default_factory=dict)

    def model_post_init(self, context: Any) -> None:
        """Where the config lies: what an arm sets may name files there."""
        self._beside = config_folder()

    @model_validator(mode="after")
    def _arms(self) -> "Experiment":
        names = [arm.name for arm in self.arms]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"arms: {name!r} is there {names.count(name)} times; expected different names")
        if self.baseline not in names:
            raise ValueError(f"baseline: {self.baseline!r} is no arm; expected one of {', '.join(names)}")
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds: expected one or more different numbers, got {list(self.seeds)}")
        if self.start == "warm" and self.workload.train_ratio == 0:
            raise ValueError(
                "start: warm runs the training part first, but workload.train_ratio is 0; expected a share"
            )
        for arm in self.arms:
            check_arm(self, arm)
        return self

    @property
    def swept(self) -> dict[str, dict[str, Any]]:
        """Of arms that a sweep made of one: its keys below ``arms``, and what the sweep says of each."""
        return self._swept

    def say_swept(self, of_arms: dict[str, dict[str, Any]]) -> None:
        """Keep what a sweep says of arms: it is no setting, changes no run and is in no hash."""
        # As a manifest has it.
        self._swept = json.loads(json.dumps(of_arms, default=str))

    def system_of(self, arm: Arm) -> System:
        """The system as an arm has it."""
        if not arm.set:
            return told(self.system, self.workload.source)
        raw = json.loads(json.dumps({"system": self.system.model_dump(mode="json")}))
        for path, value in arm.set.items():
            if not path.startswith("system."):
                raise ValueError(
                    f"arms.{arm.name}.set: {path!r}; expected a key below system, such as system.placement"
                )
            override(raw, path, value)
        try:
            with beside(self._beside):
                return told(System.model_validate(raw["system"]), self.workload.source)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(str(part) for part in ("system", *first["loc"]))
            message = first["msg"].removeprefix("Value error, ")
            got = "" if isinstance(first["input"], dict) else f"; got {first['input']!r}"
            raise ValueError(f"arms.{arm.name}.set: {key}: {message}{got}") from None

    def hash_of(self, *parts: Any, system: System | None = None) -> str:
        """A hash of workload and system, and of whatever else is given."""
        described = [
            self.workload.model_dump(mode="json"),
            (system or self.system).model_dump(mode="json"),
            *parts,
        ]
        return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()

    def folder_hash(self) -> str:
        """What makes an experiment's folder: everything but name, seeds, output and engine."""
        judged = [value for value, usual in ((self.start, "cold"), (self.warm_up, "none")) if value != usual]
        return self.hash_of([arm.model_dump(mode="json") for arm in self.arms], self.baseline, *judged)[:10]
