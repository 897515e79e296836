"""Breaks the rules in the model, one at a time, and has the comparison with the engine notice: ``benchmarks.mutants``.

A mutant is a small change of a file under ``simulator/``, made while a process of its own imports it: on the disk
nothing changes, so that nothing is compiled anew.
"""

import argparse
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType
from typing import Any

ROOT = Path(__file__).parents[1]
# Of one run of the model, which takes about 0.01 s: a mutant's may have no end.
LIMIT_S = 10
# A rule, a file and a name; the text that goes, which occurs once in the file; the text that comes in its place.
CHANGES = """
R1 model/links: divisions round down
- return -(-numerator // denominator)
+ return numerator // denominator
R2 model/links: links choose at once
- Instant(self._env, CHOICE + self.index).callbacks.append(self.choose)
+ self.choose()
R2 model/links: the last tier's link chooses first
- CHOICE + self.index
+ CHOICE + 9 - self.index
R2 model/links: accesses are issued before completions
- COMPLETION = 3
+ COMPLETION = 60
R2 model/links: links choose before servers take up questions
- SERVE = 4
+ SERVE = 31
R2 model/asking: a server goes on before other completions
- yield Instant(self.model.env, SERVE)
+ yield self.model.env.timeout(0)
R2 model/asking: answers that cost no time come after the links have chosen
- if charged_ns:
-                 yield is_over
+ if not charged_ns:
+                 yield Instant(self.model.env, 31)
+             else:
+                 yield is_over
R2 model/asking: answers come after the links have chosen
- is_over = Instant(self.model.env, COMPLETION, charged_ns)
+ is_over = Instant(self.model.env, 31, charged_ns)
R2 model/accesses: the last stream issues first
- ISSUE + stream
+ ISSUE + 9 - stream
R2 model/accesses: a request is issued in one go
- yield Instant(model.env, ISSUE + stream, max(ready_ns - model.now, 0))
+ if access is request[0]:
+                 yield Instant(model.env, ISSUE + stream, max(ready_ns - model.now, 0))
R3 model/links: a link has one channel
- super().__init__(env, channels)
+ super().__init__(env, 1)
R4 model/links: bytes go at the rate of the fastest
- read = min(
+ read = max(
R4 model/links: a write-back pays the latency of the tier below
- link.call + above.latency
+ link.call + (below.latency if below else 0)
R4 model/memory: a fetch comes from the farthest tier
- source, dirty = min(self.holders(key), default=self.origin), CLEAN
+ source, dirty = max(self.holders(key), default=self.origin), CLEAN
R4 model/accesses: writes are served at the rate of reads
- self.config.write_bandwidth if
+ self.config.read_bandwidth if
R5 model/memory: inclusive fetches skip the tiers between
- elif not self.is_exclusive:
+ elif False:
R5 model/memory: a copy and the transfer are both dirty
- dirty, transfer.dirty = transfer.dirty, CLEAN
+ dirty = transfer.dirty
R5 model/memory: clean blocks are never demoted
- (dirty == COMPUTED or demotes)
+ (dirty == COMPUTED)
R5 model/memory: what is held above is not written down
- elif max(holders, default=-1) < level:
+ elif not holders:
R5 model/memory: a write leaves the copy in tier 1
- for tier in self.tiers[1:]:
+ for tier in self.tiers[2:]:
R5 model/accesses: a write that hits leaves copies below
- self.memory.invalidate_below(access.key)
+ pass
R5 model/memory: an out-of-date write-back lands
- if not transfer.is_obsolete:
+ if not transfer.is_obsolete or self.model.flight.setdefault(transfer.key, transfer) is transfer:
R5 model/memory: a write that is not admitted is out of date at once
- self.invalidate_below(key)
-         self.insert(0, key, Block(size, WRITTEN))
+ self.insert(0, key, Block(size, WRITTEN))
+         self.invalidate_below(key)
R6 model/memory: computed blocks are written down to the origin
- if dirty == WRITTEN or (
+ if dirty != CLEAN or (
R6 model/memory: computed blocks are dropped
- (dirty == COMPUTED or demotes)
+ demotes
R6 model/accesses: a write does not make a block exist
- self.model.asking.exists(key)
+ access.op == WRITE or self.model.asking.exists(key)
R6 model/asking: what does not exist is prefetched
- (is_nowhere or key not in self._known)
+ is_nowhere
R6 model/links: computing has one channel
- names[-1], origin.channels, 1,
+ names[-1], 1, 1,
R7 model/model: the policy's memory is free
- self.capacities = capacities_of(system, policy)
+ self.capacities = [tier.capacity for tier in system.tiers]
R25 model/memory: a lower tier is used when the block has left it
- self.use(source, key)
+ self.model.env.timeout(self.link_from(source).duration(size, False, 1)).callbacks.append(
+                 lambda _: key in self.tiers[source].blocks and self.tiers[source].eviction.request(key, size)
+             )
R42 model/memory: nobody is pushed out
- gone = self.eviction.push_out()
+ gone: list[int] = []
R42 model/memory: who is pushed out is lost
- for old, victim in self.tiers[level].use(key):
-             self._evict(level, old, victim)
+ self.tiers[level].use(key)
R25 model/accesses: a miss uses its block on top of bringing it in
- if access.outcome != Outcome.MISS and not transfer.is_again:
+ if not transfer.is_again:
R25 model/accesses: a late access does not use its block
- if access.outcome != Outcome.MISS and not transfer.is_again:
+ if access.outcome not in (Outcome.MISS, Outcome.LATE) and not transfer.is_again:
R26 model/memory: an exclusive source lets go at the start
- return Transfer(self.model, key, size, kind, source, dirty, prefetch)
+ below = self.tiers[source].remove(key) if self.is_exclusive and source < self.origin else None
+         return Transfer(self.model, key, size, kind, source, below.dirty if below else dirty, prefetch)
R26 model/memory: tiers between get a copy when exclusive
- elif not self.is_exclusive:
+ else:
R26 model/memory: an exclusive source keeps its dirtiness
- dirty = max(dirty, below.dirty if below else CLEAN)
+ pass
R27 model/memory: the transfer takes over where a copy between should
- self.tiers[above[-1]].blocks[key] if above else moving
+ moving
R27 model/memory: the highest copy takes over
- above[-1]
+ above[0]
R27 model/memory: nobody takes over dirtiness
- heir.dirty = max(heir.dirty, victim.dirty)
+ pass
R28 model/memory: prefetched blocks may be turned away
- prefetched=block.prefetch is not None
+ prefetched=False
R28 model/accesses: a write that waited and is not admitted is lost
- elif access.op == WRITE:
+ elif False:
R29 model/accesses: service takes the size of the block
- ceil_div(access.size * 10**9, rate)
+ ceil_div((self.tier.blocks.get(access.key) or access).size * 10**9, rate)
R29 model/memory: a fetch has the size of the access
- size = self.tiers[source].blocks[key].size
+ pass
R29 model/asking: the budget takes the size of the access
- size = memory.tiers[source].blocks[key].size
+ pass
R8 model/links: write-backs are as urgent as prefetches
- super().__init__(link, priority
+ super().__init__(link, min(priority, PREFETCH)
R9 model/accesses: the last to wait is served first
- for access in transfer.waiters:
-             # To
+ for access in reversed(transfer.waiters):
+             # To
R9 model/accesses: those that join a late prefetch are late, too
- access.outcome = Outcome.MERGED
+ access.outcome = Outcome.LATE if transfer.late else Outcome.MERGED
R10 model/asking: in_flight is one more
- memory.n_prefetches >= budget.in_flight
+ memory.n_prefetches > budget.in_flight
R10 model/asking: the budget's last byte is not to be had
- memory.prefetch_bytes + size > budget.bytes
+ memory.prefetch_bytes + size >= budget.bytes
R10 model/links: max_wait is reached
- > self.max_wait_ns
+ >= self.max_wait_ns
R10 model/links: max_wait counts from the proposal
- self._env.now - claim.time >
+ self._env.now - claim.transfer.prefetch.proposed_ns >
R10 model/links: a prefetch that a demand met is cancelled
- if claim.priority == PREFETCH and claim.transfer and
+ if claim.transfer and claim.transfer.kind == PREFETCH and
R10 model/memory: a cancelled prefetch loses what its source evicted
- self._write_down(transfer.source, transfer.key, transfer.size, transfer.dirty, demotes=False)
+ pass
R11 model/links: calls are shared across priorities
- call[0].priority == claim.priority
+ True
R11 model/links: calls are shared across directions
- first.is_down == other.is_down
+ True
R11 model/links: a call takes one block more
- len(call) < self.blocks_per_call
+ len(call) <= self.blocks_per_call
R11 model/links: each block of a call pays for it
- self._drawn_duration(n_bytes, transfers[0].is_down) if transfers else 0
+ sum(self._drawn_duration(transfer.size, transfer.is_down) for transfer in transfers)
R46 model/links: calls at once do not matter
- self.moving(n_bytes, is_down, self.count)
+ self.moving(n_bytes, is_down, 1)
R46 model/links: the call that begins does not count
- self.moving(n_bytes, is_down, self.count)
+ self.moving(n_bytes, is_down, max(self.count - 1, 1))
R46 model/links: less than was measured takes less
- max(n_bytes, table.sizes[0])
+ n_bytes
R46 model/links: more at once than were measured take more
- min(at_once, table.at_once[-1])
+ at_once
R46 model/links: what lies between is rounded down
- ceil(slope * (place - places[i - 1]))
+ int(slope * (place - places[i - 1]))
R46 model/links: beyond the last it takes no longer
- slope * (place - places[i - 1])
+ slope * (min(place, places[-1]) - places[i - 1])
R46 model/links: what is written takes what is read takes
- table.write if is_down else table.read
+ table.read
R46 model/links: making a block is part of what was measured
- if enters == "last" and i == len(system.links) - 1 else
+ if enters == "last" and i == len(system.links) - 1 and link.table is None else
R47 model/links: making a block spreads, too
- moving = spread.stretch(moving, self.n_calls)
+ moving = spread.stretch(moving + self.making(n_bytes, is_down), self.n_calls) - self.making(n_bytes, is_down)
R47 model/links: all calls of a link draw alike
- spread.stretch(moving, self.n_calls)
+ spread.stretch(moving, 0)
R47 model/links: the first call has another number
- self.n_calls = moving, making, spreads, n_calls
+ self.n_calls = moving, making, spreads, n_calls + 1
R47 model/links: what does not spread has no number
- self.n_calls += 1
+ self.n_calls += spread is not None
R47 model/links: what is written spreads as what is read
- (link.spread, link.write_spread or link.spread)
+ (link.spread, link.spread)
R47 model/links: what is written spreads only where that is said
- (link.spread, link.write_spread or link.spread)
+ (link.spread, link.write_spread)
R47 model/links: all links draw alike
- "link", str(i)
+ "link", "0"
R47 model/links: what is estimated is drawn
- return self.moving(n_bytes, is_down, at_once) + self.making(n_bytes, is_down)
+ spread, moving = self.spreads[is_down], self.moving(n_bytes, is_down, at_once)
+         return (spread.stretch(moving, self.n_calls) if spread else moving) + self.making(n_bytes, is_down)
R47 model/spread: a duration is rounded down
- return ceil(ns
+ return floor(ns
R47 model/spread: a factor is rounded up
- floor(Fraction(rise, gap)
+ ceil(Fraction(rise, gap)
R47 model/spread: a factor is that of the point below
- floor(Fraction(rise, gap) * (drawn - self._shares[i - 1]))
+ 0
R47 model/spread: other bits are drawn
- scattered(self._first + i * _STEP) >> 32
+ scattered(self._first + i * _STEP) % 2**31
R47 model/spread: numbers follow each other closely
- _STEP = 0x9E3779B97F4A7C15
+ _STEP = 1
R47 model/accesses: services draw in the order of being served
- stretch(service_ns, access.index)
+ stretch(service_ns, self.model.ledger._n_served)
R47 model/accesses: the factor comes after that of an inference
- if self.spread:
-             service_ns = self.spread.stretch(service_ns, access.index)
-         if self.model.asking.n_busy or self.model.asking.updating.is_on_server:
-             service_ns = ceil_div(service_ns * self.slow_ppm, _PPM)
+ if self.model.asking.n_busy or self.model.asking.updating.is_on_server:
+             service_ns = ceil_div(service_ns * self.slow_ppm, _PPM)
+         if self.spread:
+             service_ns = self.spread.stretch(service_ns, access.index)
R47 model/accesses: services draw as calls do
- Factors(self.config.spread, seed, "service")
+ Factors(self.config.spread, seed, "link", "0")
R21 model/links: a promoted transfer keeps its place
- (DEMAND, self.env.now,
+ (DEMAND, self.time,
R21 model/links: a promoted transfer goes to the head
- (DEMAND, self.env.now,
+ (DEMAND, -1,
R21 model/memory: a promoted transfer waits as a prefetch where it is
- transfer.claim.promote()
+ pass
R21 model/memory: a promoted transfer is a prefetch on the next link
- link.request(self.priority,
+ link.request(self.kind,
R22 model/memory: a write-back that is waited for stays in the background
- if transfer.priority != DEMAND:
+ if transfer.priority == PREFETCH:
R22 model/accesses: a wait for a write-back is merged
- elif not transfer.is_down:
+ else:
R22 model/accesses: a hit after a wait for a write-back is merged
- access.outcome = self.peek(access.key)
+ access.outcome = self.peek(access.key) or (Outcome.MERGED if access.joined_ns else Outcome.HIT)
R23 model/links: queued counts what starts at once
- max(self.n_free, n_demands)
+ n_demands
R23 model/asking: queued turns away what starts at once
- would_wait = link.n_queued(PREFETCH) >= link.n_free
+ would_wait = True
R23 model/asking: queued is one more
- n_waiting >= budget.queued
+ n_waiting > budget.queued
R24 model/memory: what a demand met stays in the budget until it lands
- self._count_prefetch(-1, transfer.size)
-         if transfer.priority != DEMAND
+ transfer.process.callbacks.append(lambda _: self._count_prefetch(-1, transfer.size))
+         if transfer.priority != DEMAND
R32 model/model: an access is shown before it is looked up
- self.accesses.look_up(access)
-         if asking.is_asked:
-             asking.remember(access)
+ if asking.is_asked:
+             asking.remember(access)
+         self.accesses.look_up(access)
+         if asking.is_asked:
R12 model/asking: pollution alone is no news
- if self._hears and (self.told.keys or self.told.n_polluted):
+ if self._hears and self.told.keys:
R12 ledger/ledger: late is told when it lands
- self.model.asking.tell(prefetch.key, Fate.LATE)
+ transfer.process.callbacks.append(lambda _: self.model.asking.tell(prefetch.key, Fate.LATE))
R13 model/asking: a batch has the questions of the other end
- waiting.pop(end)
+ waiting.pop(-1 - end)
R13 model/asking: a batch has one question more
- self.config.batch_size - 1
+ self.config.batch_size
R13 model/asking: proposals are issued before the waiter looks up
-             self.model.accesses.look_up(question.access)
-         self._propose_all(question, question.answer)
+         self._propose_all(question, question.answer)
+         if self.is_sync:
+             self.model.accesses.look_up(question.access)
R13 model/accesses: tier 0 is slow without an inference
- if self.model.asking.n_busy or self.model.asking.updating.is_on_server:
+ if self.model.asking.is_asked:
R14 model/asking: the queue has one place more
- len(self.queue.items) >= self.config.queue_limit
+ len(self.queue.items) > self.config.queue_limit
R14 model/asking: a dropped question takes its accesses with it
- question.status = Status.QUEUE_FULL
+ question.status, _ = Status.QUEUE_FULL, self._unseen.clear()
R14 model/asking: a question of any stream is superseded
- if question.access.stream == stream:
+ if question:
R14 model/asking: what is superseded keeps its place
-                 self.queue.items.remove(question)
+                 pass
R14 model/asking: what somebody waits for is superseded
- self.config.queue == "newest_first" and not self.is_sync
+ self.config.queue == "newest_first"
R14 model/asking: the newest is taken of who does not recall
- self._supersedes and recalls(policy)
+ self._supersedes
R14 model/asking: what is superseded is seen by nobody
-                 question.status = Status.SUPERSEDED
+                 question.status = Status.SUPERSEDED
+                 self._unseen.clear()
R14 model/model: a dropped question holds its access up
- if not asking.ask(access):
-                 self.accesses.look_up(access)
+ asking.ask(access)
R14 model/asking: stale_after is reached
- now - question.asked_ns > stale_after
+ now - question.asked_ns >= stale_after
R14 model/asking: stale_after counts from the start
- now - question.asked_ns > stale_after
+ now - question.started_ns > stale_after
R15 model/asking: a batch is charged for each of its questions
- return decision.update, cost.charged_ns
+ return decision.update, cost.charged_ns * len(batch)
R43 model/asking: an inference waits for nobody, and nobody for it
- self.updating.give_way()
+ pass
R43 model/asking: what gave way goes on when it likes
- self.updating.may_go_on()
+ pass
R43 model/asking: that an update is over is no news
- if self.updating.is_news:
+ if False:
R43 model/asking: an update is the oldest question's
- self.updating.begin(update, batch[-1].access.index)
+ self.updating.begin(update, batch[0].access.index)
R43 model/accesses: an update slows nobody
- or self.model.asking.updating.is_on_server
+ or False
R43 model/updating: what gave way begins anew
- self.left_ns -= self.model.now - self._began_ns
+ pass
R43 model/updating: it gives way where another server is free
- self.is_on_server and asking.n_busy + 1 == asking.config.servers
+ self.is_on_server
R43 model/updating: it takes a server that it has not
- if self._ends is None and self.left_ns and asking.n_busy < asking.config.servers:
+ if self._ends is None and self.left_ns:
R43 model/updating: one on a device of its own slows tier 0
- self._ends is not None and self._update is not None and self._update.shares
+ self._ends is not None
R43 model/updating: it has started whenever it went on
- if self._started_ns < 0:
+ if True:
R43 model/updating: what has given way is over all the same
- if ends is self._ends:
+ if True:
R43 model/updating: all wait for a server
- elif update.shares:
+ elif True:
R43 model/model: what is open at the end is forgotten
- self.asking.updating.keep()
+ pass
R44 model/asking: what is free is asked apart
- is_free=is_free(charge)
+ is_free=False
R44 model/asking: the later part hears
- parts.at_once or parts.later
+ parts.later
R44 model/asking: what was proposed at once is not counted
- question.n_at_once = len(answer.keys)
+ question.n_at_once = 0
R44 model/at_once: nothing is written
- np.array([access.op], np.uint8)
+ np.array([0], np.uint8)
R44 model/at_once: it looks as if all had missed
- np.array([access.outcome], np.uint8)
+ np.array([4], np.uint8)
R45 model/lives: a place is given to who came last
- heappop(self.free), self.waiting.popleft()
+ heappop(self.free), self.waiting.pop()
R45 model/lives: the last place is given first
- place, life = heappop(self.free), self.waiting.popleft()
+ place, life = self.free.pop(), self.waiting.popleft()
R45 model/lives: a place is never free again
- heappush(self.free, place)
+ pass
R45 model/lives: what is missing is asked for with the rest
- if self.defers and self.is_missing(access):
+ if False:
R45 model/lives: what is missing waits for nothing
- yield self._turn(place, fetched_ns)
+ yield self._turn(place)
R45 model/lives: the first token comes when all was found
- first_token_ns = end_ns = life.times()[1]
+ first_token_ns = end_ns = life.times()[0]
R45 model/lives: an answer begins with its first block
- life.decode_ns * i // len(life.answer)
+ life.decode_ns * (i - 1) // len(life.answer)
R45 model/lives: a place is free when all is written
- return fetched, first_token, max(first_token + self.decode_ns, written)
+ return fetched, first_token, written
R45 model/lives: what is in storage is fetched
- any(level < self.usable for level in self.model.memory.holders(access.key))
+ bool(self.model.memory.holders(access.key))
R45 model/lives: what is on its way is waited for
- return self.gives_up(transfer)
+ return False
R45 model/lives: what is missing is never computed where some tier has it
- return life.is_broken and (access.key in self.model.flight or bool(self.model.memory.holders(access.key)))
+ return False
R45 model/lives: it waits until the time is over
- life.has_landed.succeed()
+ pass
R45 model/lives: the time counts from when its turn came
- deadline_ns = life.arrival_ns + (self.requests.timeout or 0)
+ deadline_ns = model.now + (self.requests.timeout or 0)
R45 model/lives: it goes on when the first has come
- while model.now < deadline_ns and self._awaits(life):
+ if model.now < deadline_ns and self._awaits(life):
R45 model/lives: it is asked when its turn comes
- self.model.asking.ask_at_arrival(life.prompt)
+ pass
R45 model/lives: those that run at the end are forgotten
- self.model.ledger.end(self.running[place])
+ pass
R45 model/accesses: who goes on without a block waits for it
- self._wait(access, self.memory.compute_again(key, transfer.size))
+ self._join(access, transfer)
R45 model/asking: writes are shown as well
- reads = [access for access in prompt if access.op != WRITE]
+ reads = list(prompt)
R45 model/asking: it is shown no look-up
- found = self.model.accesses.peek(access.key)
+ found = Outcome.MISS
R45 model/asking: accesses are shown, too
- if self.policy.trigger == Trigger.ARRIVAL:
-             return
-         self._unseen
+ self._unseen
R45 model/asking: a request that arrives waits for the answer
- self.config.mode == "sync" and policy.trigger != Trigger.ARRIVAL
+ self.config.mode == "sync"
R45 model/asking: a prefetch computes
- is_nowhere = source == memory.origin and self.model.lives is not None
+ is_nowhere = False
R45 ledger/ledger: fetching begins when it came
- "fetching_ns": fetched_ns - life.started_ns,
+ "fetching_ns": fetched_ns - life.arrival_ns,
R16 ledger/questions: a guess is about one access later
- + self._ahead.accesses
+ + self._ahead.accesses + 1
R16 ledger/questions: a guess is about any stream's access
- access.stream if self._ahead.of_stream else -1
+ -1
R31 model/asking: miss does not ask at merged
- frozenset({Outcome.LATE, Outcome.MERGED, Outcome.MISS})
+ frozenset({Outcome.LATE, Outcome.MISS})
R31 model/asking: miss does not ask at late
- frozenset({Outcome.LATE, Outcome.MERGED, Outcome.MISS})
+ frozenset({Outcome.MERGED, Outcome.MISS})
R31 model/asking: tagged does not ask at first uses
- frozenset(Outcome) - {Outcome.HIT}
+ frozenset(Outcome) - {Outcome.HIT, Outcome.HIT_PREFETCHED}
R33 model/asking: resident comes before stale
- if question.status == Status.STALE:
+ if source and question.status == Status.STALE:
R33 model/asking: in flight comes before resident
- if source == 0:
+ if source == 0 and key not in self.model.flight:
R33 model/asking: what is in flight is past the budget first
- if key in self.model.flight:
+ if key in self.model.flight and memory.n_prefetches < budget.in_flight:
R30 model/accesses: think is from the request's start
- max(access.end_ns for access in request)
+ request[0].issued_ns
R30 model/accesses: a request is over with its first access
- max(access.end_ns for access in request)
+ request[0].end_ns
R30 arrivals: each access is a request
- access.request == request[0].request
+ False
R30 arrivals: poisson gaps from access to access
- if (access.stream, access.request) != self._request:
+ if True:
R30 arrivals: streams share the numbers of requests
- if (access.stream, access.request) != self._request:
+ if access.request != self._request[1]:
R30 arrivals: poisson arrivals are rounded down
- return round(self._clock)
+ return int(self._clock)
R30 arrivals: open arrivals are rounded down
- round(since_ns / arrivals.speedup)
+ int(since_ns / arrivals.speedup)
R30 arrivals: open arrivals start when the trace does
- since_ns = access.arrival_ns - start_ns
+ since_ns = access.arrival_ns
R34 model/model: the run ends when the last service is over
- yield Instant(self.env, END)
+ yield Instant(self.env, END, self.ledger.books.end_ns - self.now)
R34 model/model: other completions of the last instant happen
- yield Instant(self.env, END)
+ yield Instant(self.env, 60)
R8 model/links: a call takes the last free channel
- next(channel for channel in count() if channel not in taken)
+ max(channel for channel in range(self.capacity) if channel not in taken)
R8 ledger/ledger: a row has the class for its priority
- "priority": t.claim.priority,
+ "priority": t.kind,
R8 ledger/ledger: the last who waits is the cause
- t.waiters[0].index
+ t.waiters[-1].index
R8 ledger/ledger: demotions are write-backs
- cause = Cause.WRITE_BACK if t.dirty == WRITTEN else Cause.DEMOTION
+ cause = Cause.WRITE_BACK
R8 ledger/ledger: each block of a call has a number
- self._n_calls += 1
+ self._n_calls += len(transfers)
R38 ledger/ledger: calls before judging have rows
- if self.began_ns < 0:
+ if False:
R34 model/model: free channels start nothing at the end
- link.choose()
+ pass
R17 model/accesses: a first use is a hit
- if block.prefetch is None else Outcome.HIT_PREFETCHED
+ if block.prefetch is None else Outcome.HIT
R18 ledger/ledger: transfer before the wait counts
- max(started_ns, since_ns)
+ started_ns
R18 model/accesses: a wait for a write-back is transfer
- transfer.claim.resource.queue_ns +=
+ transfer.claim.resource.transfer_ns +=
R19 ledger/ledger: what is unused at the end is in flight
- Fate.RESIDENT_UNUSED if prefetch.filled_ns >= 0 else
+ Fate.IN_FLIGHT if prefetch.filled_ns >= 0 else
R20 ledger/ledger: a late prefetch saves the way over all links
- for link, *_ in transfer.path)
+ for link in self.model.memory.links)
R20 ledger/ledger: slack is from the proposal
- prefetch.used_ns - prefetch.filled_ns
+ prefetch.used_ns - prefetch.proposed_ns
R20 model/memory: a block that is not admitted is pollution
- if by_prefetch and old != key:
+ if by_prefetch:
R20 model/memory: a promoted prefetch does not pollute
- is_prefetch = transfer.kind == PREFETCH
+ is_prefetch = transfer.priority == PREFETCH
R20 model/memory: pollution counts when the block is back
- self.polluted.discard(transfer.key)
+ pass
R20 ledger/ledger: a late prefetch counts as not missed
- outcome >= Outcome.MERGED
+ outcome > Outcome.MERGED
R35 ledger/rows: rows of accesses are drawn by another number
- (x ^ (x >> 27))
+ (x ^ (x >> 26))
R35 ledger/rows: rows are handed on in smaller pieces
- PIECE = 1024
+ PIECE = 512
R35 ledger/ledger: a row more of each period
- < keeps.length
+ <= keeps.length
R36 model/model: the shadow lacks the policy's memory
- whole = [tier.capacity for tier in system.tiers]
+ whole = self.capacities
R36 model/model: a shadow's miss stays away
- self._shadow.request(access.key, access.size) is not None
+ access.key not in self._shadow
R37 ledger/questions: answers pending at the end count
- is_over, guess, following = q.status != Status.PENDING_AT_END,
+ is_over, guess, following = True,
R38 ledger/ledger: the first judged access is not judged
- return access >= self.books.first_access
+ return access > self.books.first_access
R38 ledger/ledger: a prefetch counts by the access that uses it
- if self.is_judged(prefetch.access):
+ if self.is_judged(access.index):
R38 ledger/ledger: bytes count from the start
- self._bytes_before = [list(link.bytes_started) for link in self.model.memory.links]
+ pass
R38 ledger/ledger: the end counts from the start
- books.end_ns -= max(self.began_ns, 0)
+ pass
R38 ledger/questions: questions that are not judged count
- return question.access.index >= self._first_access
+ return True
R38 ledger/ledger: links count all waits
- link.queue_ns += counts * queued
+ link.queue_ns += queued
R39 evictions/base: what is larger than a tier is asked about
- if size > self.capacity and key not in self:
+ if not self._admission.asked(key) and size > self.capacity and key not in self:
R39 model/asking: what is larger than tier 0 is past the budget
- return "rejected_too_large"
+ return "rejected_budget"
R39 model/accesses: a block as large as tier 0 passes by
- if size > self.model.capacities[0]:
+ if size >= self.model.capacities[0]:
R40 model/backlog: one block more may wait
- self.n_blocks >= self._limits[1]
+ self.n_blocks > self._limits[1]
R40 model/backlog: one byte more may wait
- self.n_bytes >= self._limits[0]
+ self.n_bytes > self._limits[0]
R40 model/backlog: who comes when there is room overtakes
- return bool(self.line) or self.is_full
+ return self.is_full
R40 model/backlog: the last in line comes first
- self.line.popleft()()
+ self.line.pop()()
R40 model/backlog: all come in at once
- if self.line and not self.is_full:
-             self.line.popleft()()
+ while self.line:
+             self.line.popleft()()
R40 model/backlog: who comes in lets in no other
- if self.line and not self.is_full and not self._will_open:
+ if self.n_blocks == 0 and self.line and not self.is_full and not self._will_open:
R40 model/accesses: writes come into a tier that is shut
- not has_turn and self.tier.backlog.is_shut
+ not has_turn and False
R40 model/memory: what passes a tier by waits there
- takes = transfer.level == 0 or not self.is_exclusive
+ takes = True
R40 model/memory: what is out of date waits to land
- takes = not transfer.is_obsolete and transfer.level < self.origin
+ takes = transfer.level < self.origin
R40 model/memory: those who waited look again first
-         self.tiers[transfer.source].backlog.leave(transfer.size)
-         self.model.tell("landed", transfer)
-         self.model.accesses.look_again(transfer)
+         self.model.tell("landed", transfer)
+         self.model.accesses.look_again(transfer)
+         self.tiers[transfer.source].backlog.leave(transfer.size)
R40 ledger/ledger: to wait to come in is transfer
- in_service = max(ended_ns -
+ in_service = max(entered_ns -
R41 model/prefixes: a request goes on under another number
- is_broken = is_broken and request == access.request
+ is_broken = bool(is_broken)
R41 model/prefixes: a written block is missing
- missing = is_read and access.key
+ missing = access.key
R41 model/prefixes: writes lie behind
- return is_broken and is_read
+ return is_broken
R41 model/prefixes: what is in flight is missing
- access.key not in self._model.flight and not
+ not
R41 model/prefixes: what tier 0 lacks is missing
- not self._model.memory.holders(access.key)
+ access.key not in self._model.memory.tiers[0].blocks
R41 model/memory: what lies behind is fetched
- if is_behind and self.computes:
+ if is_behind and False:
R41 model/memory: copies of what is computed lose their dirtiness
- source, dirty = self.origin, max(self._drop(level, key).dirty for level in self.holders(key))
+ source, dirty = self.origin, min(self._drop(level, key).dirty * 0 for level in self.holders(key))
R41 model/memory: what is computed again is in flight
- if not is_again:
+ if True:
R41 model/accesses: what is computed again is used once more
- Outcome.MISS and not transfer.is_again:
+ Outcome.MISS:
R41 model/accesses: a store computes
- if access.is_behind and self.memory.computes:
+ if access.is_behind:
R40 ledger/ledger: the most counts from the start
- tier.backlog.most_bytes = tier.backlog.n_bytes
+ pass
"""


