"""``python -m benchmarks.vllm_blocks``: tiers beside the blocks of vLLM's own KV cache manager.

Needs vLLM (of its V1 engine the block manager alone: no GPU, no model). Conversations are served one request at a time:
looked up, given blocks, freed. What the manager says it stored and removed is held against tiers of as many blocks,
after each request. Prompts have whole blocks, or any length: a block that is not full has no hash, but takes the place
of one that has, and so does one in the tier where rests are counted.
"""

import argparse
import inspect
import random
from collections.abc import Container, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.prefix_loops import Prompts
from experiments.resident_sets import Moment, compare
from experiments.shims.vllm_requests import hashes_of, number_of
from simulator.residency.registry import EVICTIONS
from simulator.trace import make_batch
from workloads.readers.kv_events import Event, KvEvents

_TOKENS, _VOCABULARY, _LONGEST = 16, 50_000, 60
_NS_PER_S = 10**9
# No hash is as small, but for one in 10^13.
_FIRST_REST = 10**6


class _Replayed:
    """Prompts as a workload: one comes each second."""

    n_streams, stream_ids = 1, None

    def __init__(self, prompts: Prompts) -> None:
        request = np.repeat(np.arange(len(prompts)), [len(keys) for keys in prompts])
        keys = np.array([key for keys in prompts for key in keys], np.uint64)
        self._batch = make_batch(keys, request=request, time_ns=request * _NS_PER_S)

    def length(self) -> int:
        return len(self._batch)

    def batches(self) -> Iterator[Any]:
        yield self._batch


def conversations(n: int, *, is_whole: bool, seed: int = 5) -> list[list[int]]:
    """Prompts as tokens: three of five go on from one of the last twelve, others share their first 40."""
    rng = random.Random(seed)
    talks: list[list[int]] = []
    found = []
    while len(found) < n:
        goes_on = bool(talks) and rng.random() < 0.6
        at = rng.randrange(max(0, len(talks) - 12), len(talks)) if goes_on else len(talks)
        before = talks[at] if goes_on else [7] * 40
        tokens = before + [rng.randrange(_VOCABULARY) for _ in range(rng.randrange(5, 200 if goes_on else 400))]
        if is_whole:
            tokens += [rng.randrange(_VOCABULARY) for _ in range(-len(tokens) % _TOKENS)]
        if len(tokens) <= _LONGEST * _TOKENS:
            talks[at : at + 1] = [tokens]
            found.append(tokens)
    return found


def _made(what: Any, **named: Any) -> Any:
    """Called with what its version takes."""
    known = inspect.signature(what).parameters
    return what(**{name: value for name, value in named.items() if name in known})


class Served:
    """vLLM's manager of so many blocks, and what it did."""

    def __init__(self, n_blocks: int) -> None:
        import torch
        import vllm.v1.core.kv_cache_utils as utils
        from vllm.sampling_params import SamplingParams
        from vllm.v1.core.kv_cache_manager import KVCacheManager
        from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec
        from vllm.v1.request import Request, RequestStatus

        try:
            from vllm.utils.hashing import sha256
        except ImportError:
            from vllm.utils import sha256
        utils.init_none_hash(sha256)
        spec = _made(
            FullAttentionSpec, block_size=_TOKENS, num_kv_heads=1, head_size=1, dtype=torch.float32, use_mla=False
        )
        groups = [KVCacheGroupSpec(["layer"], spec)]
        # One block is never given out.
        config = _made(KVCacheConfig, num_blocks=n_blocks + 1, kv_cache_tensors=[], tensors={}, kv_cache_groups=groups)
        self._manager = _made(
            KVCacheManager, kv_cache_config=config, max_model_len=8192, enable_caching=True, caching_hash_algo="sha256",
            enable_kv_cache_events=True, scheduler_block_size=_TOKENS, hash_block_size=_TOKENS,
        )  # fmt: skip
        hasher = getattr(utils, "get_request_block_hasher", None)
        self._request = lambda i, tokens: _made(
            Request, request_id=f"r{i}", prompt_token_ids=tokens, sampling_params=SamplingParams(max_tokens=1),
            pooling_params=None, eos_token_id=None, multi_modal_inputs=None, multi_modal_hashes=None,
            multi_modal_placeholders=None,
            multi_modal_kwargs=None, arrival_time=0.0, block_hasher=hasher and hasher(_TOKENS, sha256),
        )  # fmt: skip
        self._over = RequestStatus.FINISHED_STOPPED

    def serve(self, i: int, tokens: list[int]) -> tuple[list[int], list[Any]]:
        """A request from its look-up to its end: its blocks' keys, and vLLM's events."""
        manager, request = self._manager, self._request(i, tokens)
        blocks, n_found, *_ = manager.get_computed_blocks(request)
        given = manager.allocate_slots(request, len(tokens) - n_found, n_found, blocks)
        assert given is not None, "it has no room"
        keys = [number_of(one) for one in hashes_of(manager, request)]
        request.num_computed_tokens = len(tokens)
        events = manager.take_events()
        request.status = self._over
        manager.free(request)
        return keys, [*events, *manager.take_events()]


