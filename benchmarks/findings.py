"""What engineers have reported of caches like these, beside what the configs in ``configs/findings`` give.

``python -m benchmarks.findings --into docs/gpu_workloads.md`` runs the four, in half a minute, and writes the table.
No setting was chosen for a figure to come out; why they differ is said on the page.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.published import print_or_put
from tierfetch import Experiment

FOLDER = Path(__file__).parents[1] / "configs" / "findings"
BEGIN, END = "<!-- findings: begin -->", "<!-- findings: end -->"
Means = dict[str, dict[str, float]]
"""Columns of ``runs`` by arm, means over seeds."""


@dataclass(frozen=True)
class Finding:
    """A figure that was reported, and how it is read off a config's runs."""

    what: str
    source: str
    config: str
    reported: str
    found: Callable[[Means], float]
    unit: str = "%"


def _less(metric: str, arm: str, baseline: str) -> Callable[[Means], float]:
    return lambda means: 100 * (means[arm][metric] / means[baseline][metric] - 1)


def _faster(arm: str, baseline: str) -> Callable[[Means], float]:
    """Work in a given time, against the baseline's."""
    return lambda means: 100 * (means[baseline]["end_ns"] / means[arm]["end_ns"] - 1)


def _is(metric: str, arm: str) -> Callable[[Means], float]:
    return lambda means: means[arm][metric]


FINDINGS = (
    Finding("mean time to the first token, looked up when a request enters the queue, with a backlog",
            "vllm-project/vllm #42321, #41784", "queue_time", "down to -28 %",
            _less("mean_ttft_ns", "enqueued", "scheduled")),
    Finding("the same without a backlog", "vllm-project/vllm #42321", "queue_time", "0",
            _less("mean_ttft_ns", "enqueued_idle", "scheduled_idle")),
    Finding("found of 24 prompts sent a second time, prefetches past a limit skipped", "sgl-project/sglang #27619",
            "occupancy", "0.47", _is("found_ratio", "limited"), ""),
    Finding("the same without a limit", "(expected)", "occupancy", "1", _is("found_ratio", "unlimited"), ""),
    Finding("mean time to the first token, brought up from SSD when asked for, DRAM ample",
            "kvcache-ai/Mooncake #4271", "promotion", "-5 %", _less("mean_ttft_ns", "ample_asked", "ample")),
    Finding("the same, DRAM nearly full", "kvcache-ai/Mooncake #4271", "promotion", "some -80 %",
            _less("mean_ttft_ns", "full_asked", "full")),
    Finding("decode speed, 32 expert slots a layer under LRU against none", "ggml-org/llama.cpp, discussion 28248",
            "expert_slots", "+10 %", _faster("slots_32", "none")),
    Finding("the same, 64 slots", "ggml-org/llama.cpp, discussion 28248", "expert_slots", "+34 %",
            _faster("slots_64", "none")),
)  # fmt: skip


def means_of(config: str, **values: Any) -> Means:
    """Run a config, or the same with other values; means over its seeds of what findings are about."""
    with TemporaryDirectory() as folder:
        runs = Experiment.load(FOLDER / f"{config}.yaml").with_(**values).run(out=folder, progress=False).runs
        means = runs.groupby("arm", sort=False)[["mean_ttft_ns", "found_ratio", "end_ns"]].mean()
    found: Means = means.to_dict("index")
    return found


def text(finding: Finding, value: float) -> str:
    """With its unit."""
    return f"{value:+.0f} %" if finding.unit else f"{value:.2f}"


def table() -> str:
    """All of them."""
    means = {config: means_of(config) for config in dict.fromkeys(finding.config for finding in FINDINGS)}
    lines = ["| what | reported | here | config | source |", "|---|---:|---:|---|---|"]
    lines += [
        f"| {one.what} | {one.reported} | {text(one, one.found(means[one.config]))} | `{one.config}` | {one.source} |"
        for one in FINDINGS
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print_or_put(__doc__, BEGIN, END, table)
