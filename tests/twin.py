"""A naive twin of the engine: dicts, lists and one heap of events, one access at a time, written from the rules.

It shares no code with ``simulator`` but the config models, the policy's protocol and the plain eviction policies.
"""

import heapq
from collections.abc import Callable
from fractions import Fraction
from math import ceil
from typing import Any

import numpy as np

from simulator.config import System
from simulator.evictions.base import Eviction
from simulator.evictions.registry import make
from simulator.policy import AccessRun, Fate, Told, Trigger
from simulator.seeds import generator
from simulator.trace import Batch

HIT, HIT_PREFETCHED, LATE, MERGED, MISS = range(5)
DEMAND, PREFETCH, BACKGROUND = range(3)
CLEAN, COMPUTED, WRITTEN = range(3)


class Block:
    def __init__(self, size: int, dirty: int = CLEAN, prefetch: int | None = None, version: int = 0) -> None:
        self.size, self.dirty, self.prefetch, self.version = size, dirty, prefetch, version


class Move:
    def __init__(self, key: int, size: int, kind: int, level: int, down: bool = False) -> None:
        self.key, self.size, self.kind, self.priority, self.level, self.source = key, size, kind, kind, level, level
        self.down, self.dirty, self.prefetch, self.waiters = down, CLEAN, None, []
        self.version = 0
        self.obsolete, self.queued_at, self.started, self.link = False, 0, None, 0
        self.path: list[tuple[int, int, int, int]] = []


