"""What goes wrong while a live cache runs; settings that mean nothing are ``simulator.errors.InputError``."""


class LiveError(RuntimeError):
    """Anything that a live cache could not do."""


class MissingBlockError(LiveError, KeyError):
    """No tier and no store has the block: it was never put."""

    def __init__(self, key: int) -> None:
        super().__init__(key)
        self.key = key

    def __str__(self) -> str:
        return f"block {self.key} is in no tier and not in the store; expected a key that was put"


class CorruptBlockError(LiveError):
    """What the store has of a block is not what was written: it is never handed out."""


class ReadError(LiveError):
    """A block could not be read, after all retries; the cause is the tier's own error."""


class NoRoomError(LiveError):
    """Nothing more can come in: what would have to go cannot be written down. What was there is still there."""


class FlushError(LiveError):
    """Blocks that could not be written to the store, by key, with the last error of each; the cache still has them."""

    def __init__(self, errors: dict[int, BaseException]) -> None:
        super().__init__(errors)
        self.errors = errors

    def __str__(self) -> str:
        key, error = next(iter(self.errors.items()))
        return f"{len(self.errors)} blocks could not be written to the store, among them {key}: {error}"


class BrokenError(LiveError):
    """Something in the cache itself has failed, or an eviction policy of one's own: it does nothing any more."""


class ClosedError(LiveError):
    """The cache is closed."""


class EngineError(LiveError):
    """A policy has failed, and is not asked any more; the cause is its own error. The cache goes on without it."""


class WrongBytesError(LiveError):
    """A block that was read is not what was put: a bug in the cache or its store, never in the user's input."""
