"""BLAKE2b of many short texts at once, compiled: RFC 7693, 8 bytes of digest, no key."""

import numpy as np
import numpy.typing as npt

from simulator.compiled import internal, released

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]

_BLOCK = 128
_IV = np.array(
    [
        0x6A09E667F3BCC908, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B, 0xA54FF53A5F1D36F1,
        0x510E527FADE682D1, 0x9B05688C2B3E6C1F, 0x1F83D9ABFB41BD6B, 0x5BE0CD19137E2179,
    ],
    np.uint64,
)  # fmt: skip
# The first word says how long the digest is, and that there is one lane without a key.
_START = np.uint64(0x6A09E667F3BCC908 ^ 0x01010000 ^ 8)
_SIGMA = np.array(
    [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
        [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
        [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
        [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
        [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
        [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
        [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
        [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
        [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
    ],
    np.int64,
)
_ALL = np.uint64(2**64 - 1)


@internal
def _turned(word: np.uint64, n: int) -> np.uint64:
    """Rotated to the right."""
    return word >> np.uint64(n) | word << np.uint64(64 - n)


@internal
def _mix(v: Words, a: int, b: int, c: int, d: int, x: np.uint64, y: np.uint64) -> None:
    v[a] = v[a] + v[b] + x
    v[d] = _turned(v[d] ^ v[a], 32)
    v[c] = v[c] + v[d]
    v[b] = _turned(v[b] ^ v[c], 24)
    v[a] = v[a] + v[b] + y
    v[d] = _turned(v[d] ^ v[a], 16)
    v[c] = v[c] + v[d]
    v[b] = _turned(v[b] ^ v[c], 63)


@internal
def _compress(h: Words, v: Words, m: Words, n_bytes: int, is_last: bool) -> None:
    for i in range(8):
        v[i], v[8 + i] = h[i], _IV[i]
    v[12] ^= np.uint64(n_bytes)
    if is_last:
        v[14] ^= _ALL
    for turn in range(12):
        s = _SIGMA[turn % 10]
        _mix(v, 0, 4, 8, 12, m[s[0]], m[s[1]])
        _mix(v, 1, 5, 9, 13, m[s[2]], m[s[3]])
        _mix(v, 2, 6, 10, 14, m[s[4]], m[s[5]])
        _mix(v, 3, 7, 11, 15, m[s[6]], m[s[7]])
        _mix(v, 0, 5, 10, 15, m[s[8]], m[s[9]])
        _mix(v, 1, 6, 11, 12, m[s[10]], m[s[11]])
        _mix(v, 2, 7, 8, 13, m[s[12]], m[s[13]])
        _mix(v, 3, 4, 9, 14, m[s[14]], m[s[15]])
    for i in range(8):
        h[i] ^= v[i] ^ v[8 + i]


@released
def digests(data: Bytes, offsets: npt.NDArray[np.int32], found: Words) -> None:
    """The digest of each text, as a number of 64 bits, little end first; ``offsets`` (n + 1) says where texts begin."""
    h, v, m = np.empty(8, np.uint64), np.empty(16, np.uint64), np.empty(16, np.uint64)
    for i in range(len(found)):
        first, end = int(offsets[i]), int(offsets[i + 1])
        h[:] = _IV
        h[0] = _START
        at = first
        while True:
            n = min(end - at, _BLOCK)
            m[:] = np.uint64(0)
            for j in range(n):
                m[j >> 3] |= np.uint64(data[at + j]) << np.uint64(8 * (j & 7))
            at += n
            _compress(h, v, m, at - first, at == end)
            if at == end:
                break
        found[i] = h[0]
