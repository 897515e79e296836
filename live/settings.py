"""What a live cache is made of: tiers in memory, and how hard it tries."""

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from simulator.config import Admission, Bytes, Count, Eviction, Nanoseconds, Prefetching, Strict, Whole
from simulator.errors import InputError


class MemoryTier(Strict):
    """A tier that lies in memory, and the link from it to the level below."""

    name: str
    """Names it in tables; links are named by the tiers that they join."""
    capacity: Bytes
    """Bytes of blocks that fit."""
    memory: Literal["dram", "pinned", "cuda"] = "dram"
    """Plain host memory, page-locked host memory, or a GPU's, which only the first tier can be of."""
    device: Whole = 0
    """Which GPU."""
    eviction: Eviction = Field("lru", validate_default=True)
    """Who goes when room is needed: a name, or settings of a kind, as in configs."""
    admission: Admission = Field("all", validate_default=True)
    """Which fetched blocks are kept at all."""
    channels: Count = 1
    """Transfers at once over the link below, a thread each."""
    spare: Annotated[int, Field(ge=4, le=2**32)] = 32
    """Blocks beyond the capacity for what is on its way: what lands, what is written down, what is being read."""


class Retries(Strict):
    """What is done about errors of a tier before they become the caller's."""

    times: Whole = 3
    """How often a transfer is tried again."""
    pause: Nanoseconds = Field("1 ms", validate_default=True)
    """Before the first of these; twice as long before each further one."""
    again_after: Nanoseconds = Field("1 s", validate_default=True)
    """How long what could not be written down is left alone, unless `flush` is called or another write succeeds."""


class Settings(Strict):
    """Of a whole cache; what it means is said at ``TieredCache``."""

    tiers: Annotated[tuple[MemoryTier, ...], Field(min_length=1, max_length=7)]
    placement: Literal["inclusive", "exclusive"] = "inclusive"
    clean_evictions: Literal["drop", "demote"] = "drop"
    prefetch: Prefetching = Field(default_factory=lambda: Prefetching.model_validate({}))
    retries: Retries = Field(default_factory=lambda: Retries.model_validate({}))
    seed: Whole = 0


def settings_of(said: dict[str, Any]) -> Settings:
    """What the caller says, checked. Raises InputError with a line for each thing that is wrong."""
    try:
        settings = TypeAdapter(Settings).validate_python(said)
    except ValidationError as error:
        raise InputError(
            *(f"{'.'.join(map(str, found['loc']))}: {found['msg']}; not {found['input']!r}" for found in error.errors())
        ) from None
    for level, tier in enumerate(settings.tiers):
        if tier.memory == "cuda" and level > 0:
            raise InputError(f"tiers.{level}.memory: cuda; expected dram or pinned below the first tier")
    if len({tier.name for tier in settings.tiers}) < len(settings.tiers):
        names = ", ".join(tier.name for tier in settings.tiers)
        raise InputError(f"tiers: {names}; expected a name of its own for each")
    return settings
