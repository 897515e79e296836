"""Strict, frozen models of the system: tiers, links, origin, prefetch budget, inference server."""

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_serializer, model_validator

from simulator.link_table import LinkTable
from simulator.one_line import in_line
from simulator.quantities import Bytes as Bytes
from simulator.quantities import BytesPerSecond as BytesPerSecond
from simulator.quantities import Count as Count
from simulator.quantities import Factor as Factor
from simulator.quantities import Nanoseconds as Nanoseconds
from simulator.quantities import Ratio as Ratio
from simulator.quantities import Strict as Strict
from simulator.quantities import Whole as Whole
from simulator.requests import Requests
from simulator.residency.names import EntersName
from simulator.residency.registry import ADMISSIONS, EVICTIONS
from simulator.residency.settings import AdmissionSettings, EvictionSettings
from simulator.spread import Spread

Eviction = Annotated[EvictionSettings, EVICTIONS]
Admission = Annotated[AdmissionSettings, ADMISSIONS]


class WriteBack(Strict):
    """How much a tier may have to write down before nothing more comes into it (rule R40); None: any amount."""

    bytes: Bytes | None = None
    """Bytes that may wait; null: any."""
    blocks: Count | None = None
    """Blocks that may wait; null: any."""


class Tier(Strict):
    """A memory tier. Its latency is paid by whoever reads it: by service in tier 0, by the hop below.

    A block that is not admitted is served and not kept; a prefetched one is always admitted. ``eviction`` and
    ``admission`` are names, or settings of a ``kind``.
    """

    name: str
    """Names it in tables and folders; links are named by the tiers that they join."""
    capacity: Bytes
    """Bytes of blocks that fit; what a policy keeps in GPU memory is taken off tier 0's."""
    latency: Nanoseconds = Field("0 ns", validate_default=True)
    """Of one read, before its first byte: paid by service in tier 0, and by the hop from a lower tier."""
    read_bandwidth: BytesPerSecond
    """Bytes per second that are read from it; a hop is as fast as the slowest of its link and both ends."""
    write_bandwidth: BytesPerSecond
    """Bytes per second that are written to it."""
    eviction: Eviction = Field("lru", validate_default=True)
    """Who goes when room is needed: a name, or settings of a kind."""
    admission: Admission = Field("all", validate_default=True)
    """Which fetched blocks are kept at all: a name, or settings of a kind."""
    write_back: WriteBack = WriteBack()
    """How much may wait to be written down before nothing more comes in."""
    spread: Spread | None = Field(None, exclude_if=lambda value: value is None)
    """Of the first tier: quantiles of a factor that is drawn for each access's service, `[[0, 0.9], [0.5, 1], [1,
    1.5]]`; null: it takes the same each time."""

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
    """Of each transfer, beside its bytes: what starting it costs."""
    read_bandwidth: BytesPerSecond
    """Bytes per second towards tier 0, of one channel."""
    write_bandwidth: BytesPerSecond
    """Bytes per second away from tier 0, of one channel."""
    channels: Count = 1
    """Transfers at once; they do not share bandwidth."""
    blocks_per_call: Count = 1
    """Queued blocks that may share one call, and its cost."""
    table: LinkTable | None = Field(None, exclude_if=lambda value: value is None)
    """Measured durations of a call, in place of latencies, call and bandwidths; null: these."""
    spread: Spread | None = Field(None, exclude_if=lambda value: value is None)
    """Quantiles of a factor that is drawn for each call: points of a share and a factor, from share 0 to 1, with a line
    between; null: calls that are alike take the same time."""
    write_spread: Spread | None = Field(None, exclude_if=lambda value: value is None)
    """Those of calls away from tier 0; null: as `spread`."""


class StoreOrigin(Strict):
    """Holds every block that there could be."""

    kind: Literal["store"]
    latency: Nanoseconds = Field("0 ns", validate_default=True)
    """Of each read from it, before the first byte."""


class ComputeOrigin(Strict):
    """Makes a block at its first access.

    ``enters: last``: the block then travels up through every tier, as from a store. ``enters: first``: it is made in
    tier 0, where a GPU computes it, and as it has no copy below it is written down a tier when it is evicted.
    """

    kind: Literal["compute"]
    per_mib: Nanoseconds = Field("0 ns", validate_default=True)
    """How long it takes to make 1 MiB of a block; may be left out where `requests.prefill` says it by tokens."""
    call: Nanoseconds = Field("0 ns", validate_default=True)
    """Beside that, for each block."""
    channels: Count = 1
    """Blocks that are made at once."""
    enters: Literal["first", "last"] = "last"
    """Where a new block appears: `last`, the lowest tier, or `first`, tier 0, where a GPU computes it."""


