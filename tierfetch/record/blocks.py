"""Blocks of a KV cache, as serving engines tell them apart: by their tokens and all that come before these."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.trace import WRITE
from tierfetch.record.marks import checked
from tierfetch.record.rows import Call
from tierfetch.record.spaces import Space, Spaces

_DIGEST_BYTES = 16
Tokens = npt.NDArray[np.int64]


class Chains:
    """Numbers of blocks, by first appearance: a block is the hash of the block before it and of its own tokens."""

    def __init__(self, block_tokens: int) -> None:
        self.block_tokens = block_tokens
        self._numbers: dict[bytes, int] = {}

    def numbers(self, tokens: Tokens) -> Tokens:
        """Of the whole blocks that tokens make, in order."""
        found, parent = [], b""
        for end in range(self.block_tokens, len(tokens) + 1, self.block_tokens):
            of_block = np.ascontiguousarray(tokens[end - self.block_tokens : end]).tobytes()
            parent = hashlib.blake2b(parent + of_block, digest_size=_DIGEST_BYTES).digest()
            found.append(self._numbers.setdefault(parent, len(self._numbers)))
        return np.array(found, np.int64)


class Caches:
    """Caches by name, each with blocks of one size."""

    def __init__(self, spaces: Spaces) -> None:
        self._spaces = spaces
        self._known: dict[str, tuple[Space, Chains, int]] = {}

    def calls(
        self, name: str, prompt: Tokens, answer: Tokens, block_tokens: int, bytes_per_token: int, *, is_whole: bool
    ) -> tuple[Call | None, list[Call]]:
        """The reads of a prompt's whole blocks, if it has any, and the write of each that an answer fills.

        Where a request is whole the writes are part of the first.

        Raises:
            TypeError, ValueError: these are no sizes, or others than those of the cache before.
        """
        size = checked("block_tokens", block_tokens) * checked("bytes_per_token", bytes_per_token)
        if name not in self._known:
            if block_tokens < 1:
                raise ValueError(f"block_tokens={block_tokens}; expected 1 or more")
            self._known[name] = self._spaces.add(name, "kv", size), Chains(block_tokens), bytes_per_token
        space, chains, known = self._known[name]
        if (chains.block_tokens, known) != (block_tokens, bytes_per_token):
            raise ValueError(
                f"{name}: block_tokens={block_tokens}, bytes_per_token={bytes_per_token}; expected "
                f"{chains.block_tokens} and {known}, as before, or another name="
            )
        blocks = chains.numbers(np.concatenate([prompt, answer]))
        tokens = np.arange(len(blocks), dtype=np.uint64) * np.uint64(block_tokens)
        n_read = len(prompt) // block_tokens
        if is_whole and len(blocks):
            return Call(space, blocks, len(blocks), tokens=tokens, n_read=n_read), []
        read = Call(space, blocks[:n_read], n_read, tokens=tokens[:n_read]) if n_read else None
        written = [
            Call(space, blocks[at : at + 1], 1, tokens=tokens[at : at + 1], op=WRITE)
            for at in range(n_read, len(blocks))
        ]
        return read, written


def tokens_of(name: str, tokens: Sequence[int] | npt.ArrayLike) -> Tokens:
    """A request's tokens, as numbers. Raises TypeError or ValueError if they are none."""
    given: Any = tokens
    if hasattr(given, "detach"):
        if given.dtype.is_floating_point:
            # NumPy does not have all of these types.
            raise TypeError(f"{name} of {given.dtype}; expected whole numbers, the ids of tokens")
        given = given.detach().cpu()
    try:
        found = np.asarray(given)
    except ValueError as error:
        raise ValueError(f"{name}: {error}; expected the tokens of one request, one after another") from None
    if found.size == 0:
        return np.empty(0, np.int64)
    if found.ndim != 1:
        raise ValueError(f"{name} of shape {list(found.shape)}; expected the tokens of one request, one after another")
    if found.dtype.kind not in "iu":
        raise TypeError(f"{name} of {found.dtype}; expected whole numbers, the ids of tokens")
    return found.astype(np.int64)
