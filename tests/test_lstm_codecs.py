"""Encodings: what goes in comes out, a prediction means the access that it was learned from, the unknown means none."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.lstm.config import LstmConfig
from policies.models.codecs.base import IGNORE, UNKNOWN
from policies.models.codecs.registry import CODECS

keys = st.lists(st.one_of(st.integers(0, 20), st.integers(2**64 - 3, 2**64 - 1)), min_size=2, max_size=40)
ENCODINGS = sorted(CODECS)


def config(encoding: str, **changes: Any) -> LstmConfig:
    return LstmConfig.model_validate({"kind": "lstm", "encoding": encoding, "page_blocks": 4, **changes})


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(keys, st.integers(1, 8), st.integers(1, 4))
def test_targets_decode_to_the_access_ahead(encoding: str, values: list[int], limit: int, horizon: int) -> None:
    """Of all targets: the class that would have been right to predict names the key that came, or is unknown."""
    sequence = np.array(values, np.uint64)
    settings = config(encoding, vocabulary=limit, horizons=[horizon])
    codec = CODECS[encoding].learn([sequence], settings)
    targets = codec.targets(sequence, horizon)
    assert targets.shape == (len(values), len(codec.n_outputs(horizon)))
    for i, row in enumerate(targets.tolist()):
        if i + horizon >= len(values):
            assert row == [IGNORE] * targets.shape[1]
            continue
        assert all(0 <= class_ < n for class_, n in zip(row, codec.n_outputs(horizon), strict=True))
        decoded = codec.decode(values[i], row, horizon)
        came = values[i + horizon]
        if UNKNOWN in row:
            assert decoded is None
        else:
            # A step over the end of the key space and one of the same size within it are one class.
            assert decoded == came or (encoding.startswith("delta") and abs(came - values[i]) >= 2**63)


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(keys, st.integers(1, 8), st.lists(st.integers(1, 39), max_size=4))
def test_encoding_in_pieces_is_encoding_at_once(
    encoding: str, values: list[int], limit: int, cuts: list[int]
) -> None:  # fmt: skip
    """As the policy does it, run by run; and every class has a place in the embedding."""
    sequence = np.array(values, np.uint64)
    codec = CODECS[encoding].learn([sequence], config(encoding, vocabulary=limit))
    whole = codec.encode(sequence)
    assert whole.shape == (len(values), len(codec.n_inputs)) == (len(values), len(codec.names))
    assert (whole >= 0).all()
    assert (whole < np.array(codec.n_inputs)).all()
    pieces, previous = [], None
    edges = [0, *sorted({cut for cut in cuts if cut < len(values)}), len(values)]
    for start, end in pairwise(edges):
        pieces.append(codec.encode(sequence[start:end], previous))
        previous = values[end - 1]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


@given(keys, st.integers(1, 8))
def test_coverage_of_keys(values: list[int], limit: int) -> None:
    """The share of accesses, the first apart, whose key is among the most frequent ones."""
    codec = CODECS["key"].learn([np.array(values, np.uint64)], config("key", vocabulary=limit))
    ranked = sorted(set(values), key=lambda v: (-values.count(v), v))[:limit]
    assert codec.coverage([np.array(values, np.uint64)]) == pytest.approx(
        np.mean([value in ranked for value in values[1:]])
    )


def test_delta_leaves_the_key_space_to_none() -> None:
    codec = CODECS["delta"].learn([np.arange(10, dtype=np.uint64)], config("delta"))
    assert codec.decode(7, [1], 1) == 8
    assert codec.decode(2**64 - 1, [1], 1) is None
    assert codec.decode(7, [UNKNOWN], 1) is None


def test_offsets_stand_beside_steps() -> None:
    """Pages of 4 blocks: each access has its place in one; what is predicted is a step, to keys never seen, too."""
    codec = CODECS["delta_offset"].learn([np.array([0, 1, 2, 7], np.uint64)], config("delta_offset"))
    assert (codec.n_inputs, codec.n_outputs(1)) == ((3, 5), (3,))
    assert codec.encode(np.array([8, 13, 14, 2], np.uint64)).tolist() == [[UNKNOWN, 1], [2, 2], [1, 3], [UNKNOWN, 3]]
    assert codec.decode(100, [2], 1) == 105


def test_page_and_offset_reach_blocks_that_training_never_saw() -> None:
    """Pages 0 and 1 of 4 blocks; block 3 was never accessed, but its page and its offset were."""
    codec = CODECS["page_offset"].learn([np.array([0, 1, 2, 4, 7], np.uint64)], config("page_offset"))
    assert codec.n_inputs == (3, 5)
    assert codec.encode(np.array([3, 4, 99], np.uint64)).tolist() == [[1, 4], [2, 1], [UNKNOWN, 4]]
    assert codec.decode(0, [1, 4], 1) == 3
    assert codec.decode(0, [UNKNOWN, 4], 1) is None
    assert codec.decode(0, [1, UNKNOWN], 1) is None