class Prefetching(Strict):
    """What may be outstanding before proposals are rejected; ``max_wait`` cancels what queues for longer.

    ``enters`` is where a prefetched block enters tier 0's order of eviction until its first use: at the ``front`` like
    a demanded one, in the ``middle``, at the ``back``, or in a ``region`` of its own, ``region_ratio`` of the
    capacity.
    """

    in_flight: Count = 64
    """Prefetches issued, not landed and not met by a demand; further proposals are rejected."""
    queued: Count = 64
    """Of those, blocks that wait for a channel."""
    bytes: Bytes = Field("1 GiB", validate_default=True)
    """Bytes of the prefetches that `in_flight` counts."""
    max_wait: Nanoseconds | None = None
    """A prefetch that queued for longer is cancelled; null: never."""
    enters: EntersName = "front"
    """Where a prefetched block enters tier 0's order of eviction until its first use."""
    region_ratio: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of tier 0 that the region of prefetched blocks has, with `enters: region`."""


class InferenceServer(Strict):
    """Where predictions are made, and what becomes of late ones."""

    mode: Literal["async", "sync"] = "async"
    """`async`: the access goes on, prefetches follow when the answer is there; `sync`: it waits."""
    servers: Annotated[int, Field(ge=1, le=4096)] = 1
    """Predictions that are made at once."""
    queue: Literal["newest_first", "fifo"] = "newest_first"
    """`newest_first`: of each stream the newest question waits, the newest of all is answered first (the oldest, of a
    policy that cannot be asked about what it was shown before); `fifo`: all wait, the oldest is first. Where accesses
    wait for answers (`sync`) it is `fifo` in any case."""
    queue_limit: Whole = 16
    """Questions that may wait; past it they are dropped and counted."""
    batch_size: Count = 1
    """Questions of several streams that one call answers."""
    stale_after: Nanoseconds | None = None
    """An answer that is older is dropped and counted; null: never."""
    gpu_slowdown: Factor = 1.0
    """Factor on tier 0's service while an inference runs, of a predictor that shares the GPU."""


class System(Strict):
    """The simulated machine. ``links[i]`` joins ``tiers[i]`` to the level below; the last one leads to the origin."""

    tiers: Annotated[tuple[Tier, ...], Field(min_length=1, max_length=8, strict=False)]
    """Memory tiers, fastest first; accesses are served from the first."""
    links: Annotated[tuple[Link, ...], Field(min_length=1, max_length=8, strict=False)]
    """A link for each tier, to the level below it; the last one leads to the origin."""
    origin: Annotated[StoreOrigin | ComputeOrigin, Field(discriminator="kind")]
    """What lies below all tiers: a store that holds every block, or what makes blocks at their first access."""
    placement: Literal["inclusive", "exclusive"] = "inclusive"
    """`inclusive`: copies stay in the tiers below; `exclusive`: a block is in one tier at a time."""
    clean_evictions: Literal["drop", "demote"] = "drop"
    """What becomes of a clean victim: `drop`, or with exclusive placement `demote`, down a tier."""
    prefetch: Prefetching = Field(default_factory=lambda: Prefetching.model_validate({}))
    """What may be outstanding of prefetches."""
    inference: InferenceServer = InferenceServer()
    """Where predictions are made, and what becomes of late ones."""
    requests: Requests | None = Field(None, exclude_if=lambda value: value is None)
    """How requests are served that have a life: running places, prefill, decoding; null: accesses are all there is."""

    @property
    def computing(self) -> tuple[int, int]:
        """What making a block takes where the origin computes: ns per MiB, and ns beside that."""
        assert isinstance(self.origin, ComputeOrigin)
        return self.origin.per_mib, self.origin.call + (self.requests.prefill_ns() if self.requests else 0)

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
        for i, tier in enumerate(self.tiers[1:], 1):
            if tier.spread is not None:
                raise ValueError(
                    f"tiers.{i}.spread: goes with the first tier, whose service it is; reading {tier.name!r} is part "
                    "of calls: expected spread of a link"
                )
        self._check_requests()
        return self

    def _check_requests(self) -> None:
        requests, names = self.requests, [tier.name for tier in self.tiers]
        computes = isinstance(self.origin, ComputeOrigin)
        if computes and "per_mib" not in self.origin.model_fields_set and not (requests and requests.prefill):
            raise ValueError("origin: per_mib is missing; expected it, or requests.prefill")
        if requests is None:
            return
        if requests.prefill is not None and not computes:
            raise ValueError("requests: prefill needs an origin that computes (origin.kind: compute)")
        if requests.storage is not None and requests.storage not in names[1:]:
            raise ValueError(f"requests: storage is {requests.storage!r}; expected a tier below the first: {names[1:]}")
        if requests.storage is not None and not computes:
            raise ValueError("requests: storage needs an origin that computes what is not brought in time")
        if requests.stop != "wait_complete" and requests.storage is None:
            raise ValueError(f"requests: stop is {requests.stop!r}; it goes with storage, and that is missing")


class Closed(Strict):
    """Each stream issues its next request ``think`` after the last completed."""

    kind: Literal["closed"]
    think: Nanoseconds = Field("0 ns", validate_default=True)
    """Time between the end of a stream's request and the start of its next."""


class Open(Strict):
    """Requests arrive at the trace's own times, divided by ``speedup``.

    Where many share a time, for the trace's clock is coarse, ``spread: true`` has them come evenly within its tick, and
    ``spread: jitter`` at times that are drawn.
    """

    kind: Literal["open"]
    speedup: Annotated[float, Field(gt=0)] = 1.0
    """The trace's times are divided by it."""
    spread: bool | Literal["jitter"] = False
    """Requests that share a time come evenly within its tick (true), or at drawn times (`jitter`)."""


class Poisson(Strict):
    """Requests arrive at random with ``mean_gap`` between them, in trace order."""

    kind: Literal["poisson"]
    mean_gap: Annotated[Nanoseconds, Field(gt=0)]
    """Mean time between requests."""


_Arrivals = Annotated[Closed | Open | Poisson, Field(discriminator="kind")]
Arrivals = Annotated[_Arrivals, BeforeValidator(in_line, json_schema_input_type=str | _Arrivals)]
"""How requests come; also in a line, ``closed(think=5 us)``."""
