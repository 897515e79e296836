"""A run of the model, counted once more from outside."""

from collections import Counter
from typing import Any

from simulator.model.model import Model
from simulator.trace import WRITE

REASONS = ("rejected_resident", "rejected_in_flight", "rejected_unknown", "rejected_too_large", "rejected_budget")


class Watched:
    """Runs a model and counts by its hooks; its books are not looked at.

    For what rows do not have: bytes that started over a link, where accesses waited, link by link, why proposals were
    turned down, misses on blocks that prefetches had pushed out or that are larger than tier 0, hits on prefixes, what
    waits to be written down. Of what is judged alone (rule R38).
    """

    def __init__(self, model: Model) -> None:
        self.model, self._first = model, model.ledger.books.first_access
        self._before: Counter[tuple[str, str]] | None = None
        self.queue_ns, self.transfer_ns = Counter[str](), Counter[str]()
        self.reasons = Counter[str]()
        self.n_pollution = self.n_bypassed = self.n_evicted = self.n_prefix_hits = self.n_served = 0
        self._request: dict[int, tuple[int, bool]] = {}
        self._behind: set[int] = set()
        self._writing: dict[int, Any] = {}
        self._most_written = Counter[str]()
        self._transfers: dict[int, Any] = {}
        self._arrived: set[int] = set()
        self._evicted: list[int] = []
        self._polluted: set[int] = set()
        for event in ("issued", "served", "asked", "started", "answered", "written", "settled"):
            self.model.on(event, self._look)
        # Evictions between two of these are not of a landing; an unused prefetch that is evicted is settled within it.
        for event in ("issued", "served", "answered"):
            self.model.on(event, lambda *_: self._evicted.clear())
        self.model.on("issued", self._begins)
        self.model.on("served", self._served)
        self.model.on("landed", self._landed)
        self.model.on("evicted", self._gone)
        again = self.model.memory.compute_again
        self.model.memory.compute_again = lambda key, size: self._keep(again(key, size))  # type: ignore[method-assign]
        propose = self.model.ledger.propose
        self.model.ledger.propose = lambda question, reason: (
            self.reasons.update([reason] * self._is_judged(question.access)), propose(question, reason)
        )[1]  # fmt: skip
        self.model.run()
        self._look()

    def _is_judged(self, access: Any) -> bool:
        return bool(access.index >= self._first)

    def _begins(self, access: Any) -> None:
        """Bytes count that start after the first judged access is issued."""
        if self._before is None and self._is_judged(access):
            self._before = self._moved() if self._first > self.model.first_access else Counter()
            self._most_written = self._written_down()
        if access.op != WRITE:
            request, is_broken = self._request.get(access.stream, (-1, False))
            is_broken = is_broken and request == access.request
            if is_broken:
                self._behind.add(access.index)
            is_there = access.key in self.model.flight or any(
                access.key in tier.blocks for tier in self.model.memory.tiers
            )
            self._request[access.stream] = access.request, is_broken or not is_there

    def _keep(self, transfer: Any) -> Any:
        self._transfers[id(transfer)] = transfer
        return transfer

    def _look(self, *_: object) -> None:
        for transfer in self.model.flight.values():
            self._keep(transfer)
            if transfer.is_down:
                self._writing[id(transfer)] = transfer
        for link, n_bytes in self._written_down().items():
            self._most_written[link] = max(self._most_written[link], n_bytes)

    def _written_down(self) -> Counter[str]:
        """Bytes that are evicted and not below yet, by the link that they go over."""
        n_bytes = Counter[str]()
        for transfer in self._writing.values():
            n_bytes[transfer.claim.resource.name] += transfer.size
        return n_bytes

    def _gone(self, tier: Any, key: int, victim: Any) -> None:
        if tier.level == 0:
            self._evicted.append(key)
            # What passes by was never in.
            self.n_evicted += victim.size <= self.model.capacities[0]

    def _served(self, access: Any) -> None:
        self.n_served += self._is_judged(access)
        is_hit = access.outcome.name in ("HIT", "HIT_PREFETCHED")
        self.n_prefix_hits += self._is_judged(access) and is_hit and access.index not in self._behind
        # A write that allocates; of reads that miss the block lands.
        if access.outcome.name == "MISS" and access.op == WRITE:
            self.n_bypassed += self._is_judged(access) and access.size > self.model.capacities[0]
        if access.outcome.name == "MISS" and access.key in self._polluted:
            self._polluted.remove(access.key)
            self.n_pollution += self._is_judged(access)

    def _landed(self, transfer: Any) -> None:
        self._keep(transfer)
        self._arrived.add(id(transfer))
        self._writing.pop(id(transfer), None)
        self._look()
        evicted, self._evicted = self._evicted, []
        for access in filter(self._is_judged, transfer.waiters):
            if transfer.is_down:
                self.queue_ns[transfer.path[-1][0].name] += self.model.now - access.joined_ns
                continue
            for link, queued, started, ended, entered in transfer.path:
                self.queue_ns[link.name] += max(started - max(queued, access.joined_ns), 0)
                self.queue_ns[link.name] += max(entered - max(ended, access.joined_ns), 0)
                self.transfer_ns[link.name] += max(ended - max(started, access.joined_ns), 0)
        if not transfer.is_down:
            is_missed = any(access.outcome.name == "MISS" for access in filter(self._is_judged, transfer.waiters))
            self.n_bypassed += is_missed and transfer.size > self.model.capacities[0]
            self.n_pollution += is_missed and transfer.key in self._polluted
            self._polluted.discard(transfer.key)
            if transfer.kind == 1:
                self._polluted |= set(evicted) - {transfer.key}

    def _moved(self) -> Counter[tuple[str, str]]:
        """Bytes that have started, by link and kind."""
        moved = Counter[tuple[str, str]]()
        for transfer in self._transfers.values():
            kind = ("demand", "prefetch", "write_back")[transfer.kind]
            over = [link.name for link, *_ in transfer.path]
            if id(transfer) not in self._arrived and transfer.claim.usage_since is not None and self._is_new(transfer):
                over.append(transfer.claim.resource.name)
            moved.update({(link, kind): transfer.size for link in over})
        return moved

    def columns(self) -> dict[str, Any]:
        moved, before = self._moved(), self._before or Counter()
        found: dict[str, Any] = {"n_pollution": self.n_pollution, "n_bypassed": self.n_bypassed}
        found["n_evicted"] = self.n_evicted
        found["resident_bytes"] = sum(block.size for block in self.model.memory.tiers[0].blocks.values())
        for reason in REASONS:
            found[f"n_{reason}"] = self.reasons[reason]
        found["prefix_hit_ratio"] = self.n_prefix_hits / self.n_served
        for link in [link.name for link in self.model.memory.links[: len(self.model.tiers)]]:
            found[f"{link}_write_back_queued_bytes_max"] = self._most_written[link]
            found[f"{link}_write_back_queued_bytes_at_end"] = self._written_down()[link]
        for link in self.model.links:
            for kind in ("demand", "prefetch", "write_back"):
                found[f"{link}_{kind}_bytes"] = moved[link, kind] - before[link, kind]
            found[f"{link}_queue_ns"], found[f"{link}_transfer_ns"] = self.queue_ns[link], self.transfer_ns[link]
        return found

    def _is_new(self, transfer: Any) -> bool:
        """Whether the hop that its claim is for is not over, and so not in its path."""
        return all(link is not transfer.claim.resource for link, *_ in transfer.path)
