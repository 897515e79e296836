"""Stories in words: a short paragraph for a prefetch or an access."""

from collections.abc import Iterable
from itertools import groupby

from experiments.explained.accesses import AccessStory
from experiments.explained.prefetches import Lateness, PrefetchStory, Remedy
from experiments.explained.ways import Hop, Other
from experiments.report import bytes_text, time_text
from experiments.timelines.whole import exactly

_MOST_OTHERS = 3
_FATES = {
    "timely": "in time",
    "late": "late",
    "evicted_unused": "evicted before anybody asked for it",
    "cancelled": "cancelled",
    "resident_unused": "unused until the end",
    "in_flight": "still on its way at the end",
}


def of_prefetch(story: PrefetchStory) -> list[str]:
    """Lines on a prefetch."""
    sure = "" if story.confidence != story.confidence else f", confidence {story.confidence:.3g}"
    slack, how = story.slack_ns, _FATES[story.fate]
    if slack is not None:
        how += f" by {time_text(abs(slack))}"
    size = bytes_text(story.size_bytes)
    lines = [f"prefetch {story.prefetch} of key {story.key} ({size} from {story.source}{sure}): {how}"]
    lines.append(_asked(story))
    if story.hops is None:
        if story.filled_ns is not None:
            lines.append(f"its way took {time_text(story.filled_ns - story.issued_ns)}")
    else:
        lines += _hops(story.hops)
    lines.append(_end(story))
    if story.remedy is not None:
        lines += _remedy(story.remedy, story.access)
    return lines


def of_lateness(found: Lateness) -> list[str]:
    """Lines on all late prefetches of a run."""
    n, earlier = found.n_late, found.n_only_earlier
    return [
        f"{n:,} of {found.n_used:,} used prefetches came late, by {time_text(found.late_ns)} (medians, here and below)",
        f"they were asked for {time_text(found.lead_ns)} before their use, and their way alone takes "
        f"{time_text(found.needs_ns)}",
        f"{earlier:,} of them could only have been asked for earlier; {n - earlier:,} would have been in time with "
        "nothing in their way",
    ]


def _asked(story: PrefetchStory) -> str:
    who = f"access {story.access}" if story.access >= 0 else "an access"
    who += "" if story.stream is None else f" of stream {story.stream}"
    if story.is_at_once:
        return f"{exactly(story.asked_ns)}: {who} asked; sent for at {exactly(story.issued_ns)}"
    waited = f"waited {time_text(story.waited_ns)} for the inference server, " if story.waited_ns else ""
    ran = f"was answered after {time_text(story.ran_ns)}" if story.ran_ns else "was answered at once"
    return f"{exactly(story.asked_ns)}: {who} asked; the question {waited}{ran}; sent for at {exactly(story.issued_ns)}"


def _hops(hops: Iterable[Hop]) -> list[str]:
    lines = []
    for hop in hops:
        waited = f"queued {time_text(hop.waited_ns)}{_behind(hop)}, then " if hop.waited_ns else ""
        shared = f", in one call with {hop.n_in_call - 1} more" if hop.n_in_call > 1 else ""
        moved = f"on channel {hop.channel} for {time_text(hop.moved_ns)}{shared}"
        lines.append(f"{exactly(hop.queued_ns)}: {hop.link}: {waited}{moved}")
        if hop.room_ns:
            lines[-1] += f", then waited {time_text(hop.room_ns)} until the tier had room"
    return lines


def _behind(hop: Hop) -> str:
    """What had the channels meanwhile, and which one's end freed this one's."""
    said = []
    for others, where in ((hop.under_way, "under way"), (hop.went_first, "that went first")):
        if others:
            said.append(f"{_counted(others)} {where}")
    text = f" behind {' and '.join(said)}" if said else ""
    if hop.freed_by is not None and len(hop.under_way) + len(hop.went_first) > 1:
        text += f" ({_which(hop.freed_by)} made room)"
    return text


def _counted(others: tuple[Other, ...]) -> str:
    if len(others) == 1:
        return _which(others[0])
    of_cause = sorted(other.cause for other in others)
    counts = [(cause, len(list(some))) for cause, some in groupby(of_cause)]
    return ", ".join(_plural(cause, n) for cause, n in counts)


_PLURALS = {
    "miss": ("miss", "misses"),
    "prefetch": ("prefetch", "prefetches"),
    "recompute": ("computing", "computings"),
    "write_back": ("write-back", "write-backs"),
    "demotion": ("demotion", "demotions"),
}


def _plural(cause: str, n: int) -> str:
    return f"{n} {_PLURALS[cause][n != 1]}"


def _which(other: Other) -> str:
    of = f"of key {other.key}"
    if other.prefetch is not None:
        return f"prefetch {other.prefetch} {of}"
    if other.access is not None:
        return f"the {_PLURALS[other.cause][0]} {of} for access {other.access}"
    return f"the {_PLURALS[other.cause][0]} {of}"


