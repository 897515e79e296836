"""``python -m benchmarks.earns [TRACE ...]``: does the hybrid beat the best classic, uncharged and charged as measured?

As ``benchmarks.headroom``, on up to three pieces of each trace: the first 20,000 accesses, and those from 100,000 and
200,000 on. On each piece the best of all classics, cold and warm, is found first; everything else is held against it.
With an LSTM among the experts there are three training seeds. Intervals are those of one run, over its requests.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tierfetch
from benchmarks.headroom import CLASSICS, TRACES, config_of, shares
from policies.experts import USUAL

FIRSTS = (0, 100_000, 200_000)
SEEDS = (0, 1, 2)
_HYBRID: dict[str, Any] = {"kind": "hybrid", "start": "warm"}
# It runs on the CPU: nothing of it lies in tier 0.
_LSTM: dict[str, Any] = {
    "kind": "lstm",
    "encoding": "delta",
    "backend": "compiled",
    "degree": 4,
    "in_gpu_memory": False,
}
ARMS: dict[str, tuple[dict[str, Any], Any, tuple[int, ...]]] = {
    "hybrid": (_HYBRID, "free", SEEDS[:1]),
    "hybrid, measured": (_HYBRID, "measured", SEEDS[:1]),
    "hybrid, cost": ({**_HYBRID, "rule": "cost"}, "free", SEEDS[:1]),
    "with an LSTM": ({**_HYBRID, "experts": [*USUAL, _LSTM]}, "free", SEEDS),
    "with an LSTM, measured": ({**_HYBRID, "experts": [*USUAL, _LSTM]}, "measured", SEEDS),
    "oracle": ({"kind": "oracle"}, "free", SEEDS[:1]),
}


def classics() -> dict[str, dict[str, Any]]:
    """All, cold and warm."""
    return {**CLASSICS, **{f"{name}-warm": {**policy, "start": "warm"} for name, policy in CLASSICS.items()}}


def held_against(best: str, source: dict[str, Any], first: int, folder: Path) -> Iterator[tuple[str, float, str]]:
    """Each arm and seed: mean latency over ``none``'s; over the best classic's, with its interval."""
    for seed in SEEDS:
        wanted = {f"arm{i}": arm for i, arm in enumerate(ARMS.values()) if seed in arm[2]}
        content = config_of(source, {}, "free", first)
        content["seeds"], content["baseline"] = [seed], "best"
        content["arms"] = [
            "none", {"name": "best", "policy": classics()[best]},
            *({"name": name, "policy": policy, "charge": charge} for name, (policy, charge, _) in wanted.items()),
        ]  # fmt: skip
        content["output"]["accesses"] = True
        results = tierfetch.Experiment.load(content).run(out=folder / str(seed), progress=False)
        latency = results.runs.set_index("arm")["mean_latency_ns"]
        compared = results.comparisons
        compared = compared[compared["metric"] == "request_latency_ns"].set_index("arm")
        for i, name in enumerate(ARMS):
            arm = f"arm{i}"
            if arm not in wanted:
                continue
            row = compared.loc[arm]
            ratio, low, high = (1 + row[end] / row["baseline_mean"] for end in ("difference", "low", "high"))
            yield name, float(latency[arm] / latency["none"]), f"{ratio:.3f} [{low:.3f}, {high:.3f}]"


def main() -> None:
    """A row for each trace, piece, arm and seed."""
    print("| trace | from | arm | over none | over the best classic |\n|---|---:|---|---:|---|", flush=True)
    for trace in sys.argv[1:] or list(TRACES):
        for first in FIRSTS:
            with TemporaryDirectory() as folder:
                try:
                    found = shares(trace, Path(folder) / "classics", classics(), first)
                except IndexError:
                    # The trace is shorter than that.
                    continue
                best = min(found, key=found.__getitem__)
                print(f"| {trace} | {first:,} | {best} | {found[best]:.4f} | 1 |", flush=True)
                for name, share, said in held_against(best, TRACES[trace], first, Path(folder)):
                    print(f"| {trace} | {first:,} | {name} | {share:.4f} | {said} |", flush=True)


if __name__ == "__main__":
    main()
