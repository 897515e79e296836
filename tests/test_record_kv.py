"""KV blocks: one for each chain of tokens, read by prompts and written by answers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import tierfetch
from tests.recorded import STEP, rows_of
from workloads.readers.compact import about

TOKENS = st.lists(st.integers(0, 2), max_size=9)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trace.parquet"


def test_a_conversation(path: Path) -> None:
    first, answer = list(range(10)), list(range(50, 56))
    with tierfetch.Recorder(path) as r:
        r.kv(first, block_tokens=4, bytes_per_token=100, stream=9, request=40)
        r.kv(first, answer, block_tokens=4, bytes_per_token=100, stream=9, reads=False)
        r.kv([*first, *answer, 1], block_tokens=4, bytes_per_token=100, stream=9, request=41)
    rows = rows_of(path)
    # Two whole blocks of the prompt; those that the answer fills, one each; all four of the next prompt.
    assert rows["key"].tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert rows["op"].tolist() == [0, 0, 1, 1, 0, 0, 0, 0]
    assert rows["request"].tolist() == [40, 40, 41, 42, 41, 41, 41, 41]
    assert rows["token"].tolist() == [0, 4, 8, 12, 0, 4, 8, 12]
    assert (rows["size_bytes"] == 400).all()
    described = about(path)
    assert described is not None
    assert described.reuse == "prefix"
    assert described.stream_ids == [9]


def test_a_request_that_is_whole(path: Path) -> None:
    """Its answer is behind its prompt, in one request; of others all is read, or written."""
    with tierfetch.Recorder(path) as r:
        for prompt, answer in (([1, 2, 3], [4, 5]), ([1, 2], [3]), ([1], [2]), ([1], [])):
            r.kv(prompt, answer, block_tokens=2, bytes_per_token=8, answers="whole")
        with pytest.raises(
            ValueError, match="answers='whole', reads=False; expected 'apart', or 'whole' with the reads"
        ):
            r.kv([1], [2], block_tokens=2, bytes_per_token=8, answers="whole", reads=False)
    rows = rows_of(path)
    assert rows["key"].tolist() == [0, 1, 0, 0]
    assert rows["op"].tolist() == [0, 1, 0, 1]
    assert rows["request"].tolist() == [0, 0, 1, 2]


@given(prompts=st.lists(st.tuples(TOKENS, TOKENS), min_size=1, max_size=8), block=st.integers(1, 4))
def test_blocks_are_alike_where_all_tokens_before_are(
    tmp_path_factory: pytest.TempPathFactory, prompts: list[tuple[list[int], list[int]]], block: int
) -> None:
    """Beside numbers of whole prefixes, which need no hash."""
    path = tmp_path_factory.mktemp("kv") / "t.parquet"
    with tierfetch.Recorder(path) as r:
        for prompt, answer in prompts:
            r.kv(prompt, answer, block_tokens=block, bytes_per_token=8)
    numbers: dict[tuple[int, ...], int] = {}
    want = []
    for prompt, answer in prompts:
        whole = [*prompt, *answer]
        for end in range(block, len(whole) + 1, block):
            number = numbers.setdefault(tuple(whole[:end]), len(numbers))
            want.append((number, int(end > len(prompt))))
    rows = rows_of(path)
    assert list(zip(rows["key"], rows["op"], strict=True)) == want


@pytest.mark.parametrize("form", [tuple, np.array, torch.tensor, lambda of: np.array(of, np.uint16)])
def test_forms_of_tokens(path: Path, form: Any) -> None:
    with tierfetch.Recorder(path) as r:
        r.kv([1, 2, 3], block_tokens=1, bytes_per_token=8)
        r.kv(form([1, 2, 3]), form([4]), block_tokens=1, bytes_per_token=8)
    assert rows_of(path)["key"].tolist() == [0, 1, 2, 0, 1, 2, 3]


def test_caches_of_several_models(path: Path) -> None:
    table = torch.nn.Embedding(9, 2)
    with tierfetch.Recorder(path) as r:
        r.embeddings(table)
        with r.request(5, stream=2):
            r.kv([1, 2], block_tokens=2, bytes_per_token=8)
        r.kv([1, 2], block_tokens=1, bytes_per_token=4, name="draft")
        table(torch.tensor([3]))
        with pytest.raises(ValueError, match="kv: block_tokens=16, bytes_per_token=8; expected 2 and 8, as before"):
            r.kv([1, 2], bytes_per_token=8)
    rows = rows_of(path)
    assert rows["key"].tolist() == [STEP, 2 * STEP, 2 * STEP + 1, 3]
    assert rows["size_bytes"].tolist() == [16, 4, 4, 8]
    assert rows["request"].tolist() == [5, 6, 6, 7]
    described = about(path)
    assert described is not None
    assert described.reuse == "block"


@pytest.mark.parametrize(
    ("tokens", "settings", "error", "message"),
    [
        ([[1, 2]], {}, ValueError, r"prompt of shape \[1, 2\]; expected the tokens of one request"),
        ([1.0], {}, TypeError, "prompt of float64; expected whole numbers"),
        (["a"], {}, TypeError, "prompt of <U1; expected whole numbers"),
        ([1, [2]], {}, ValueError, "prompt: .*; expected the tokens of one request"),
        (torch.ones(2, dtype=torch.bfloat16), {}, TypeError, r"prompt of torch\.bfloat16; expected whole numbers"),
        ([1], {"block_tokens": 0}, ValueError, "block_tokens=0; expected 1 or more"),
        ([1], {"bytes_per_token": 0}, ValueError, "kv 'kv': 0 bytes each; expected 1 to"),
        ([1], {"request": -1}, ValueError, "request=-1; expected a whole number"),
    ],
)
def test_what_is_no_request(path: Path, tokens: Any, settings: Any, error: Any, message: str) -> None:
    with tierfetch.Recorder(path) as r:
        r.kv([7], block_tokens=1, bytes_per_token=3, name="other")
        with pytest.raises(error, match=message):
            r.kv(tokens, **{"bytes_per_token": 3, **settings})
    assert len(rows_of(path)) == 1