@dataclass(frozen=True)
class Mutant:
    """``old`` occurs once in ``file``; with ``new`` in its place the rule is another."""

    name: str
    rule: str
    file: str
    old: str
    new: str

    @property
    def path(self) -> Path:
        """Where the file is."""
        return ROOT / self.file

    @property
    def module(self) -> str:
        """The name by which it is imported."""
        return self.file.removesuffix(".py").replace("/", ".")


@dataclass(frozen=True)
class Notice:
    """So many runs were compared, and by what the last one was found to differ; None: all were the same."""

    n_examples: int
    by: str | None


def _read(changes: str) -> Iterator[Mutant]:
    for block in re.split(r"\n(?=R\d+ )", changes.strip("\n")):
        heading, *lines = block.split("\n")
        rule, file, name = re.fullmatch(r"(R\d+) (\S+): (.+)", heading).groups()  # type: ignore[union-attr]
        old, new = ("\n".join(line[2:] for line in lines if line[:2] == sign) for sign in ("- ", "+ "))
        yield Mutant(name, rule, f"simulator/{file}.py", old, new)


MUTANTS = {mutant.name: mutant for mutant in _read(CHANGES)}


class Mutated(SourceFileLoader):
    """Imports a mutant instead of what is on the disk."""

    def __init__(self, mutant: Mutant) -> None:
        super().__init__(mutant.module, str(mutant.path))
        self.mutant = mutant

    def get_code(self, fullname: str) -> CodeType:
        """The changed module, compiled."""
        source = self.mutant.path.read_text()
        assert source.count(self.mutant.old) == 1, self.mutant
        code: CodeType = compile(source.replace(self.mutant.old, self.mutant.new), self.mutant.path, "exec")
        return code

    def find_spec(self, name: str, *_: Any) -> ModuleSpec | None:
        """For ``sys.meta_path``."""
        return spec_from_file_location(name, self.mutant.path, loader=self) if name == self.mutant.module else None


