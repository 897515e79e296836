"""What an eviction policy and an admission are made of: settings, memory of their own, and functions."""

from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import AfterValidator, Field

from simulator.plugins import PluginSettings
from simulator.residency.names import FAMILIES, FUTURE, HOOKED, KEYS, NOTHING

if TYPE_CHECKING:
    from simulator.arrays import At, Ints
    from simulator.records.arena import Tier

_DECIMALS = 6


def exact(ratio: float) -> Fraction:
    """A ratio as it was written: 0.1 is one tenth."""
    return Fraction(repr(ratio))


def _is_exact(ratio: float) -> float:
    if (exact(ratio) * 10**_DECIMALS).denominator != 1:
        raise ValueError(f"expected at most {_DECIMALS} decimals; got {ratio}")
    return ratio


Exact = AfterValidator(_is_exact)
"""Of a ratio: it is a fraction of whole numbers, so that every share of bytes is the same wherever it is worked out."""
Share = Annotated[float, Field(gt=0, lt=1), Exact]
Variant = Literal["paper", "libcachesim"]
"""Whose reading of a policy: the paper's, or libCacheSim's where that decides otherwise."""


class Made(NamedTuple):
    """A tier that is being made: its memory, about how many blocks fit, and where the area that was asked for is."""

    ints: "Ints"
    tier: "Tier"
    n_blocks: int
    area: "At[Any]"


class EvictionHooks(NamedTuple):
    """An eviction policy's functions, of ``(arena, level)`` and what they are about.

    - ``on_insert(arena, level, slot)``: a block has come in.
    - ``victim(arena, level)``: the slot to evict next; the same again if asked again, but for those drawn at random.
    - ``on_remove(arena, level, slot, evicted)``: a block leaves: ``evicted``, and it may be remembered, or taken out.
    - ``on_hit(arena, level, slot)``: a block was used. None: that is of no meaning.
    - ``recall(arena, level, slot)``: a ghost is about to come in; ``aux`` is what is left of it. None: no ghosts.
    - ``overflow(arena, level)``: after an ``on_hit`` that has set the tier's ``overflows``, the slot that must go for
      it, or NONE; asked again until then, ``MOST_PUSHED_OUT`` times at most. None: a use pushes nobody out.
    """

    on_insert: Any
    victim: Any
    on_remove: Any
    on_hit: Any = None
    recall: Any = None
    overflow: Any = None


class EvictionSettings(PluginSettings):
    """The settings of an eviction policy, and what it is made of.

    Attributes:
        state: The class of the record of what it keeps of a tier.
        fields: The class of the record of what it keeps of a block beside the links and ``aux``, or None.
        hooks: Its functions; None where the order is at hand.
        order: Where the order is kept.
        foresees: It is told where every block is used next.
        remembers: It is told of keys before the run, and has them as ghosts whenever it does not hold them.
        knows_families: It is told which block comes before each in its requests.
        sketches: It counts uses by a sketch: how many blocks fit must be known.
        pushes_out: Blocks may have to go when another one is used.
    """

    state: ClassVar[Any] = None
    fields: ClassVar[Any] = None
    hooks: ClassVar[EvictionHooks | None] = None
    order: ClassVar[int] = HOOKED
    foresees: ClassVar[bool] = False
    remembers: ClassVar[bool] = False
    knows_families: ClassVar[bool] = False
    sketches: ClassVar[bool] = False

    @property
    def is_told(self) -> int:
        """What of the trace, before the run (``residency.names``)."""
        return FUTURE if self.foresees else FAMILIES if self.knows_families else KEYS if self.remembers else NOTHING

    @property
    def n_counted(self) -> int:
        """How many keys it is told: those with most accesses before what is judged."""
        return 0

    @property
    def pinned(self) -> tuple[int, ...]:
        """Keys that it is told whatever was counted."""
        return ()

    @property
    def pushes_out(self) -> bool:
        """As above; a matter of its settings."""
        return False

    @property
    def is_plain(self) -> bool:
        """Whether it is in plain Python, from outside: only the model in SimPy can ask it."""
        return False

    @property
    def label(self) -> str:
        """Its kind and what differs from the defaults, as a command line says it."""
        fields = type(self).model_fields
        said = [
            f"{name}={list(value) if isinstance(value, tuple) else value}"
            for name, value in self
            if name != "kind" and value != fields[name].default
        ]
        return f"{self.kind}({', '.join(said)})" if said else self.kind

    def area_words(self, n_blocks: int) -> int:
        """How large an area it needs for a tier of about so many blocks."""
        return 0

    def prepare(self, state: Any, made: Made) -> None:
        """Start with an empty tier: its settings into its state, which is all 0 so far."""


class AdmissionHooks(NamedTuple):
    """An admission's functions.

    - ``admits(arena, level, slot, victim)``: whether a block may come in, for which ``victim`` would have to go first
      (NONE: there is room). None: always.
    - ``count(arena, level, slot)``: a block was asked for. None: that is of no meaning.
    """

    admits: Any = None
    count: Any = None


class AdmissionSettings(PluginSettings):
    """The settings of an admission, and what it is made of: as those of an eviction policy."""

    state: ClassVar[Any] = None
    hooks: ClassVar[AdmissionHooks] = AdmissionHooks()
    sketches: ClassVar[bool] = False

    def area_words(self, n_blocks: int) -> int:
        """How large an area it needs for a tier of about so many blocks."""
        return 0

    def prepare(self, state: Any, made: Made) -> None:
        """Its settings into its state, which is all 0 so far."""
