"""Blocks of a KV cache, as serving engines tell them apart: by their tokens and all that come before these."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

_DIGEST_BYTES = 16


class Chains:
    """Numbers of blocks, by first appearance: a block is the hash of the block before it and of its own tokens."""

    def __init__(self, block_tokens: int) -> None:
        self.block_tokens = block_tokens
        self._numbers: dict[bytes, int] = {}

    def numbers(self, tokens: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Of the whole blocks that tokens make, in order."""
        found, parent = [], b""
        for end in range(self.block_tokens, len(tokens) + 1, self.block_tokens):
            of_block = np.ascontiguousarray(tokens[end - self.block_tokens : end]).tobytes()
            parent = hashlib.blake2b(parent + of_block, digest_size=_DIGEST_BYTES).digest()
            found.append(self._numbers.setdefault(parent, len(self._numbers)))
        return np.array(found, np.int64)


def tokens_of(name: str, tokens: Sequence[int] | npt.ArrayLike | Any) -> npt.NDArray[np.int64]:
    """A request's tokens, as numbers. Raises TypeError or ValueError if they are none."""
    if hasattr(tokens, "detach"):
        tokens = tokens.detach().cpu()
    found = np.asarray(tokens)
    if found.size == 0:
        return np.empty(0, np.int64)
    if found.ndim != 1:
        raise ValueError(f"{name} of shape {list(found.shape)}; expected the tokens of one request, one after another")
    if found.dtype.kind not in "iu":
        raise TypeError(f"{name} of {found.dtype}; expected whole numbers, the ids of tokens")
    return found.astype(np.int64)
