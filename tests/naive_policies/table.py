"""Tables of a fixed number of entries, as hardware has them."""

from collections import OrderedDict
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Table(Generic[Key, Value]):
    """At most so many entries; a new one takes the place of the one used longest ago. Fully associative."""

    def __init__(self, entries: int) -> None:
        self._entries = entries
        self._held: OrderedDict[Key, Value] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, key: Key) -> bool:
        return key in self._held

    def use(self, key: Key) -> Value | None:
        """The entry, from now on the one used last; None if there is none."""
        value = self._held.get(key)
        if value is not None:
            self._held.move_to_end(key)
        return value

    def peek(self, key: Key) -> Value | None:
        """The entry, whose use does not count."""
        return self._held.get(key)

    def put(self, key: Key, value: Value) -> tuple[Key, Value] | None:
        """Write an entry; the one that had to go, if any."""
        gone = None
        if key not in self._held and len(self._held) == self._entries:
            gone = self._held.popitem(last=False)
        self._held[key] = value
        self._held.move_to_end(key)
        return gone

    def replace(self, key: Key, value: Value) -> None:
        """Change an entry that is there, which does not count as a use."""
        self._held[key] = value

    def pop(self, key: Key) -> Value | None:
        """Take an entry out."""
        return self._held.pop(key, None)

    def values(self) -> list[Value]:
        """What the entries hold, the one used longest ago first."""
        return list(self._held.values())

    def items(self) -> list[tuple[Key, Value]]:
        """All entries, the one used longest ago first."""
        return list(self._held.items())
