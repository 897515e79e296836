"""Strict, frozen models of the system: tiers, links, origin, prefetch budget, inference server."""

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field, field_serializer, model_validator

from simulator.quantities import Bytes as Bytes
from simulator.quantities import BytesPerSecond as BytesPerSecond
from simulator.quantities import Count as Count
from simulator.quantities import Factor as Factor
from simulator.quantities import Nanoseconds as Nanoseconds
from simulator.quantities import Ratio as Ratio
from simulator.quantities import Strict as Strict
from simulator.quantities import Whole as Whole
from simulator.residency.names import EntersName
from simulator.residency.registry import ADMISSIONS, EVICTIONS
from simulator.residency.settings import AdmissionSettings, EvictionSettings

Eviction = Annotated[EvictionSettings, EVICTIONS]
Admission = Annotated[AdmissionSettings, ADMISSIONS]


class WriteBack(Strict):
    """How much a tier may have to write down before nothing more comes into it (rule R40); None: any amount."""

    bytes: Bytes | None = None
    blocks: Count | None = None


class Tier(Strict):
    """A memory tier. Its latency is paid by whoever reads it: by service in tier 0, by the hop below.

    A block that is not admitted is served and not kept; a prefetched one is always admitted. ``eviction`` and
    ``admission`` are names, or settings of a ``kind``.
    """

    name: str
    capacity: Bytes
    latency: Nanoseconds = Field("0 ns", validate_default=True)
    read_bandwidth: BytesPerSecond
    write_bandwidth: BytesPerSecond
    eviction: Eviction = Field("lru", validate_default=True)
    admission: Admission = Field("all", validate_default=True)
    write_back: WriteBack = WriteBack()

    @field_serializer("eviction")
    def _by_name(self, eviction: EvictionSettings) -> Any:
        """Without settings as it always was: by its name. What was recorded under it goes on being found."""
        return (
            eviction.model_dump(mode="json")
            if eviction.model_dump(exclude_defaults=True).keys() - {"kind"}
            else eviction.kind
        )


class Link(Strict):
    """The link from a level to the next one below. Bandwidths are of one channel."""

    call: Nanoseconds = Field("0 ns", validate_default=True)
    read_bandwidth: BytesPerSecond
    write_bandwidth: BytesPerSecond
    channels: Count = 1
    blocks_per_call: Count = 1


class StoreOrigin(Strict):
    """Holds every block that there could be."""

    kind: Literal["store"]
    latency: Nanoseconds = Field("0 ns", validate_default=True)


class ComputeOrigin(Strict):
    """Makes a block at its first access.

    ``enters: last``: the block then travels up through every tier, as from a store. ``enters: first``: it is made in
    tier 0, where a GPU computes it, and as it has no copy below it is written down a tier when it is evicted.
    """

    kind: Literal["compute"]
    per_mib: Nanoseconds
    call: Nanoseconds = Field("0 ns", validate_default=True)
    channels: Count = 1
    enters: Literal["first", "last"] = "last"


class Prefetching(Strict):
    """What may be outstanding before proposals are rejected; ``max_wait`` cancels what queues for longer.

    ``enters`` is where a prefetched block enters tier 0's order of eviction until its first use: at the ``front`` like
    a demanded one, in the ``middle``, at the ``back``, or in a ``region`` of its own, ``region_ratio`` of the
    capacity.
    """

    in_flight: Count = 64
    queued: Count = 64
    bytes: Bytes = Field("1 GiB", validate_default=True)
    max_wait: Nanoseconds | None = None
    enters: EntersName = "front"
    region_ratio: Annotated[float, Field(gt=0, lt=1)] = 0.1


class InferenceServer(Strict):
    """Where predictions are made, and what becomes of late ones."""

    mode: Literal["async", "sync"] = "async"
    servers: Annotated[int, Field(ge=1, le=4096)] = 1
    queue_limit: Whole = 16
    batch_size: Count = 1
    stale_after: Nanoseconds | None = None
    gpu_slowdown: Factor = 1.0


class System(Strict):
    """The simulated machine. ``links[i]`` joins ``tiers[i]`` to the level below; the last one leads to the origin."""

    tiers: Annotated[tuple[Tier, ...], Field(min_length=1, max_length=8, strict=False)]
    links: Annotated[tuple[Link, ...], Field(min_length=1, max_length=8, strict=False)]
    origin: Annotated[StoreOrigin | ComputeOrigin, Field(discriminator="kind")]
    placement: Literal["inclusive", "exclusive"] = "inclusive"
    clean_evictions: Literal["drop", "demote"] = "drop"
    prefetch: Prefetching = Field(default_factory=lambda: Prefetching.model_validate({}))
    inference: InferenceServer = InferenceServer()

    def link_names(self) -> list[str]:
        """A link by the levels that it joins; where blocks are computed in tier 0, the computing is one too."""
        names = [*(tier.name for tier in self.tiers), "origin"]
        computes = isinstance(self.origin, ComputeOrigin) and self.origin.enters == "first"
        return [f"{above}_{below}" for above, below in pairwise(names)] + ["compute"] * computes

    @model_validator(mode="after")
    def _fits(self) -> "System":
        names = [tier.name for tier in self.tiers]
        if len(set(names)) != len(names):
            raise ValueError(f"tiers: names must differ, got {names}")
        if len(self.links) != len(self.tiers):
            raise ValueError(
                f"links: expected one for each of the {len(self.tiers)} tiers (to the level below it), "
                f"got {len(self.links)}"
            )
        if self.clean_evictions == "demote" and self.placement == "inclusive":
            raise ValueError("clean_evictions: 'demote' needs placement: exclusive (inclusive keeps copies below)")
        return self


class Closed(Strict):
    """Each stream issues its next request ``think`` after the last completed."""

    kind: Literal["closed"]
    think: Nanoseconds = Field("0 ns", validate_default=True)


class Open(Strict):
    """Requests arrive at the trace's own times, divided by ``speedup``.

    Where many share a time, for the trace's clock is coarse, ``spread: true`` has them come evenly within its tick, and
    ``spread: jitter`` at times that are drawn.
    """

    kind: Literal["open"]
    speedup: Annotated[float, Field(gt=0)] = 1.0
    spread: bool | Literal["jitter"] = False


class Poisson(Strict):
    """Requests arrive at random with ``mean_gap`` between them, in trace order."""

    kind: Literal["poisson"]
    mean_gap: Annotated[Nanoseconds, Field(gt=0)]


Arrivals = Annotated[Closed | Open | Poisson, Field(discriminator="kind")]
