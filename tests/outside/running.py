"""Experiments in a folder of a person's own, run in this process."""

import textwrap
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from typer.testing import CliRunner, Result

from experiments import run

FAST = {"read_bandwidth": "1 TB/s", "write_bandwidth": "1 TB/s"}


def config(*arms: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A small experiment: no prefetching, next-N, and these arms."""
    return {
        "name": "mine",
        "seeds": [0],
        "workload": {"source": {"kind": "mixed", "accesses": 600, "n_keys": 100, "next_ratio": 0.7}},
        "system": {
            "tiers": [{"name": "hbm", "capacity": "2 MiB", **FAST}],
            "links": [{"call": "5 us", **FAST}],
            "origin": {"kind": "store"},
        },
        "arms": [{"name": "none", "policy": "none"}, {"name": "next_n", "policy": "next_n(n=2)"}, *arms],
        "baseline": "none",
        **changes,
    }


def arm(class_: str, name: str = "mine", **more: Any) -> dict[str, Any]:
    """An arm with a policy of a class; ``settings`` and ``time_limit`` are the policy's."""
    policy = {"kind": "python", "class": class_}
    policy |= {key: more.pop(key) for key in ("settings", "time_limit") if key in more}
    return {"name": name, "policy": policy, **more}


def write(folder: Path, name: str, text: str) -> Path:
    """A file of a person's own."""
    path = folder / name
    path.write_text(textwrap.dedent(text))
    return path


def ran(folder: Path, described: dict[str, Any], *options: str) -> Result:
    """The command on a config in that folder, with results in ``out`` there."""
    (folder / "config.yaml").write_text(yaml.safe_dump(described))
    return CliRunner().invoke(run.app, [str(folder / "config.yaml"), "--out", str(folder / "out"), *options])


def rows(folder: Path) -> pd.DataFrame:
    """The table of runs, by arm."""
    return pd.read_parquet(folder / "out" / "runs.parquet").set_index("arm")
