"""``python -m benchmarks.kvcache [--into FILE]``: hits by prefix beside those of kvcache-simulator.

On Mooncake's conversation trace, over the budgets of that package for one of its models: its FIFO beside ``fifo``, its
LRU beside ``leaf_lru`` and ``lru``, its optimum beside ``belady``. It warms on the first half of the requests and
counts tokens of the second, as is done here with our misses, in the order of the trace. A table in Markdown; with
``--into`` put into a page, between its marks. The package is not among the dependencies:

    pip install --no-deps kvcache-simulator
"""

import argparse
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.headroom import TRACES
from benchmarks.prefix_loops import optimal, radix_lru
from benchmarks.published import put_into
from simulator.config import System
from simulator.demand import misses_of
from simulator.trace import Workload, concatenate
from workloads.readers.format import trace_path
from workloads.registry import SOURCES

BEGIN, END = "<!-- kvcache: begin -->", "<!-- kvcache: end -->"
BESIDE = {"fifo": ["fifo"], "lru": ["leaf_lru", "lru"], "optimal": ["belady"]}
"""Its policies, and ours that are held against them."""
_TOKENS = 512
_HALF = 0.5


class Asked(NamedTuple):
    """The trace as that package has read it: where requests start, tokens of each block, how many requests warm."""

    starts: npt.NDArray[np.int64]
    tokens: npt.NDArray[np.int64]
    n_warm: int


def hit_tokens(missed: npt.NDArray[np.bool_], asked: Asked) -> int:
    """Tokens before the first miss of each judged request."""
    found = 0
    for start, end in zip(asked.starts[asked.n_warm : -1], asked.starts[asked.n_warm + 1 :], strict=True):
        wrong = np.flatnonzero(missed[start:end])
        found += int(asked.tokens[start : start + (wrong[0] if len(wrong) else end - start)].sum())
    return found


def ours(workload: Workload, eviction: str, n_blocks: int, asked: Asked) -> int:
    """What a tier of so many blocks hits."""
    fast = {"read_bandwidth": "1 TB/s", "write_bandwidth": "1 TB/s"}
    tier = {"name": "tier", "capacity": f"{n_blocks} B", "eviction": eviction, **fast}
    system = System.model_validate({"tiers": [tier], "links": [fast], "origin": {"kind": "store"}})
    return hit_tokens(misses_of(workload, system, 0, 0)[1], asked)


def _theirs(path: Path, model: str) -> tuple[dict[str, Any], Asked]:
    from kvcache_sim.simulator import run_sweep
    from kvcache_sim.trace import parse_trace_file

    trace = parse_trace_file(path, block_size=_TOKENS)
    found: dict[str, Any] = run_sweep(trace, model_id=model, backend="python", warmup_fraction=_HALF)
    asked = Asked(np.array(trace.request_starts), np.array(trace.tokens), found["metadata"]["warmupRequests"])
    return found, asked


def _of_loop(policy: str, prompts: list[list[int]], n_blocks: int, asked: Asked) -> int:
    """What a plain loop hits that is to be that package's policy, to the last token."""
    found = radix_lru(prompts, n_blocks) if policy == "lru" else optimal(prompts, n_blocks, passes_by=True)
    starts = asked.starts[asked.n_warm : -1]
    return sum(int(asked.tokens[a : a + n].sum()) for a, n in zip(starts, found[asked.n_warm :], strict=True))


def table(model: str) -> str:
    """All of it, and whether the plain loops explain what differs."""
    source = {**TRACES["mooncake"], "block": "1 B"}
    found, asked = _theirs(trace_path(source["path"]), model)
    workload = SOURCES.validate(source).build(0)
    assert workload.length() == asked.starts[-1], "the two have not read the same blocks"
    keys = concatenate(list(workload.batches())).key
    prompts = [part.tolist() for part in np.split(keys, asked.starts[1:-1])]
    names = [f"{policy} | {' | '.join(f'`{one}`' for one in mine)}" for policy, mine in BESIDE.items()]
    lines = [f"| GiB | blocks | {' | '.join(names)} |", "|---:" * (2 + len(" | ".join(names).split(" | "))) + "|"]
    explained = []
    for point in found["points"]:
        n_blocks = point["cacheBlocks"]
        cells = [f"{point['gib']:,g}", f"{n_blocks:,}"]
        for policy, mine in BESIDE.items():
            result = point["results"][policy]
            more = [ours(workload, eviction, n_blocks, asked) - result["hitTokens"] for eviction in mine]
            cells += [
                f"{result['hitRate']:.4f}",
                *(f"{n / result['totalTokens']:+.4f}" if n else "equal" for n in more),
            ]
            if more[0]:
                explained.append(_of_loop(policy, prompts, n_blocks, asked) == result["hitTokens"])
        lines.append(f"| {' | '.join(cells)} |")
    said = f"Where it differs from the first of ours, a plain loop of its rules has its tokens: {sum(explained)} of"
    return "\n".join([*lines, "", f"{said} {len(explained)} counts."])


def main() -> None:
    """To the terminal, or into a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="llama-3.1-8b", help="whose blocks, as that package calls it")
    parser.add_argument("--into", type=Path, help=f"a page with {BEGIN} and {END}")
    given = parser.parse_args()
    if find_spec("kvcache_sim") is None:
        parser.error("kvcache_sim cannot be imported; expected: pip install --no-deps kvcache-simulator")
    text = table(given.model)
    if given.into is None:
        print(text)
    else:
        put_into(given.into, BEGIN, END, text)


if __name__ == "__main__":
    main()
