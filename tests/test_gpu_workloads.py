"""Workloads of GPU caches: what they promise, and the published figures that they are fitted to."""

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.trace import COLUMNS, Batch, concatenate
from workloads.catalogue import catalogue, model_named
from workloads.embedding_rows import expected_uses
from workloads.kv_sessions import _by_rank
from workloads.registry import SOURCES

SMALL: dict[str, dict[str, Any]] = {
    "moe_experts": {"accesses": 5_000, "batch": 3, "tokens": 20, "layers": 5},
    "embedding_rows": {"accesses": 5_000, "tables": 3, "rows": 500, "batch": 7, "clusters": 4, "cooccurrence": 0.5},
    "kv_sessions": {
        "requests": 300, "block_tokens": 64, "systems": 3, "documents": 4, "retry_ratio": 0.3,
        "first_prompt": [300, 1.0], "system_tokens": 200, "session_gap": "20 s", "most_tokens": 4096,
    },
}  # fmt: skip


def trace(kind: str, seed: int = 0, **changes: Any) -> Batch:
    workload = SOURCES.validate({"kind": kind, **SMALL[kind], **changes}).build(seed)
    batch = concatenate(list(workload.batches()))
    assert workload.length() == len(batch)
    return batch


@pytest.mark.parametrize("kind", SMALL)
def test_it_says_its_features_and_its_models(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    from typer.testing import CliRunner

    from experiments.policies import app

    text = " ".join(CliRunner().invoke(app, [kind]).output.split())
    assert f"Features of its accesses: {', '.join(trace(kind).features)} " in text
    assert ("model is one of llama-2-7b, llama-3.1-8b" in text) == (kind == "kv_sessions")
    assert ("model is one of mixtral-8x7b, mixtral-8x22b" in text) == (kind == "moe_experts")


@pytest.mark.parametrize("kind", SMALL)
def test_contract(kind: str) -> None:
    one, again, other = trace(kind), trace(kind), trace(kind, seed=1)
    for name, dtype in COLUMNS.items():
        column = getattr(one, name)
        assert column.dtype == dtype
        assert np.array_equal(column, getattr(again, name))
    assert not np.array_equal(one.key[:1000], other.key[:1000])
    assert (np.diff(one.time_ns) >= 0).all()
    # A request's accesses follow each other, and no block comes twice among them but where rows are looked up.
    starts = np.flatnonzero(np.r_[True, np.diff(one.request) != 0])
    assert len(starts) == len(np.unique(one.request))
    if kind != "embedding_rows":
        pairs = np.stack([one.request, one.key])
        assert len(np.unique(pairs, axis=1).T) == len(one)


# -- sizes ------------------------------------------------------------------------------------------------------------
def test_sizes_are_the_published_ones() -> None:
    # Of a token's keys and values: DeepSeek-AI, "Insights into DeepSeek-V3" (ISCA 2025), table 1, in KB of 1,000 bytes.
    published = {"deepseek-v3": 70_272, "qwen2.5-72b": 327_680, "llama-3.1-405b": 516_096}
    assert {name: model_named(name).kv_bytes() for name in published} == published
    # 16 tokens of 80 layers on one of four devices, two heads each, in bytes: worked by hand.
    assert model_named("llama-3.1-70b").kv_bytes(16, "fp8", 4) == 16 * 80 * 2 * 2 * 128
    # More devices than heads: each has one. Latent attention: each has all.
    assert model_named("qwen2.5-7b").kv_bytes(1, "bf16", 16) == 28 * 2 * 128 * 2
    assert model_named("deepseek-v3").kv_bytes(1, "bf16", 8) == 70_272
    assert model_named("mixtral-8x7b").expert_bytes() == 3 * 4096 * 14336 * 2
    # A group of 32 weights of 4 bits has a scale of 8.
    assert model_named("gpt-oss-120b").expert_bytes("mxfp4") == 3 * 2880 * 2880 // 32 * 17


def test_parameters_of_all_experts_are_most_of_the_published_ones() -> None:
    # Total parameters by the models' names or cards, in billions; attention and embeddings are the rest.
    total = {"mixtral-8x7b": 46.7, "mixtral-8x22b": 141, "qwen3-30b-a3b": 30.5, "qwen3-235b-a22b": 235,
             "gpt-oss-20b": 20.9, "gpt-oss-120b": 116.8, "deepseek-v3": 671, "olmoe-1b-7b": 6.9}  # fmt: skip
    for name, billions in total.items():
        model = model_named(name)
        of_experts = model.moe_layers * model.experts * model.expert_bytes() / 2 / 1e9
        assert 0.9 < of_experts / billions < 1, name
    assert {name for name, model in catalogue().items() if model.experts} == set(total)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"kind": "moe_experts", "accesses": 10, "model": "mixtral"}, "'mixtral' is not known"),
        ({"kind": "moe_experts", "accesses": 10, "model": "llama-3.1-8b"}, "'llama-3.1-8b' has no experts"),
        ({"kind": "moe_experts", "accesses": 10, "layers": 33}, "layers: 33; expected at most 32"),
        ({"kind": "kv_sessions", "requests": 10, "model": "gpt-5"}, "'gpt-5' is not known"),
        ({"kind": "kv_sessions", "requests": 10, "decode": 1e-300}, "decode"),
        # What would be drawn at once, and what of each row is in memory.
        ({"kind": "embedding_rows", "accesses": 10, "batch": 2**13, "pooling": 2**11 + 1}, "at most 16,777,216"),
        ({"kind": "embedding_rows", "accesses": 10, "tables": 65536, "rows": 2**31}, "at most 67,108,864"),
        ({"kind": "kv_sessions", "requests": 10, "system_tokens": 200, "most_tokens": 100}, "expected less than"),
    ],
)
def test_refused(source: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SOURCES.validate(source)


def test_conversations_that_come_after_all_time_are_refused() -> None:
    source = SOURCES.validate({"kind": "kv_sessions", "requests": 10_000, "session_gap": "1000000 s"})
    with pytest.raises(InputError, match=r"request .* would come after .*; expected fewer requests"):
        source.build(0).length()


# -- experts ----------------------------------------------------------------------------------------------------------
def test_layers_come_in_order_with_the_union_of_the_batch() -> None:
    batch = trace("moe_experts")
    starts = np.flatnonzero(np.r_[True, np.diff(batch.request) != 0])
    layers = batch.features["layer"][starts]
    assert np.array_equal(layers, np.arange(len(layers)) % 5)
    assert np.array_equal(batch.key // 8, batch.features["layer"])
    # Of three tokens between two experts and six; a session's own are there.
    sizes = np.diff(np.r_[starts, len(batch)])[:-1]
    assert set(sizes) <= {2, 3, 4, 5, 6}
    assert len(set(sizes)) > 2
    assert batch.size_bytes[0] == 352_321_536


def test_the_first_expert_repeats_as_published_for_mixtral() -> None:
    # Jiang et al., "Mixtral of Experts" (2024), table 5: first choices that repeat, of 8, in layers 0, 15 and 31.
    source = SOURCES.validate({"kind": "moe_experts", "accesses": 1, "tokens": 10**6, "skew": 0.3})
    steps = source.build(3)._steps()
    first = np.concatenate([next(steps)[0][:, :, 0, 0] for _ in range(250)])
    repeats = (first[1:] == first[:-1]).mean(axis=0)
    # 16,000 tokens: a standard deviation of 0.0035.
    assert repeats[[0, 15, 31]] == pytest.approx([0.14, 0.26, 0.23], abs=0.012)


def test_chance_repeats_what_is_popular() -> None:
    # Where no persistence is asked for, a first expert repeats as often as two independent draws meet.
    source = SOURCES.validate(
        {
            "kind": "moe_experts",
            "accesses": 1,
            "tokens": 10**6,
            "skew": 1.5,
            "persistence": [0.0],
            "layers": 3,
            "topics": 1,
        }
    )
    workload = source.build(0)
    steps = workload._steps()
    first = np.concatenate([next(steps)[0][:, :, 0, 0] for _ in range(300)])
    chance = (workload.popularity()[0] ** 2).sum(axis=1)
    assert (first[1:] == first[:-1]).mean(axis=0) == pytest.approx(chance, abs=0.015)


# -- rows -------------------------------------------------------------------------------------------------------------
def test_reuse_of_rows_is_the_published_one() -> None:
    # facebookresearch/dlrm_datasets: of the rows that are used, 34 % are once, all 12.7 times on the average; 7.6 % of
    # the look-ups are of rows used more than 32,768 times.
    n = 60_000
    look_ups = int(expected_uses(n).sum())
    batch = trace("embedding_rows", accesses=look_ups, tables=1, rows=n, batch=512)
    uses = np.bincount(batch.key.astype(np.int64))
    uses = uses[uses > 0]
    assert uses.mean() == pytest.approx(12.7, rel=0.03)
    assert (uses == 1).mean() == pytest.approx(0.34, abs=0.01)
    assert uses[uses > 32_768].sum() / uses.sum() == pytest.approx(0.076, abs=0.02)


def test_cooccurrence_changes_no_rows_popularity() -> None:
    apart, together = (
        np.bincount(
            trace("embedding_rows", accesses=200_000, tables=1, rows=2_000, clusters=20, cooccurrence=share, batch=64)
            .key.astype(np.int64),
            minlength=2_000,
        )
        for share in (0.0, 0.9)
    )  # fmt: skip
    order = np.argsort(-apart)[:300]
    # Counts of 100 and more: each has a standard deviation of its root, and clusters that of the users.
    assert together[order] == pytest.approx(apart[order], rel=0.5)
    assert np.corrcoef(apart[order], together[order])[0, 1] > 0.99


def test_rows_of_a_user_go_together_where_they_are_to() -> None:
    def meetings(share: float) -> int:
        """How many pairs of rarer rows a sample looks up that another one has looked up, too."""
        batch = trace("embedding_rows", accesses=40_000, tables=1, rows=2_000, clusters=50, cooccurrence=share)
        seen: dict[tuple[int, int], int] = defaultdict(int)
        rare = np.bincount(batch.key.astype(np.int64)) < 60
        for sample in range(int(batch.features["sample"].max())):
            rows = [row for row in np.unique(batch.key[batch.features["sample"] == sample]).tolist() if rare[row]]
            for i, row in enumerate(rows):
                for other in rows[i + 1 :]:
                    seen[row, other] += 1
        return sum(n > 1 for n in seen.values())

    assert meetings(0.9) > 3 * meetings(0.0)


# -- conversations ----------------------------------------------------------------------------------------------------
def test_no_conversation_has_more_tokens_than_it_can() -> None:
    # Turns and answers of thousands of tokens, where 4,096 are all: 64 blocks of 64.
    batch = trace("kv_sessions", prompt=[2000, 1.5], answer=[1000, 1.0], more_turns=0.9, retry_ratio=0.0)
    assert batch.features["tokens"].max() == 4096
    sessions = np.unique(np.stack([batch.features["session"], batch.key]), axis=1)[0]
    assert np.bincount(sessions.astype(np.int64)).max() == 64


def test_the_first_ranks_come_most_often() -> None:
    rng = np.random.default_rng(0)
    drawn = np.bincount([_by_rank(3, rng) for _ in range(11_000)], minlength=3)
    # 1, 1/2 and 1/3 of 11/6; a standard deviation of 52 at most.
    assert drawn == pytest.approx([6000, 3000, 2000], abs=200)


def naive_prefix_hits(batch: Batch) -> tuple[int, int]:
    """Blocks of prompts behind which nothing is missing, with room for all; and all of them."""
    seen: set[int] = set()
    hits = total = 0
    reads = batch[batch.op == 0]
    starts = np.flatnonzero(np.r_[True, np.diff(reads.request) != 0])
    for part in np.split(reads.key, starts[1:]):
        keys = part.tolist()
        n = next((i for i, key in enumerate(keys) if key not in seen), len(keys))
        hits, total = hits + n, total + len(keys)
        seen.update(keys)
    return hits, total


def test_prompts_are_shared_as_in_mooncakes_trace() -> None:
    # The figures of mooncake_conversation.jsonl itself (12,031 requests in 3,537 s): tokens of a prompt 12,035 on the
    # average, 6,909 in the median; 0.366 of the blocks of 512 behind which nothing is missing were there before; 0.31
    # of the requests find four or more; of those who go on 114 s in the median lie between.
    batch = trace("kv_sessions", **{"requests": 12_031}, block_tokens=512, systems=1, documents=0, retry_ratio=0.0,
                  first_prompt=[4650, 1.2], system_tokens=512, session_gap="485 ms", most_tokens=131072)  # fmt: skip
    reads = batch[batch.op == 0]
    starts = np.flatnonzero(np.r_[True, np.diff(reads.request) != 0])
    tokens = reads.features["tokens"][starts]
    assert tokens.mean() == pytest.approx(12_035, rel=0.06)
    assert np.median(tokens) == pytest.approx(6_909, rel=0.06)
    hits, total = naive_prefix_hits(batch)
    assert hits / total == pytest.approx(0.366, abs=0.03)
    assert batch.time_ns[-1] / 1e9 == pytest.approx(3_537, rel=0.06)


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 100), block_tokens=st.sampled_from([16, 100, 512]), documents=st.integers(0, 3),
    retry_ratio=st.sampled_from([0.0, 0.5]), writes=st.booleans(),
)  # fmt: skip
def test_a_key_stands_for_all_that_is_before_it(seed: int, writes: bool, **changes: Any) -> None:
    batch = trace("kv_sessions", seed, requests=60, writes=writes, **changes)
    # Whatever comes before a block in one prompt comes before it in all.
    before: dict[int, int] = {}
    turns: dict[int, int] = {}
    reads = batch[batch.op == 0]
    starts = np.flatnonzero(np.r_[True, np.diff(reads.request) != 0])
    for first, end in zip(starts, [*starts[1:], len(reads)], strict=True):
        keys = reads.key[first:end].tolist()
        for previous, key in zip([-1, *keys], keys, strict=False):
            assert before.setdefault(key, previous) == previous
        # Every whole block of the prompt, and no other; turns of a conversation follow each other.
        assert len(keys) == int(reads.features["tokens"][first]) // changes["block_tokens"]
        session, turn = int(reads.features["session"][first]), int(reads.features["turn"][first])
        assert turn >= turns.get(session, 0)
        turns[session] = turn
    written = batch[batch.op == 1]
    assert (len(written) > 0) <= writes
    # An answer's blocks are of this turn alone: nobody had them before.
    assert len(np.unique(written.key)) == len(written)
