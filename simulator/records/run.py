"""A run: its settings, its state, its books, and where all else lies in the same memory."""

from typing import Annotated, Any

from simulator.arrays import At, Ints
from simulator.policy import Fate, Outcome, Rejection, Status
from simulator.records.arena import Block, Victim
from simulator.records.lists import List
from simulator.records.moving import Event, Life, Link, Pool, Prefetch, Queue, Ready, Stream
from simulator.records.record import Record, first, nth, view
from simulator.records.rows import WindowRow


class Table(Record, memory="constant"):
    """What is compiled of a policy that is asked without Python: addresses (``answers``), and what it answers into."""

    state: int
    learn: int
    want: int
    keys: int
    confidences: int
    experts: int


class Settings(Record, memory="constant"):
    """What does not change. Rates are in bytes/s; NONE in ``max_wait_ns`` and ``stale_after_ns`` is no limit."""

    is_closed: int
    think_ns: int
    service_latency_ns: int
    read_rate: int
    write_rate: int
    busy_ppm: int  # what service takes beside an inference, in parts per million
    foresees: int  # some tier must be told the future, ...
    has_shadow: int
    shadow_foresees: int  # ... or the tier 0 that nobody prefetches into
    origin: int  # its level
    is_exclusive: int
    demotes: int
    bounds_backlogs: int
    reuses_prefixes: int
    running: int  # requests have a life, and so many run at a time (rule R45); 0: they have none
    defers: int  # what a request misses is computed when what is there was fetched
    usable: int  # the tiers from which requests take blocks, as bits
    gives_up: int  # a request does not wait for what prefetches are bringing, ...
    timeout_ns: int  # ... but for so long since it came; NONE: not at all
    decode_block_ns: int  # a block of an answer, where the trace does not say how long the answer is
    computes: int  # blocks exist once they were asked for
    computes_in_place: int
    max_in_flight: int
    max_queued: int
    max_bytes: int
    max_wait_ns: int
    trigger: int
    is_sync: int
    servers: int
    supersedes: int  # of a stream's questions the newest alone waits
    takes_newest: int  # the newest question is answered first
    queue_limit: int
    batch_size: int
    stale_after_ns: int
    ahead: int
    is_ahead_of_stream: int
    asks_python: int
    hears_fates: int
    is_learned: int  # answers have a best guess, and accesses of any outcome are shown
    is_timed: int  # clocks are read around each batch
    sees_writes: int  # outcomes that are shown say which accesses are writes
    charge: int  # as in ``charging``
    charge_ns: int
    most_wanted: int
    wanted_at_once: int  # the most that ``at_once`` wants within an access; 0: there is no such part
    shows_writes_at_once: int  # as ``sees_writes``, of that part
    answers_at_once: int  # a question that finds none before it need not be queued: ``at_once``
    table: Table
    at_once: Table
    spread: At[Any]  # of service, or NONE, ...
    first_drawn: int  # ... and where the numbers begin by which its factors are drawn


class Server(Record):
    """The inference server: who waits for it, and what the policy has been shown.

    Accesses to be shown are numbered; ``shown`` is how many were, ``first_kept`` the first that still has a row.
    """

    n_busy: int
    n_batches: int
    queue: Queue
    asked: List
    shown: int
    first_kept: int
    has_news: int  # an access has just put a question
    costs: int  # the address of what batches are charged, one after another
    n_costs: int
    n_charged: int  # so many of these are used up
    slow_ppm: int  # what service takes now
    n_at_once: int  # what was proposed within the access that is about to put a question, ...
    n_sent_at_once: int  # ... and what of it was issued


class Updating(Record):
    """The policy's update (rule R43): what is left of it, since when it has been going on, how it went.

    ``began_ns`` is NONE while it waits for a server, ``started_ns`` before it had one, ``ended_ns`` until it is over;
    ``is_news`` until the policy knows of that.
    """

    is_live: int
    shares: int
    is_news: int
    left_ns: int
    began_ns: int
    begun_ns: int
    started_ns: int
    ended_ns: int
    n_preempted: int


class Pair(Record):
    """A value and how often it came."""

    value: int
    n: int


class Counts(Record):
    """A distribution (``distribution``): its table of values and their counts, ``mask`` the table's size less one.

    ``n_left`` more distinct values may come before there must be more room; ``total`` is the values' exact sum.
    """

    table: At[Pair]
    mask: int
    n_left: int
    is_rounded: int
    total: int


class Books(Record):
    """What is counted, of what is judged. Not in ``charged`` and ``host`` are ``n_at_once`` questions, which cost 0."""

    n_closed: int
    n_broken: int
    n_of_outcome: Annotated[Ints, len(Outcome)]
    service_ns: int
    queue_ns: int
    transfer_ns: int
    inference_ns: int
    n_shadow_misses: int  # of a tier 0 without prefetching; ...
    n_saved: int  # ... of these, those that were none here, ...
    n_caused: int  # ... and others that were
    end_ns: int
    first_closed: int
    n_asked: int
    n_of_status: Annotated[Ints, len(Status)]
    n_predicted: int
    n_came_true: int
    n_at_once: int
    n_proposed: int
    n_rejected: Annotated[Ints, len(Rejection)]
    n_issued: int
    n_of_fate: Annotated[Ints, len(Fate)]
    n_pollution: int
    n_bypassed: int
    n_hits_behind: int
    n_requests: int
    n_read: int  # accesses of prompts, ...
    n_found: int  # ... and those that were found
    waiting_ns: int
    fetching_ns: int
    computing_ns: int
    decoding_ns: int
    latency: Counts
    ttft: Counts
    slack: Counts
    saved: Counts
    charged: Counts
    host: Counts


