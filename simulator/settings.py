"""What a run is given at its start, from the config."""

from simulator.accounting import Books, Keeps
from simulator.arrays import NONE, Ints
from simulator.backlog import NO_LIMIT
from simulator.compiled import address_of
from simulator.config import Arrivals, Closed, System, WriteBack
from simulator.hops import Hop
from simulator.policy import Policy, Table, Trigger, hears, recalls
from simulator.records.lists import clear_all
from simulator.records.moving import Link
from simulator.records.run import Kept, Settings
from simulator.records.run import Table as Compiled
from simulator.tally import ALL_ROWS, NO_ROWS, SOME_ROWS
from simulator.units import PPM


def write_settings(to: Settings, system: System, arrivals: Arrivals, policy: Policy) -> None:
    """What does not change in a run."""
    first, budget, server = system.tiers[0], system.prefetch, system.inference
    origin = system.origin
    table = getattr(policy, "table", None)
    has_policy = policy.trigger != Trigger.NEVER
    to.is_closed = arrivals.kind == "closed"
    to.think_ns = arrivals.think if isinstance(arrivals, Closed) else 0
    to.service_latency_ns = first.latency
    to.read_rate, to.write_rate = first.read_bandwidth, first.write_bandwidth
    to.spread = NONE
    to.busy_ppm = round(server.gpu_slowdown * PPM)
    to.foresees = any(tier.eviction.foresees for tier in system.tiers)
    to.has_shadow = has_policy
    to.shadow_foresees = first.eviction.foresees
    to.origin = len(system.tiers)
    to.is_exclusive = system.placement == "exclusive"
    to.bounds_backlogs = any(tier.write_back != WriteBack() for tier in system.tiers)
    to.demotes = system.clean_evictions == "demote"
    write_lives(to, system)
    to.computes = origin.kind == "compute"
    to.computes_in_place = origin.kind == "compute" and origin.enters == "first"
    to.max_in_flight, to.max_queued, to.max_bytes = budget.in_flight, budget.queued, budget.bytes
    to.max_wait_ns = NONE if budget.max_wait is None else budget.max_wait
    to.trigger = int(policy.trigger)
    to.is_sync = server.mode == "sync" and has_policy and policy.trigger != Trigger.ARRIVAL
    to.supersedes = server.queue == "newest_first" and not to.is_sync
    to.takes_newest = to.supersedes and recalls(policy)
    to.servers, to.queue_limit, to.batch_size = server.servers, server.queue_limit, server.batch_size
    to.stale_after_ns = NONE if server.stale_after is None else server.stale_after
    to.ahead, to.is_ahead_of_stream = policy.ahead.accesses, policy.ahead.of_stream
    to.asks_python = has_policy
    to.hears_fates = has_policy and hears(policy)
    to.most_wanted = table.most_wanted if table is not None else 0


def write_lives(to: Settings, system: System) -> None:
    """How requests are served, if they have a life (rule R45)."""
    requests, n_tiers = system.requests, len(system.tiers)
    to.usable, to.timeout_ns = (1 << n_tiers) - 1, NONE
    if requests is None:
        return
    to.running, to.gives_up = requests.running, requests.stop != "wait_complete"
    to.decode_block_ns = requests.decode_ns(requests.block_tokens or 1)
    if requests.storage is not None:
        to.usable = (1 << [tier.name for tier in system.tiers].index(requests.storage)) - 1
    if requests.timeout is not None:
        to.timeout_ns = requests.timeout


def write_at_once(to: Settings, table: Table, wanted: Ints) -> None:
    """What is asked within an access; ``wanted`` as in ``write_table``."""
    to.wanted_at_once, to.hears_fates, to.shows_writes_at_once = table.most_wanted, table.hears, table.sees_writes
    write_table(to.at_once, table, wanted)


def write_table(to: Compiled, table: Table, wanted: Ints) -> None:
    """Where a table lies, and ``wanted`` (3, n): where it writes keys, confidences and, without its own, experts."""
    to.state, to.learn, to.want = address_of(table.state), table.learn, table.want
    to.keys, to.confidences, to.experts = map(address_of, wanted)
    if table.experts is not None:
        to.experts = address_of(table.experts)


def write_link(link: Link, hop: Hop, limit: WriteBack) -> None:
    """What moving blocks over a link takes, and how much may wait to; nobody waits for it yet."""
    link.n_free = link.n_channels = hop.channels
    link.blocks_per_call, link.call_ns = hop.blocks_per_call, hop.call_ns
    link.read_latency_ns, link.read_rate = hop.read
    link.write_latency_ns, link.write_rate = hop.write
    link.per_mib_ns, link.compute_call_ns = hop.compute
    link.timed_bytes = link.read_table = link.write_table = link.read_spread = link.write_spread = NONE
    for queue in link.queues:
        clear_all(queue.list)
    link.backlog.byte_limit, link.backlog.block_limit = limit.bytes or NO_LIMIT, limit.blocks or NO_LIMIT
    clear_all(link.backlog.transfers, link.backlog.writes)


def write_kept(kept: Kept, books: Books) -> None:
    """Of what the books take rows."""
    keeps = books.keeps if books.takes("accesses") else Keeps(length=0)
    kept.prefetches, kept.inferences = books.takes("prefetches"), books.takes("inferences")
    kept.requests, kept.transfers = books.takes("requests"), books.takes("transfers")
    kept.accesses = (NO_ROWS, SOME_ROWS, ALL_ROWS)[(keeps.length > 0) + keeps.is_all]
    kept.length, kept.every, kept.below = keeps.length, keeps.every, keeps.below
