"""An experiment's config: read, overridden from the command line, checked; every error names the key."""

import copy
import difflib
import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from policies.lstm.config import LstmConfig
from policies.registry import PolicyConfig
from simulator.config import Count, Nanoseconds, Strict, System
from simulator.errors import InputError
from workloads.config import WorkloadConfig

FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)]


class Measured(Strict):
    """Each inference's own wall time."""

    kind: Literal["measured"]


class Replay(Strict):
    """The latencies that an earlier run recorded: ``source`` is its folder, ``arm`` its arm (default: this one)."""

    kind: Literal["replay"]
    source: str
    arm: str | None = None


class Sampled(Strict):
    """Drawn from the latencies that an earlier run recorded."""

    kind: Literal["sampled"]
    source: str
    arm: str | None = None


class Fixed(Strict):
    """The same for each."""

    kind: Literal["fixed"]
    latency: Nanoseconds


class Free(Strict):
    """Nothing."""

    kind: Literal["free"]


ChargeConfig = Annotated[Measured | Replay | Sampled | Fixed | Free, Field(discriminator="kind")]


class Arm(Strict):
    """A policy, what its deciding is charged, and what else differs: ``set`` overrides keys below ``system``."""

    name: FileName
    policy: PolicyConfig
    charge: ChargeConfig | None = None
    set: dict[str, Any] = Field(default_factory=dict)

    @property
    def charged(self) -> Measured | Replay | Sampled | Fixed | Free:
        """The charge, by default measured for a learned policy and nothing for a table."""
        if self.charge is not None:
            return self.charge
        return Measured(kind="measured") if self.policy.learns else Free(kind="free")


class Output(Strict):
    """Which tables to write, and how many accesses a row of ``windows`` sums up."""

    accesses: bool = True
    prefetches: bool = True
    inferences: bool = True
    window: Count = 1000


class Experiment(Strict):
    """The whole config."""

    name: FileName
    seeds: Annotated[
        tuple[Annotated[int, Field(ge=0, lt=2**63)], ...],
        BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v),
    ]
    workload: WorkloadConfig
    system: System
    arms: Annotated[tuple[Arm, ...], Field(min_length=1, strict=False)]
    baseline: str
    output: Output = Output()

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
        for arm in self.arms:
            self.system_of(arm)
            if arm.policy.learns and self.workload.train_ratio == 0:
                raise ValueError(
                    f"workload.train_ratio: is 0, but arm {arm.name!r} learns; expected a share such as 0.5"
                )
            core = arm.policy.core
            batched = isinstance(core, LstmConfig) and core.predictions == "batched"
            if batched and arm.charged.kind == "measured":
                raise ValueError(
                    f"arms.{arm.name}.charge: 'measured' goes with predictions: one_by_one, as no single call is made "
                    "in batches; expected sampled, replay, fixed or free"
                )
        return self

    def system_of(self, arm: Arm) -> System:
        """The system as an arm has it."""
        if not arm.set:
            return self.system
        raw = json.loads(json.dumps({"system": self.system.model_dump(mode="json")}))
        for path, value in arm.set.items():
            if not path.startswith("system."):
                raise ValueError(
                    f"arms.{arm.name}.set: {path!r}; expected a key below system, such as system.placement"
                )
            override(raw, path, value)
        try:
            return System.model_validate(raw["system"])
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(str(part) for part in ("system", *first["loc"]))
            raise ValueError(f"arms.{arm.name}.set: {key}: {first['msg']}; got {first['input']!r}") from None

    def hash_of(self, *parts: Any, system: System | None = None) -> str:
        """A hash of workload and system, and of whatever else is given."""
        described = [
            self.workload.model_dump(mode="json"),
            (system or self.system).model_dump(mode="json"),
            *parts,
        ]
        return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()

    def folder_hash(self) -> str:
        """What makes an experiment's folder: everything but name, seeds and output."""
        return self.hash_of([arm.model_dump(mode="json") for arm in self.arms], self.baseline)[:10]


