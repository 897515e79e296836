"""What there is many of in a run: transfers, accesses that wait, prefetches, questions; streams and links."""

from collections.abc import Sequence
from typing import Annotated, Any, Self

from simulator.arrays import At, Ints
from simulator.compiled import internal
from simulator.records.lists import List, Node
from simulator.records.record import Record, note, nth, view

MOST_HOPS = 8
CHUNK_KEYS = 6
N_CLASSES = 3  # of transfers: demand, prefetch, write-back
LINE = 8  # words in a cache line


class Pooled(Record):
    """What records of a pool begin with: where this one lies, and the next free one while nobody has it."""

    at: At[Self]
    next_free: At[Self]


class Pool(Record):
    """Records of one class that are free: the first, and how many."""

    free: At[Any]
    n_free: int


class Hop(Record):
    """A hop that a transfer has made: over which link, and when it was queued, was started and ended."""

    link: int
    queued_ns: int
    started_ns: int
    ended_ns: int


class Transfer(Pooled, line=LINE):
    """A block on its way.

    ``class_`` is what it was started as, ``priority`` what it counts as now, ``level`` where it has got to, ``link``
    the one that it queues for or is on, ``started_ns`` NONE while it queues, ``mate`` the next one of the same call,
    ``prefetch`` the one that nobody has met yet, ``late`` the one that a demand has met. ``dirty`` as in ``movement``,
    ``turn`` as in ``backlog``. What is computed ``is_again`` comes into no tier: tier 0 has it.
    """

    queue: Node
    mate: "At[Transfer]"
    key: int
    size: int
    class_: int
    priority: int
    level: int
    source: int
    link: int
    is_down: int
    dirty: int
    is_obsolete: int
    is_again: int
    prefetch: "At[Prefetch]"
    late: "At[Prefetch]"
    queued_ns: int
    started_ns: int
    waiters: List
    n_waiters: int
    turn: int
    n_hops: int
    path: Annotated[Sequence[Hop], MOST_HOPS]


class Access(Pooled, line=LINE):
    """An access that waits: for a block, since ``joined_ns``, for its ``turn`` (``backlog``), or for an answer.

    ``issuer`` waits for it: in a closed loop its stream, where requests have a life the place of its request.
    ``is_behind``: a block before it in its request is missing (``prefixes``).
    """

    waiters: Node
    index: int
    stream: int
    request: int
    key: int
    op: int
    size: int
    outcome: int
    shadow: int
    issued_ns: int
    inference_ns: int
    joined_ns: int
    turn: int
    is_behind: int
    issuer: int


class Prefetch(Pooled, line=LINE):
    """A prefetch whose fate is open, or that is late and has not landed yet; ``access`` is the one that asked."""

    fates: Node
    number: int
    inference: int
    access: int
    key: int
    size: int
    source: int
    proposed_ns: int
    filled_ns: int
    first_used_ns: int
    first_used_access: int
    evicted_ns: int
    confidence: int
    expert: int


class Question(Pooled, line=LINE):
    """A question to the policy.

    ``queue`` orders those that wait for a server, then those of a batch; ``about`` those that wait for the access that
    they are about, number ``target`` of their stream; ``asked`` all that are not over. ``shown_end`` is how many
    accesses the policy was shown up to this one.
    """

    queue: Node
    about: Node
    asked: Node
    number: int
    access: int
    key: int
    stream: int
    size: int
    status: int
    asked_ns: int
    started_ns: int
    ended_ns: int
    charged_ns: int
    host_ns: int
    device_ns: int
    cpu_ns: int
    batch: int
    has_guess: int
    guess: int
    confidence: int
    has_next: int
    next_key: int
    n_keys: int
    n_at_once: int
    n_issued: int
    shown_end: int
    target: int
    is_waiting: int
    is_over: int  # all of it was counted, but for whether its guess came true
    waiter: At[Access]
    wanted: "At[Chunk]"


class Chunk(Pooled):
    """Some of the blocks that an answer wants, with confidences as bits and experts, and where the next ones are."""

    next: "At[Chunk]"
    keys: Annotated[Ints, CHUNK_KEYS]
    confidences: Annotated[Ints, CHUNK_KEYS]
    experts: Annotated[Ints, CHUNK_KEYS]


