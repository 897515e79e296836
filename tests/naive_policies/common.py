"""What the twins share."""

# A block's place is its key, from 0 to 2^64 - 1; the difference of two wraps at 64 bits.


def wrapped(difference: int) -> int:
    """The difference of two keys, from -2^63 to 2^63 - 1."""
    return (difference + 2**63) % 2**64 - 2**63
