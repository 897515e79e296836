"""What a config may leave out or say shortly, in full: arms by their policies, defaults that depend on what is there.

A minimal config is a workload and arms. What is added here is what is written into results and hashed, as if it had
been said; a config that says all of it comes out as it is.
"""

import re
from pathlib import Path
from typing import Any

from experiments.hardware import system_in_full, with_both
from experiments.overrides import override
from simulator.errors import InputError
from simulator.one_line import call

SEEDS = [0, 1, 2]
PRESET = "h100-sxm-pcie5"
TRAIN_RATIO = 0.5


def with_names(raw: dict[str, Any], path: Path) -> None:
    """Give the experiment and its arms names, the file's and their policies', and it a machine, to be overridden."""
    raw.setdefault("name", re.sub(r"[^A-Za-z0-9._-]+", "_", path.stem).lstrip("._-")[:80] or "experiment")
    raw.setdefault("system", {"preset": PRESET})
    arms = raw.get("arms")
    if not isinstance(arms, list):
        return
    policies = [arm if isinstance(arm, str) else None for arm in arms]
    kinds = [_kind(policy) for policy in policies]
    taken = [arm.get("name") for arm in arms if isinstance(arm, dict)]
    for i, policy in enumerate(policies):
        if policy is None:
            continue
        name, kind = kinds[i], kinds[i]
        if kinds.count(kind) > 1 or name in taken:
            # Two of a kind are told apart by what is said of them.
            name = re.sub(r"[^A-Za-z0-9.-]+", "_", policy).strip("_.-")
        arms[i] = {"name": name[:80], "policy": policy}


def _kind(policy: Any) -> str:
    """What a policy is of, as text or as settings."""
    if isinstance(policy, dict):
        return str(policy.get("kind"))
    try:
        return str(call(policy)["kind"]) if isinstance(policy, str) else ""
    except ValueError:
        return re.sub(r"[^A-Za-z0-9.-]+", "_", policy).strip("_.-") or "arm"


def in_full(raw: dict[str, Any], path: Path) -> dict[str, Any]:
    """A config, after all overrides, with all that it leaves out.

    What it says is left as it is, also what is wrong with it: the checks that follow have the words for that.

    Raises:
        InputError: what is said shortly cannot be understood.
    """
    with_names(raw, path)
    short = raw["system"]
    raw["system"] = system_in_full(short, path.parent)
    arms = raw.get("arms")
    arms = [arm for arm in arms if isinstance(arm, dict)] if isinstance(arms, list) else []
    for arm in arms:
        if isinstance(arm.get("set"), dict) and all(isinstance(key, str) for key in arm["set"]):
            arm["set"] = _in_arm(arm, short, raw["system"], path.parent)
    if arms and "baseline" not in raw:
        raw["baseline"] = default_baseline(arms)
    workload = raw.get("workload")
    if isinstance(workload, dict) and "train_ratio" not in workload and any(_learns(arm, path) for arm in arms):
        workload["train_ratio"] = TRAIN_RATIO
    if "seeds" not in raw:
        raw["seeds"] = SEEDS if _depends_on_seed(workload, path) else SEEDS[:1]
    return raw


def default_baseline(arms: list[dict[str, Any]]) -> Any:
    """The name of the arm that the others are compared with where a config does not say which."""
    return next((arm for arm in arms if _kind(arm.get("policy")) == "none"), arms[0]).get("name")


def _in_arm(arm: dict[str, Any], short: Any, full: Any, folder: Path) -> dict[str, Any]:
    """What an arm changes of the system, by keys that the full form has; another preset as all that it changes."""
    changes: dict[str, Any] = arm["set"]
    if "system.preset" not in changes:
        return with_both(changes)
    where = f"arms.{arm.get('name')}.set"
    raw = {"system": {**short}} if isinstance(short, dict) else {"system": {}}
    for key, value in changes.items():
        try:
            override(raw, key, value)
        except ValueError as error:
            raise InputError(f"{where}: {error}") from None
    found = system_in_full(raw["system"], folder, f"{where}: system")
    return {
        f"system.{key}": value for key, value in found.items() if not isinstance(full, dict) or value != full.get(key)
    }


def _learns(arm: dict[str, Any], path: Path) -> bool:
    from policies.registry import POLICIES

    found = _settings(POLICIES, arm.get("policy"), path)
    return bool(found is not None and found.learns)


def _depends_on_seed(workload: Any, path: Path) -> bool:
    from workloads.registry import SOURCES

    found = _settings(SOURCES, workload.get("source"), path) if isinstance(workload, dict) else None
    return found is None or bool(found.depends_on_seed)


def _settings(registry: Any, said: Any, path: Path) -> Any:
    """What is said, as settings; None if it is none, of which the checks that follow have more to say."""
    from pydantic import ValidationError

    from simulator.places import beside

    try:
        with beside(path.parent):
            return registry.validate(said)
    except (ValidationError, InputError):
        return None