class Stream(Record):
    """Who issues accesses, or all together: questions may be about an access of either.

    ``next`` and ``last`` are places in the window: of the next access, and of the last one that was loaded.
    ``queued`` is its question that waits, which a newer one may supersede. ``end_ns`` is that of the request so far;
    ``is_inside`` says that one is half issued, and ``request`` which.
    ``is_broken``: of the request ``prefix_of`` a block was missing.
    """

    next: int
    n_outstanding: int
    end_ns: int
    is_inside: int
    request: int
    last: int
    n_issued: int
    prefix_of: int
    is_broken: int
    queued: At[Question]
    questions: List


class Life(Record):
    """A place for a request that runs, and the one that has it (rule R45).

    ``phase`` as in ``lives``. In the window lie its accesses up to ``prompt_end`` and ``end``; ``issuer.next`` is the
    next one. ``first`` is its first access in the trace, ``n_found`` accesses of its prompt were found, ``n_written``
    of its answer are issued. Times are when it came, when its turn had come, and when what was found was fetched.
    """

    issuer: Stream
    phase: int
    first: int
    stream: int
    prompt_end: int
    end: int
    n_read: int
    n_found: int
    n_answer: int
    n_written: int
    arrival_ns: int
    started_ns: int
    fetched_ns: int
    first_token_ns: int
    decode_ns: int


class Queue(Record):
    """Those that wait, in order."""

    list: List
    n: int


class Backlog(Record):
    """What a tier has to write down, the most that it had, and how much it may have; who waits to come into it."""

    n_bytes: int
    n_blocks: int
    most_bytes: int
    byte_limit: int
    block_limit: int
    transfers: List
    writes: List
    will_open: int


class Link(Record, line=LINE):
    """A hop between neighbouring levels, and who waits for it: a queue for each priority.

    ``n_free`` channels are free, ``n_queued`` transfers wait in the queues. Bytes that were asked for and that were
    started are counted by class, and kept as they were when judging began. ``queue_ns`` and ``transfer_ns`` are
    what judged accesses waited: in the queues, and while their block was on it. ``backlog`` is of the tier above. A
    call up of ``timed_bytes`` takes ``timed_ns``. ``channels`` as in ``calls``, of which there are ``n_channels``.
    ``read_table`` and ``write_table``: where a table of ``durations`` lies, or NONE; ``read_spread`` and
    ``write_spread`` the same of a spread. A link that ``draws`` has one of them; factors are drawn by the number of the
    call, ``n_calls``, from ``first_drawn`` on.
    """

    n_free: int
    n_channels: int
    n_queued: int
    blocks_per_call: int
    call_ns: int
    read_latency_ns: int
    read_rate: int
    write_latency_ns: int
    write_rate: int
    per_mib_ns: int
    compute_call_ns: int
    timed_bytes: int
    timed_ns: int
    read_table: At[Any]
    write_table: At[Any]
    queues: Annotated[Sequence[Queue], N_CLASSES]
    bytes_asked: Annotated[Ints, N_CLASSES]
    bytes_started: Annotated[Ints, N_CLASSES]
    bytes_before: Annotated[Ints, N_CLASSES]
    queue_ns: int
    transfer_ns: int
    backlog: Backlog
    channels: At[Any]
    draws: int
    read_spread: At[Any]
    write_spread: At[Any]
    first_drawn: int
    n_calls: int


class Event(Record):
    """What happens when: events of one time in the order of ``number``."""

    due_ns: int
    number: int
    kind: int
    what: At[Any]


class Ready(Record):
    """A stream, or the place of a request, that may issue from a time on."""

    time_ns: int
    stream: int


_pooled_at = view(Pooled)
transfer_at, access_at, prefetch_at = view(Transfer), view(Access), view(Prefetch)
question_at, chunk_at = view(Question), view(Chunk)
nth_stream, nth_link, nth_event, nth_ready, nth_life = nth(Stream), nth(Link), nth(Event), nth(Ready), nth(Life)

# Where the nodes of lists are.
IN_QUEUE, AMONG_WAITERS, AMONG_FATES = Transfer.word("queue"), Access.word("waiters"), Prefetch.word("fates")
FOR_SERVER, ABOUT, AMONG_ASKED = Question.word("queue"), Question.word("about"), Question.word("asked")


@internal
def take(base: Any, pool: Pool) -> At[Any]:
    """A record of a pool; the step has been checked for room."""
    record = pool.free
    pool.free = _pooled_at(base, record).next_free
    pool.n_free -= 1
    note(base, record, True)
    return record


@internal
def give_back(base: Any, pool: Pool, record: Pooled) -> None:
    """A record is free again."""
    record.next_free = pool.free
    pool.free = record.at
    pool.n_free += 1
    note(base, record.at, False)