def _as_map(event: Any) -> dict[str, Any]:
    names = ("block_hashes", "medium", "group_idx")
    return {"type": type(event).__name__, **{name: getattr(event, name) for name in names if hasattr(event, name)}}


def served(prompts: list[list[int]], n_blocks: int) -> tuple[list[list[int]], list[Event]]:
    """The keys of each prompt, and all that vLLM did, half a second after each came."""
    manager, read = Served(n_blocks), KvEvents(Path("vllm"))
    found, events = [], list[Event]()
    for i, tokens in enumerate(prompts):
        keys, said = manager.serve(i, tokens)
        found.append(keys)
        events += read.of_record(i + 1, {"ts": i + 0.5, "events": [_as_map(one) for one in said]})
    return found, events


def main() -> None:
    """A table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", default="150,300,400", help="of the cache; one for each row")
    parser.add_argument("--requests", type=int, default=1000)
    given = parser.parse_args()
    if find_spec("vllm") is None:
        parser.error("vllm cannot be imported; expected vLLM 0.10 or later")
    print("| blocks | prompts | eviction | in both, mean | equal after |\n|---:|---|---|---:|---:|")
    for n_blocks in map(int, given.blocks.split(",")):
        for is_whole in (True, False):
            prompts = conversations(given.requests, is_whole=is_whole)
            keys, events = served(prompts, n_blocks)
            lengths = "whole blocks" if is_whole else "any length"
            for kind in ("leaf_lru", "lru", "fifo"):
                print(_row(n_blocks, lengths, kind, compare_keys(keys, events, kind, n_blocks)))
            if not is_whole:
                names = [*range(_FIRST_REST, _FIRST_REST + len(prompts))]
                with_rests = [
                    [*its, name] if len(prompt) % _TOKENS else its
                    for its, name, prompt in zip(keys, names, prompts, strict=True)
                ]
                found = compare_keys(with_rests, events, "leaf_lru", n_blocks, set(names))
                print(_row(n_blocks, f"{lengths}, rests counted", "leaf_lru", found))


def compare_keys(
    keys: Prompts, events: list[Event], kind: str, n_blocks: int, nameless: Container[int] = ()
) -> list[Moment]:
    """A tier with that eviction beside the events, after each prompt."""
    chosen = EVICTIONS.validate(kind)
    return compare(events, _Replayed(keys), chosen, n_blocks, offset_ns=0, nameless=nameless).moments


def _row(n_blocks: int, lengths: str, kind: str, moments: list[Moment]) -> str:
    mean = sum(one.in_both_ratio for one in moments) / len(moments)
    n_equal = sum(one.n_here == one.n_there == one.n_both for one in moments)
    return f"| {n_blocks} | {lengths} | `{kind}` | {mean:.4f} | {n_equal:,} of {len(moments):,} |"


if __name__ == "__main__":
    main()