class Twin:
    def __init__(self, system: System, arrivals: Any, batch: Batch, policy: Any, charge: Callable[[Any], Any]) -> None:
        self.system, self.arrivals, self.policy, self.charge = system, arrivals, policy, charge
        self.accesses = [
            {"access": i, "key": int(batch.key[i]), "size": int(batch.size_bytes[i]), "stream": int(batch.stream[i]),
             "request": int(batch.request[i]), "op": int(batch.op[i]), "time": int(batch.time_ns[i])}
            for i in range(len(batch))
        ]  # fmt: skip
        self.now, self.seq, self.events = 0, 0, []
        self.n_levels = len(system.tiers)
        self.tiers: list[dict[int, Block]] = [{} for _ in system.tiers]
        self.orders = [self.order(tier, level) for level, tier in enumerate(system.tiers)]
        self.in_place = system.origin.kind == "compute" and system.origin.enters == "first"
        n_links = self.n_levels + self.in_place
        # Time that accesses waited, by link: in a queue (or for a write-back), and in service.
        self.queued_on, self.moved_on = [0] * n_links, [0] * n_links
        self.shadow = self.order(system.tiers[0], 0)
        self.used_by: dict[int, int] = {}
        self.queues: list[list[Move]] = [[] for _ in range(n_links)]
        self.free = [link.channels for link in system.links] + ([system.origin.channels] if self.in_place else [])
        self.moving: dict[int, Move] = {}
        self.known: set[int] = set()
        self.polluted: set[int] = set()
        self.n_pollution = self.n_busy = self.outstanding = 0
        self.rejected = dict.fromkeys(("resident", "in_flight", "unknown", "budget", "stale"), 0)
        self.fates: dict[int, Fate] = {}
        self.filled: set[int] = set()
        self.n_issued = 0
        self.history: list[tuple[int, int, int]] = []
        self.shown = 0
        self.questions: list[dict[str, Any]] = []
        self.n_dropped = 0
        self.told = Told()
        # What no rule speaks of but all must keep: the content. Each write makes a new version.
        self.latest: dict[int, int] = {}
        self.origin: dict[int, int] = {}

    def order(self, tier: Any, level: int) -> Eviction:
        """Who is evicted: the tier's policy in plain Python."""
        value = getattr(tier.admission, "largest", getattr(tier.admission, "probability", 0))
        return make(
            tier.eviction,
            tier.capacity,
            seed=int(generator(0, "eviction").integers(2**62)) + level,
            admission=tier.admission.kind,
            admission_value=value,
            enters=self.system.prefetch.enters if level == 0 else "front",
            region_ratio=self.system.prefetch.region_ratio,
        )

    def remove(self, level: int, key: int) -> Block | None:
        if key in self.tiers[level]:
            self.orders[level].remove(key)
        return self.tiers[level].pop(key, None)

    def check_nothing_is_lost(self) -> None:
        for key, version in self.latest.items():
            copies = [tier[key].version for tier in self.tiers if key in tier]
            copies += [self.moving[key].version] if key in self.moving else []
            assert max([*copies, self.origin.get(key, 0)]) == version, f"the last write to {key} is lost"

    # -- time -------------------------------------------------------------------------------------------------------
    def at(self, delay: int, call: Callable[[], None]) -> None:
        heapq.heappush(self.events, (self.now + delay, self.seq, call))
        self.seq += 1

    def run(self) -> list[dict[str, Any]]:
        closed = self.arrivals.kind == "closed"
        todo: dict[int, list[dict[str, Any]]] = {}
        for access in self.accesses:
            todo.setdefault(access["stream"] if closed else 0, []).append(access)
        self.ready = dict.fromkeys(todo, 0)
        self.left = {}
        while True:
            choices = []
            for stream, queue in todo.items():
                if queue:
                    time = self.ready[stream] if closed else self.arrival(queue[0])
                    if time is not None:
                        choices.append((time, stream))
            start = min(choices) if choices else None
            if self.events and (start is None or self.events[0][0] <= start[0]):
                if start is None and self.outstanding == 0 and self.events[0][0] > self.now:
                    break
                self.now, _, call = heapq.heappop(self.events)
                call()
            elif start is not None:
                self.now = start[0]
                access = todo[start[1]].pop(0)
                if closed:
                    self.in_request(access, todo[start[1]])
                self.issue(access)
            else:
                break
        return self.accesses

    def arrival(self, access: dict[str, Any]) -> int:
        time = access["time"] - self.accesses[0]["time"]
        return time if self.arrivals.speedup == 1 else int(np.rint(time / self.arrivals.speedup))

    def in_request(self, access: dict[str, Any], rest: list[dict[str, Any]]) -> None:
        stream = access["stream"]
        request = self.left.setdefault(stream, {"open": 0, "end": 0})
        request["open"] += 1
        request["all_issued"] = not rest or rest[0]["request"] != access["request"]
        if request["all_issued"]:
            self.ready[stream] = None

    def finish(self, access: dict[str, Any], service: int) -> None:
        access["service"] = service
        access["latency"] = self.now + service - access["issued"]
        access["queue"] = access["latency"] - service - access["transfer"] - access["inference"]
        if self.arrivals.kind == "closed":
            request = self.left[access["stream"]]
            request["end"] = max(request["end"], self.now + service)
            request["open"] -= 1
            if request["open"] == 0 and request["all_issued"]:
                self.ready[access["stream"]] = request["end"] + self.arrivals.think
                request["end"] = 0

    def service(self, access: dict[str, Any]) -> int:
        tier = self.system.tiers[0]
        rate = tier.write_bandwidth if access["op"] else tier.read_bandwidth
        ns = tier.latency + ceil(Fraction(access["size"] * 10**9, rate))
        slow = self.system.inference.gpu_slowdown if self.n_busy else 1.0
        return ceil(ns * Fraction(round(slow * 10**6), 10**6))

    # -- accesses ---------------------------------------------------------------------------------------------------
    def asks(self, outcome: int) -> bool:
        trigger = self.policy.trigger
        return (
            trigger == Trigger.ACCESS
            or (trigger == Trigger.TAGGED and outcome != HIT)
            or (trigger == Trigger.MISS and outcome > HIT_PREFETCHED)
        )

    def issue(self, access: dict[str, Any]) -> None:
        access.update(issued=self.now, inference=0, transfer=0)
        access["shadow"] = int(self.shadow.request(access["key"], access["size"]) is not None)
        block = self.tiers[0].get(access["key"])
        seen = MISS if block is None else HIT if block.prefetch is None else HIT_PREFETCHED
        self.outstanding += 1
        if self.system.inference.mode == "sync" and self.asks(seen):
            self.history.append((access["key"], access["stream"], seen))
            if not self.ask(access, access):
                self.go(access)
            return
        self.history.append((access["key"], access["stream"], seen))
        self.go(access)
        if block is None:
            self.history[-1] = (access["key"], access["stream"], access["outcome"])
        if self.asks(seen):
            self.ask(access, None)

    def go(self, access: dict[str, Any]) -> None:
        key = access["key"]
        block = self.tiers[0].get(key)
        if block is not None:
            if block.prefetch is not None:
                self.used_by[block.prefetch] = access["access"]
            access["outcome"] = self.use(key, access["op"])
            self.serve(access)
            return
        move = self.moving.get(key)
        if move is not None:
            access["outcome"] = MISS
            access["joined"] = self.now
            if not move.down:
                access["outcome"] = LATE if move.priority == PREFETCH else MERGED
                if move.priority == PREFETCH:
                    self.used_by[move.prefetch] = access["access"]
                    self.settle(move.prefetch, Fate.LATE)
                    move.prefetch = None
            if move.priority != DEMAND:
                move.priority = DEMAND
                queue = self.queues[move.link]
                if move in queue:
                    queue.remove(move)
                    queue.append(move)
            move.waiters.append(access)
            return
        access["outcome"] = MISS
        self.known.add(key)
        if key in self.polluted:
            self.polluted.remove(key)
            self.n_pollution += 1
        if access["op"]:
            self.allocate(key, access["size"])
            self.serve(access)
        else:
            access["joined"] = self.now
            self.fetch(key, access["size"], DEMAND).waiters.append(access)

    def use(self, key: int, op: int) -> int:
        block = self.tiers[0][key]
        assert block.version == self.latest.get(key, 0), f"{key} is out of date"
        if op:
            block.version = self.latest[key] = self.latest.get(key, 0) + 1
        outcome = HIT
        if block.prefetch is not None:
            outcome = HIT_PREFETCHED
            self.settle(block.prefetch, Fate.TIMELY)
            block.prefetch = None
        self.orders[0].request(key, self.tiers[0][key].size)
        if op and block.dirty != WRITTEN:
            block.dirty = WRITTEN
            self.written(key)
        return outcome

    def allocate(self, key: int, size: int) -> None:
        self.latest[key] = self.latest.get(key, 0) + 1
        self.written(key)
        self.insert(0, key, Block(size, WRITTEN, version=self.latest[key]), False)

    def written(self, key: int) -> None:
        for level in range(1, self.n_levels):
            self.remove(level, key)
        old = self.moving.pop(key, None)
        if old is not None:
            old.obsolete = True

    def serve(self, access: dict[str, Any]) -> None:
        self.outstanding -= 1
        self.finish(access, self.service(access))

    # -- blocks -----------------------------------------------------------------------------------------------------
    def fetch(self, key: int, size: int, kind: int) -> Move:
        holders = [level for level, tier in enumerate(self.tiers) if key in tier]
        move = Move(key, size, kind, holders[0] if holders else self.n_levels)
        move.version = self.origin.get(key, 0)
        if holders:
            move.version = self.tiers[holders[0]][key].version
            self.orders[holders[0]].request(key, size)
        self.moving[key] = move
        self.hop(move)
        return move

    def hop(self, move: Move) -> None:
        if move.down:
            move.link = move.level
        elif self.in_place and move.level == self.n_levels:
            move.link = self.n_levels
        else:
            move.link = move.level - 1
        move.queued_at = self.now
        if self.free[move.link]:
            self.free[move.link] -= 1
            self.start(move.link, [move])
        else:
            self.queues[move.link].append(move)

    def start(self, link: int, moves: list[Move]) -> None:
        size = sum(move.size for move in moves)
        system, origin = self.system, self.system.origin
        computing = 0
        if origin.kind == "compute":
            computing = origin.call + ceil(Fraction(size * origin.per_mib, 2**20))
        if link == self.n_levels:
            duration = computing
        else:
            config, above = system.links[link], system.tiers[link]
            below = system.tiers[link + 1] if link + 1 < self.n_levels else None
            if moves[0].down:
                rates = [config.write_bandwidth, above.read_bandwidth] + ([below.write_bandwidth] if below else [])
                duration = above.latency
            else:
                rates = [config.read_bandwidth, above.write_bandwidth] + ([below.read_bandwidth] if below else [])
                duration = below.latency if below else getattr(origin, "latency", 0)
                if below is None:
                    duration += computing
            duration += config.call + ceil(Fraction(size * 10**9, min(rates)))
        for move in moves:
            move.started = self.now
        self.at(duration, lambda: self.end(link, moves))

    def end(self, link: int, moves: list[Move]) -> None:
        for move in moves:
            move.path.append((link, move.queued_at, move.started, self.now))
        for move in moves:
            self.arrive(move)
        most = self.system.links[link].blocks_per_call if link < self.n_levels else 1
        batch: list[Move] = []
        for priority in (DEMAND, PREFETCH, BACKGROUND):
            if batch:
                break
            for move in [m for m in self.queues[link] if m.priority == priority]:
                if len(batch) == most or (batch and move.down != batch[0].down):
                    break
                self.queues[link].remove(move)
                limit = self.system.prefetch.max_wait
                if priority == PREFETCH and limit is not None and self.now - move.queued_at > limit:
                    del self.moving[move.key]
                    self.settle(move.prefetch, Fate.CANCELLED)
                    if move.dirty:
                        self.write_down(move.source, move.key, Block(move.size, move.dirty, version=move.version))
                else:
                    batch.append(move)
        if batch:
            self.start(link, batch)
        else:
            self.free[link] += 1

    def arrive(self, move: Move) -> None:
        if move.down:
            move.level += 1
            if not move.obsolete:
                del self.moving[move.key]
                if move.level < self.n_levels:
                    self.insert(move.level, move.key, Block(move.size, move.dirty, version=move.version), False)
                else:
                    self.origin[move.key] = move.version
                for access in move.waiters:
                    self.queued_on[move.link] += self.now - access["joined"]
                    self.go(access)
                    if access["outcome"] == HIT:
                        access["outcome"] = MERGED
            return
        computed = self.in_place and move.level == self.n_levels
        move.level = 0 if computed else move.level - 1
        if move.level > 0:
            if self.system.placement == "inclusive":
                # A tier that does not admit the block gives the dirtiness back to the move.
                dirty, move.dirty = move.dirty, CLEAN
                self.insert(move.level, move.key, Block(move.size, dirty, version=move.version), False)
            self.hop(move)
            return
        del self.moving[move.key]
        block = Block(move.size, COMPUTED if computed else move.dirty, move.prefetch, move.version)
        if self.system.placement == "exclusive" and move.source < self.n_levels:
            below = self.remove(move.source, move.key)
            if below is not None:
                block.dirty = max(block.dirty, below.dirty)
        self.polluted.discard(move.key)
        if move.prefetch is not None:
            self.filled.add(move.prefetch)
        self.insert(0, move.key, block, move.kind == PREFETCH)
        for access in move.waiters:
            if move.key in self.tiers[0] and (access["outcome"] != MISS or access["op"]):
                self.use(move.key, access["op"])
            elif access["op"]:
                self.allocate(move.key, access["size"])
            since = access["joined"]
            for link, queued, started, ended in move.path:
                self.queued_on[link] += max(0, started - max(queued, since))
                moved = max(0, ended - max(started, since))
                self.moved_on[link] += moved
                access["transfer"] += moved
            self.serve(access)

    def insert(self, level: int, key: int, block: Block, by_prefetch: bool) -> None:
        tier = self.tiers[level]
        tier[key] = block
        prefetched = level == 0 and block.prefetch is not None
        gone = [(old, tier.pop(old)) for old in self.orders[level].request(key, block.size, prefetched=prefetched)]
        for old, victim in gone:
            if level == 0 and victim.prefetch is not None:
                self.settle(victim.prefetch, Fate.EVICTED_UNUSED)
            if level == 0 and by_prefetch and old != key:
                self.polluted.add(old)
            move = self.moving.get(old)
            above = [tier[old] for tier in self.tiers[:level] if old in tier]
            if move is not None:
                heir = above[-1] if above else move
                heir.dirty = max(heir.dirty, victim.dirty)
            elif not any(old in below for below in self.tiers[level + 1 :]):
                self.write_down(level, old, victim)

    def write_down(self, level: int, key: int, block: Block) -> None:
        size, dirty = block.size, block.dirty
        last = level == self.n_levels - 1
        demotes = self.system.clean_evictions == "demote"
        if dirty == WRITTEN or (not last and (dirty == COMPUTED or demotes)):
            move = Move(key, size, BACKGROUND, level, down=True)
            move.dirty, move.version = dirty, block.version
            self.moving[key] = move
            self.hop(move)

    # -- asking and prefetching -------------------------------------------------------------------------------------
    def ask(self, access: dict[str, Any], waiter: dict[str, Any] | None) -> bool:
        server = self.system.inference
        waiting = [q for q in self.questions if q["state"] == "waiting"]
        if self.n_busy == server.servers and len(waiting) >= server.queue_limit:
            self.n_dropped += 1
            return False
        question = {"run": self.history[self.shown :], "asked": self.now, "waiter": waiter, "size": access["size"],
                    "state": "waiting"}  # fmt: skip
        self.shown = len(self.history)
        self.questions.append(question)
        if self.n_busy < server.servers:
            self.infer([question])
        return True

    def infer(self, batch: list[dict[str, Any]]) -> None:
        if self.told.keys:
            told, self.told = self.told, Told()
            self.policy.told(told)
        runs = []
        for question in batch:
            question["state"] = "running"
            columns = zip(*question["run"], strict=True)
            runs.append(AccessRun(*(np.array(column) for column in columns)))
        decision = self.policy.decide(runs)
        cost = self.charge(decision).charged_ns
        if cost == 0:
            self.answer(batch, decision.answers)
            return
        self.n_busy += 1

        def over() -> None:
            self.n_busy -= 1
            self.answer(batch, decision.answers)
            while self.n_busy < self.system.inference.servers:
                waiting = [q for q in self.questions if q["state"] == "waiting"][: self.system.inference.batch_size]
                if not waiting:
                    break
                self.infer(waiting)

        self.at(cost, over)

    def answer(self, batch: list[dict[str, Any]], answers: Any) -> None:
        limit = self.system.inference.stale_after
        for question, answer in zip(batch, answers, strict=True):
            question["state"] = "answered"
            if question["waiter"] is not None:
                question["waiter"]["inference"] = self.now - question["waiter"]["issued"]
                self.go(question["waiter"])
            stale = limit is not None and self.now - question["asked"] > limit
            for key in answer.keys:
                reason = "stale" if stale else self.reason(key, question["size"])
                if reason:
                    self.rejected[reason] += 1
                    continue
                row, self.n_issued = self.n_issued, self.n_issued + 1
                move = self.fetch(key, question["size"], PREFETCH)
                move.prefetch = row

    def reason(self, key: int, size: int) -> str | None:
        if key in self.tiers[0]:
            return "resident"
        if key in self.moving:
            return "in_flight"
        if self.system.origin.kind == "compute" and key not in self.known:
            return "unknown"
        budget = self.system.prefetch
        prefetches = [move for move in self.moving.values() if move.priority == PREFETCH]
        queued = sum(move.priority == PREFETCH for queue in self.queues for move in queue)
        holders = [level for level, tier in enumerate(self.tiers) if key in tier]
        level = holders[0] if holders else self.n_levels
        link = self.n_levels if self.in_place and level == self.n_levels else level - 1
        if (
            len(prefetches) >= budget.in_flight
            or sum(move.size for move in prefetches) + size > budget.bytes
            or (queued >= budget.queued and not self.free[link])
        ):
            return "budget"
        return None

    def settle(self, row: int | None, fate: Fate) -> None:
        assert row is not None
        assert row not in self.fates
        self.fates[row] = fate
        self.told.keys.append(0)
        self.told.fates.append(fate)
