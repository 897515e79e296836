"""What all eviction policies share: sizes, room, admission, and prefetched blocks aside."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

from simulator.evictions.admission import ADMISSIONS
from simulator.evictions.aside import Aside
from simulator.evictions.draws import Draws


@dataclass(frozen=True)
class Settings:
    """What a policy is made of: its own settings, the tier's bytes, its seed, and who may come in where.

    Attributes:
        eviction: The policy's own settings, as the compiled one has them.
        admission: Those of the admission.
        capacity: Bytes.
        seed: Of the tier's random draws.
        n_blocks: About how many blocks fit, by which sketches are sized; blocks of one byte if it is not given.
        enters: A name of ``names.ENTERS_NAMES``.
        region_ratio: The share of the capacity for ``enters: region``.
    """

    eviction: Any
    admission: Any
    capacity: int
    seed: int = 0
    n_blocks: int | None = None
    enters: str = "front"
    region_ratio: float = 0.0


@cache
def _fraction(ratio: float) -> tuple[int, int]:
    return Fraction(str(ratio)).as_integer_ratio()


def share(n: int, ratio: float) -> int:
    """A share of a number, rounded down. The ratio is what it was written as: 0.1 is one tenth."""
    part, of = _fraction(ratio)
    return n * part // of


class Eviction:
    """The blocks of a tier, and who of them must go.

    The life of a block: it is asked for and not held; the policy recalls whether it knew it (``_recall``), names
    victims until it fits (``_victim``, each of which then leaves, ``_leave``), and takes it in (``_insert``). From then
    on it is told of each use (``_hit``), until the block is a victim itself, or is removed. A policy is these five.
    """

    of_run = ("settings",)  # no config says what the constructor takes
    most_pushed_out = 8  # by one use
    foresees = False  # whether it must be told the future by ``foresee`` and ``passed``
    knows_families = False  # whether it must be told by ``adopt`` which block comes before each in its requests

    def __init__(self, settings: Settings) -> None:
        self.settings = settings.eviction
        self.capacity = settings.capacity
        self.n_blocks = settings.n_blocks or settings.capacity
        self.draws = Draws(settings.seed)
        self.sizes: dict[int, int] = {}  # of the blocks that the policy sees: those set aside it does not
        self._used = 0
        self._n_out = 0
        self._is_pushing_out = False  # what ``_hit`` says: the use may push blocks out
        self._aside = Aside(settings.enters, int(settings.region_ratio * settings.capacity))
        self._admission = ADMISSIONS[settings.admission.kind](settings.admission, self.n_blocks, self.draws)

    def __contains__(self, key: int) -> bool:
        return key in self.sizes or key in self._aside

    def keys(self) -> set[int]:
        """The blocks that are held."""
        return {*self.sizes, *self._aside}

    def request(self, key: int, size: int, *, prefetched: bool = False) -> list[int] | None:
        """Use a block if it is held, else take it in.

        Args:
            key: The block.
            size: Its bytes. A block that is held has the size with which it came.
            prefetched: It is not in demand: nobody has used it yet.

        Returns:
            None if the block was held, and ``push_out`` says who goes for it; else the keys that do not stay, in
            order: itself alone if it is not admitted, or larger than the tier.
        """
        if size > self.capacity and key not in self:
            # It passes by, and neither policy nor admission takes notice.
            return [key]
        self._admission.asked(key)
        if key in self.sizes:
            self._hit(key)
            return None
        if key in self._aside:
            # Its first use. To the policy it is a new block, whatever was remembered of it when it was prefetched.
            self._take_in(key, self._aside.remove(key), None)
            return None
        ghost = self._recall(key, size)
        victim = self._next_victim(size, ghost, prefetched)
        if not (prefetched or self._admission.admits(key, size, victim)):
            return [key]
        gone: list[int] = []
        while victim is not None:
            self._drop(victim, evicted=True)
            gone.append(victim)
            victim = self._next_victim(size, ghost, prefetched)
        self._used += size
        if prefetched and self._aside.enters != "front":
            n_held = len(self.sizes) + len(self._aside) + 1
            self._aside.enter(key, size, due=self._n_out + n_held // 2)
        else:
            self._take_in(key, size, ghost)
        return gone

    def push_out(self) -> list[int]:
        """Evict those whom the last use of a block that was held has pushed out: who they are, in order."""
        gone: list[int] = []
        while len(gone) < self.most_pushed_out and (victim := self._overflow()) is not None:
            self._drop(victim, evicted=True)
            gone.append(victim)
        self._is_pushing_out = False
        return gone

    def remove(self, key: int) -> None:
        """Take out a block that is held, without its being a victim: no policy remembers it."""
        self._drop(key, evicted=False)

    def foresee(self, first_uses: dict[int, int]) -> None:
        """Before the run: where in the demand stream each of its keys is used first."""

    def pin(self, keys: Iterable[int]) -> None:
        """Before the run: these were accessed most before what is judged."""

    def adopt(self, parents: dict[int, int]) -> None:
        """Before the run: of each key that ever comes behind another in a request, the one before it."""

    def passed(self, key: int, next_use: int) -> None:
        """An access is issued, before it is looked up; its key is used next at ``next_use`` (or ``belady.NEVER``)."""

    def whole(self, size: int) -> int:
        """As many bytes of the capacity as blocks of this size can fill."""
        return self.capacity // size * size

    def share(self, size: int, ratio: float) -> int:
        """A share of that, rounded down to whole blocks: where all are of one size, pages could be counted."""
        return share(self.capacity // size, ratio) * size

    def _take_in(self, key: int, size: int, ghost: str | None) -> None:
        self.sizes[key] = size
        self._insert(key, size, ghost)

    def _next_victim(self, size: int, ghost: str | None, prefetched: bool) -> int | None:
        """Who must go before a block of this size fits, or None."""
        if prefetched and self._aside.overflows(size):
            return self._aside.oldest()
        if self._used + size <= self.capacity:
            return None
        if self._aside:
            victim = self._aside.victim(self._n_out, is_all=not self.sizes)
            if victim is not None:
                return victim
        return self._victim(size, ghost)

    def _drop(self, key: int, *, evicted: bool) -> None:
        self._n_out += 1
        if key in self._aside:
            self._used -= self._aside.remove(key)
        else:
            size = self.sizes.pop(key)
            self._used -= size
            self._leave(key, size, evicted)

    def _recall(self, key: int, size: int) -> str | None:
        """A block comes that is not held: the list of ghosts that has it, where it is forgotten with this; or None."""
        return None

    def _insert(self, key: int, size: int, ghost: str | None) -> None:
        """A block has come in; ``ghost`` is what ``_recall`` said."""
        raise NotImplementedError

    def _hit(self, key: int) -> None:
        """A block that is held was used."""

    def _overflow(self) -> int | None:
        """Who must go for the last use, as long as ``_is_pushing_out``; most policies let nobody go then."""
        return None

    def _victim(self, size: int, ghost: str | None) -> int:
        """Who goes next, for a block of this size and what ``_recall`` said of it. It may yet stay (see admission)."""
        raise NotImplementedError

    def _leave(self, key: int, size: int, evicted: bool) -> None:
        """A block has left: ``evicted``, and it may be remembered, or taken out."""
        raise NotImplementedError