class Unjudged(Record):
    """What is counted of the accesses that are not judged, and of the prefetches that they asked for."""

    n_closed: int
    n_of_outcome: Annotated[Ints, len(Outcome)]
    n_of_fate: Annotated[Ints, len(Fate)]


class Windows(Record):
    """The time series: rows for windows of so many judged accesses. ``row`` is the last one used, before ``end``.

    Before ``issued_end`` is the one that the last access was issued in.
    """

    length: int
    rows: At[WindowRow]
    n_rows: int
    row: int
    end: int
    issued_end: int


class Kept(Record):
    """Of what rows are kept: of every ``every`` accesses ``length``, of their requests those that draw ``below``."""

    accesses: int  # as in ``tally``
    prefetches: int
    inferences: int
    requests: int
    transfers: int
    length: int
    every: int
    below: int


class Buffer(Record):
    """Rows that nobody has read yet: how many there are, and for how many there is room."""

    rows: At[Any]
    n: int
    capacity: int


class Buffers(Record):
    """Finished rows of tables; what the policy is to be shown, and told."""

    accesses: Buffer
    prefetches: Buffer
    inferences: Buffer
    requests: Buffer
    transfers: Buffer
    shown: Buffer
    told: Buffer


class Pools(Record):
    """Free records by their class."""

    transfers: Pool
    accesses: Pool
    prefetches: Pool
    questions: Pool
    chunks: Pool


class KeySet(Record):
    """A set of keys (``keyset``): its table, the table's size less one, members, whether 0 is one."""

    table: At[Any]
    mask: int
    n: int
    has_0: int


class Needs(Record):
    """What the next step needs room for, where it lacks it."""

    inserts: int
    transfers: int
    accesses: int
    prefetches: int
    questions: int
    chunks: int
    access_rows: int
    prefetch_rows: int
    inference_rows: int
    request_rows: int
    transfer_rows: int
    told_rows: int
    shown_rows: int
    polluted: int
    known: int


class Serviced(Record):
    """What was serviced last from tier 0, and in what time where nothing slows it."""

    size: int
    op: int
    ns: int


class Run(Record):
    """All of it; what is many lies behind, in the same memory.

    ``base`` is the trace's number of the window's first access; accesses are judged from ``judged_from`` on, which was
    issued at ``judged_since_ns``, NONE before that. The clock goes to ``latest_ns``, or no further at all once a sum
    of times has become too large. ``n_accesses`` were issued in all, ``n_questions`` put, ``n_issued`` prefetches sent
    for, ``n_turns`` given (``backlog``), ``n_calls`` noted (``calls``). ``must_choose`` says that links have something
    new to choose from, ``fired`` is the event that happens next, and has not had room yet. ``found`` (a slot),
    ``found_prefetch`` and ``is_first_write`` are what the last look-up found. For ``spare`` small steps there is room
    (``room``); ``most_evicted`` bounds how many victims one block can have, or one use. In an open loop ``position`` is
    the place in the window of what comes next; where requests have a life, of the first that has no place to run, and
    ``arrived`` of the first that has not come. ``has_landed``: since requests were looked at last.
    """

    settings: Settings
    now: int
    latest_ns: int
    base: int
    judged_from: int
    judged_since_ns: int
    n_accesses: int
    n_questions: int
    n_issued: int
    position: int
    arrived: int
    window_length: int
    n_loaded: int
    is_at_end: int
    n_streams: int
    n_ready: int
    has_landed: int
    n_outstanding: int
    n_prefetches: int
    prefetch_bytes: int
    n_turns: int
    n_calls: int
    must_choose: int
    fired_kind: int
    fired: At[Any]
    found: At[Block]
    found_prefetch: At[Prefetch]
    is_first_write: int
    most_evicted: int
    spare: int
    serviced: Serviced
    server: Server
    updating: Updating
    open_fates: List
    late_fates: List
    n_polluted_told: int
    books: Books
    unjudged: Unjudged
    windows: Windows
    kept: Kept
    needs: Needs
    rows: Buffers
    pools: Pools
    polluted: KeySet
    known: KeySet
    flight: At[Any]
    flight_mask: int
    streams: At[Stream]
    ready: At[Ready]
    lives: At[Life]
    links: At[Link]
    n_links: int
    events: At[Event]
    n_events: int
    n_scheduled: int
    victims: At[Victim]


run_at = first(Run)
nth_pair, counts_at, keyset_at = nth(Pair), view(Counts), view(KeySet)