def _end(story: PrefetchStory) -> str:
    filled, used, slack = story.filled_ns, story.first_used_ns, story.slack_ns
    there = "never in the first tier" if filled is None else f"{exactly(filled)}: in the first tier"
    if used is not None:
        wanted = f"access {story.first_used_access} asked for it at {exactly(used)}"
        if slack is None:
            return f"{there}; {wanted}, met it on its way, and waited until the end"
        return f"{there}; {wanted}" + (f", met it on its way and waited {time_text(-slack)}" if slack < 0 else "")
    if story.evicted_ns is not None and filled is not None:
        out = f"{there}; evicted {time_text(story.evicted_ns - filled)} later, unused"
        if story.wanted_ns is None:
            return f"{out}; nobody asked for it again"
        later = time_text(story.wanted_ns - story.evicted_ns)
        return f"{out}; access {story.wanted_access} asked for it {later} after that, so long it should have stayed"
    return there


def _remedy(remedy: Remedy, asker: int) -> list[str]:
    late = time_text(remedy.late_ns)
    earlier = "before the first access of that stream that has a row"
    if remedy.ask_by is not None:
        n = f"{remedy.n_earlier} access{'es' * (remedy.n_earlier != 1)}"
        earlier = f"at access {remedy.ask_by} or before ({n} of that stream earlier than {asker})"
    lines = [f"for a hit it had to be asked {late} earlier, all else alike: {earlier}"]
    if remedy.alone:
        ways = " or ".join(f"{part.what} ({time_text(part.ns)})" for part in remedy.alone)
        lines.append(f"or come without {ways}")
    elif remedy.together:
        ways = ", ".join(f"{part.what} ({time_text(part.ns)})" for part in remedy.together)
        lines.append(f"or come without all of these: {ways}")
    else:
        lines.append(
            f"nothing else would have done: the transfers alone take {time_text(remedy.needs_ns)}, and it was asked "
            f"{time_text(remedy.lead_ns)} before its use"
        )
    return lines


_OUTCOMES = {
    "hit": "a hit",
    "hit_prefetched": "a hit on a prefetched block",
    "late": "met its prefetch on the way",
    "merged": "joined what others had sent for",
    "miss": "a miss",
}


def of_access(story: AccessStory) -> list[str]:
    """Lines on an access."""
    parts = (
        ("serving", story.service_ns), ("queueing", story.queue_ns), ("transfer", story.transfer_ns),
        ("inference", story.inference_ns),
    )  # fmt: skip
    made_of = ", ".join(f"{what} {time_text(ns)}" for what, ns in parts if ns)
    outcome = (
        "a write that allocates"
        if story.op == "write" and story.outcome == "miss" and not story.way
        else _OUTCOMES[story.outcome]
    )
    lines = [
        f"access {story.access} ({story.op} of key {story.key}, stream {story.stream}): {time_text(story.latency_ns)}, "
        f"{outcome} ({made_of})",
        f"{exactly(story.issued_ns)}: issued",
    ]
    if story.written_down is not None:
        lines[-1] += f"; its block was being written down until {exactly(story.written_down.ended_ns)}"
    if story.joined is not None:
        lines[-1] += f"; found {_which(story.joined)} under way, until {exactly(story.joined.ended_ns)} on that link"
    if story.way:
        lines += _hops(story.way)
    if story.prefetch is not None:
        lines += of_prefetch(story.prefetch)
    lines += _why_missed(story)
    return lines


def _why_missed(story: AccessStory) -> list[str]:
    lines = []
    if story.outcome == "miss" and story.shadow == "hit":
        lines.append("without prefetching it would have been a hit: what was prefetched has pushed the block out")
    if story.evicted is not None and story.evicted.evicted_ns is not None:
        before = time_text(story.issued_ns - story.evicted.evicted_ns)
        lines.append(f"prefetch {story.evicted.prefetch} had brought the block; it was evicted unused {before} before")
    if story.named is not None:
        named = story.named
        ended = {
            "answered": "and it was not sent for" if not named.n_issued else "and others were sent for",
            "pending_at_end": "and was not answered before the end",
        }.get(named.status, f"and came to nothing ({named.status.replace('_', ' ')})")
        before = time_text(story.issued_ns - named.asked_ns)
        lines.append(f"a question {before} before, at access {named.access}, had named the block, {ended}")
    if story.needs_ns is not None:
        by = "before its stream's first access that has a row"
        if story.ask_by is not None:
            by = f"at access {story.ask_by} or before ({story.n_between} of its stream between)"
        is_computed = bool(story.way and story.way[0].link == "compute")
        what = f"{'computing' if is_computed else 'fetching'} it takes {time_text(story.needs_ns)}"
        only = " (only what was computed before can be)" if is_computed else ""
        lines.append(f"{what} with nothing in its way: for a hit it had to be sent for {by}{only}")
    return lines