class _UniqueKeys(yaml.SafeLoader):
    """YAML that refuses a key given twice."""


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    loader.flatten_mapping(node)
    found: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in found:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is there twice", key_node.start_mark)
        found[key] = loader.construct_object(value_node, deep=True)
    return found


_UniqueKeys.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def parse_yaml(text: str, what: str) -> Any:
    """YAML to plain values. Raises InputError with the line."""
    try:
        return yaml.load(text, Loader=_UniqueKeys)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        raise InputError(f"{what}: {where}is not YAML: {getattr(error, 'problem', error)}") from None
    except (TypeError, ValueError) as error:
        # A key that is a list or a mapping, a date that is none: what PyYAML leaves to Python.
        raise InputError(f"{what}: is not YAML that can be read: {error}") from None


def override(raw: Any, path: str, value: Any) -> None:
    """Set ``key.0.path`` in nested dicts and lists. Raises ValueError where the path leads nowhere."""
    *parents, last = path.split(".")
    at = raw
    for done, name in enumerate(parents):
        here = ".".join(parents[: done + 1])
        if isinstance(at, list) and name.isdecimal() and int(name) < len(at):
            at = at[int(name)]
        elif isinstance(at, list) and any(isinstance(item, dict) and item.get("name") == name for item in at):
            at = next(item for item in at if isinstance(item, dict) and item.get("name") == name)
        elif isinstance(at, dict):
            at = at.setdefault(name, {})
        else:
            raise ValueError(f"{path}: there is no {here!r} in the config")
    if isinstance(at, list) and last.isdecimal() and int(last) < len(at):
        at[int(last)] = value
    elif isinstance(at, dict):
        at[last] = value
    else:
        raise ValueError(f"{path}: there is no such key in the config")


def load(path: Path, sets: list[str] | None = None, seeds: list[int] | None = None) -> Experiment:
    """The experiment of a YAML file, with ``key.path=value`` overrides.

    Raises:
        InputError: the file, an override or a value is wrong; the message names every key that is.
    """
    try:
        raw = parse_yaml(path.read_text(), str(path))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected a config") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    if not isinstance(raw, dict):
        raise InputError(f"{path}: expected keys with values, got {type(raw).__name__}")
    raw = copy.deepcopy(raw)
    for text in sets or []:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise InputError(f"--set {text}: expected key.path=value")
        try:
            override(raw, key.strip(), parse_yaml(value, f"--set {text}"))
        except ValueError as error:
            raise InputError(f"--set {text}: {error}") from None
    if seeds is not None:
        raw["seeds"] = seeds
    try:
        return Experiment.model_validate(raw)
    except ValidationError as error:
        raise InputError(_explain(path, error)) from None


def _explain(path: Path, error: ValidationError) -> str:
    lines = []
    problems = error.errors(include_url=False)
    # A list whose items are wrong is reported as too short as well.
    problems = [p for p in problems if p["type"] != "too_short" or len(problems) == 1] or problems
    for problem in problems:
        key = ".".join(str(part) for part in problem["loc"] if not str(part).startswith("function-"))
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            name = str(problem["loc"][-1])
            near = difflib.get_close_matches(name, _known_keys(), n=1, cutoff=0.6)
            message = f"unknown key {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")
        elif problem["type"] == "union_tag_invalid":
            context = problem["ctx"]
            message = f"unknown kind {context['tag']!r}; expected one of {context['expected_tags']}"
        elif problem["type"] == "missing":
            message = "is missing"
        elif not message.startswith("expected") and not isinstance(problem["input"], dict | list):
            message += f"; got {problem['input']!r}"
        lines.append(f"{path}: {key}: {message}" if key else f"{path}: {message}")
    return "\n".join(lines)


def _known_keys() -> list[str]:
    classes: list[type[Strict]] = [Strict]
    keys: set[str] = set()
    while classes:
        class_ = classes.pop()
        keys.update(class_.model_fields)
        classes += class_.__subclasses__()
    return sorted(keys)