def _compare(mutant: Mutant | None, n_examples: int) -> Notice:
    """In this process, which must not have imported the model yet."""
    if mutant is not None:
        sys.meta_path.insert(0, Mutated(mutant))
    from hypothesis import HealthCheck, Phase, given, settings

    from simulator.engine import Engine
    from simulator.model.model import Model
    from tests.cases import Case, cases
    from tests.differential import differences, everything_of

    n, by = 0, None

    def out_of_time(*_: Any) -> None:
        raise TimeoutError(f"no end within {LIMIT_S} s")

    @settings(
        max_examples=n_examples, phases=[Phase.generate], derandomize=True, database=None, deadline=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(cases(all_live=mutant is not None and mutant.rule == "R45"))
    def agree(case: Case) -> None:
        nonlocal n, by
        if by is None:
            n += 1
            by = _difference(case)
        assert by is None

    def _difference(case: Case) -> str | None:
        expected = everything_of(Engine, case)
        signal.alarm(LIMIT_S)
        try:
            found = everything_of(Model, case)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        finally:
            signal.alarm(0)
        return ", ".join(differences(found, expected)) or None

    signal.signal(signal.SIGALRM, out_of_time)
    try:
        agree()
    except AssertionError:
        if by is None:
            raise
    return Notice(n, by)


def notice(mutant: Mutant | None, n_examples: int) -> Notice:
    """Compare the engine and the mutated model, or the model as it is, until they differ. Raises if that fails."""
    asked = json.dumps([mutant and mutant.name, n_examples])
    call = [sys.executable, "-W", "ignore", "-m", "benchmarks.mutants", "--child", asked]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{mutant}: the process ended with {done.returncode}: {done.stderr}")
    return Notice(*json.loads(done.stdout.splitlines()[-1]))


def main() -> int:
    """Prints a row for each mutant; how many rules are not held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=2000, help="runs for each mutant (default: %(default)s)")
    parser.add_argument("--only", metavar="NAME", help="mutants whose name or rule has this in it")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        name, n_examples = json.loads(given.child)
        found = _compare(MUTANTS.get(name), n_examples)
        print(json.dumps([found.n_examples, found.by]))
        return 0
    chosen: list[Mutant | None] = [m for m in MUTANTS.values() if not given.only or given.only in (m.rule, m.name)]
    if not given.only:
        # First the model as it is: if that differs from the engine, nothing is said by the rest.
        chosen.insert(0, None)
    n_wrong = 0
    for mutant in chosen:
        found = notice(mutant, given.examples)
        n_wrong += (found.by is None) == (mutant is not None)
        heading = f"{mutant.rule:3}  {mutant.name}" if mutant else "     the model as it is"
        print(f"{heading:62}  {found.n_examples:5}  {_short(found.by) if found.by else 'NOT NOTICED'}", flush=True)
    print(f"{n_wrong} of {len(chosen)} are not as they should be")
    return int(n_wrong > 0)


def _short(text: str, length: int = 70) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."


if __name__ == "__main__":
    sys.exit(main())
