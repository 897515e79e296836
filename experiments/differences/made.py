"""What made two results, as far as they keep it: versions, code, devices, machines, trace files."""

import json
from typing import Any

from experiments.differences.settings import ABSENT
from experiments.plan import stem_of
from experiments.results import KeptResults, read_with

_NO_FACTS = {"load_average", "clock"}
_OF_ARMS = ("latencies", "device", "latencies_backend")


def made_by(a: KeptResults, b: KeptResults, pairs: list[tuple[str, str]]) -> dict[str, list[Any]]:
    """Facts that differ, by name, each as A and B have it."""
    of_both = [_of_all(kept) for kept in (a, b)]
    for arm_a, arm_b in pairs:
        for facts, kept, arm in zip(of_both, (a, b), (arm_a, arm_b), strict=True):
            facts |= {f"arms.{arm_a}.{name}": value for name, value in _of_arm(kept, arm).items()}
    names = dict.fromkeys([*of_both[0], *of_both[1]])
    values = {name: [facts.get(name, ABSENT) for facts in of_both] for name in names}
    # Results from before it was kept do not say of which code they are.
    return {
        name: both for name, both in values.items() if both[0] != both[1] and not (name == "code" and ABSENT in both)
    }


def _of_all(kept: KeptResults) -> dict[str, Any]:
    about = kept.kept.about
    found = {f"versions.{name}": version for name, version in about.get("versions", {}).items()}
    found |= {"code": about["code"]} if "code" in about else {}
    return found | {f"traces.{name}": digest for name, digest in about.get("traces_sha256", {}).items()}


def _of_arm(kept: KeptResults, arm: str) -> dict[str, Any]:
    keys = [key for key in kept.kept.runs if key[0] == arm]
    if not keys:
        return {}
    row = kept.kept.runs[keys[0]].row
    found = {name: row.get(name) for name in _OF_ARMS}
    path = kept.folder / "inferences" / f"{stem_of(*keys[0])}.parquet"
    if row["latencies"] in ("measured", "replay") and path.exists():
        import pyarrow.parquet as pq

        metadata = read_with(path, lambda: pq.read_schema(path)).metadata or {}
        facts = json.loads(metadata.get(b"provenance", b"{}"))
        found |= {f"machine.{name}": value for name, value in facts.items() if name not in _NO_FACTS}
    return found
