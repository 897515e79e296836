"""What a run's accesses are like: which hit, miss and write, and how much is sent for at each, in pieces of the run."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.plan import stem_of
from experiments.results import table_of
from experiments.validation.compared import texts
from live.clients import Stream
from simulator.arrays import Ints
from simulator.policy import Outcome
from simulator.trace import READ, WRITE

_N_PIECES = 20
_THERE, _MERGED = [Outcome.HIT.name.lower(), Outcome.HIT_PREFETCHED.name.lower()], Outcome.MERGED.name.lower()


class Named(NamedTuple):
    """Blocks that a policy names at an access: so many that are there already, and so many that are sent for."""

    n_there: int
    n_absent: int


class Touch(NamedTuple):
    """One access: whether its block is there, and that as a prefetched one's first use, and what is named at it.

    What a policy's part at once (rule R44) names comes first, then what all else of it does. ``is_again``: the block is
    on its way already, mostly as another access of the request has asked for it.
    """

    is_there: bool
    is_first_use: bool
    at_once: Named
    later: Named
    is_again: bool = False


class Pattern(NamedTuple):
    """Pieces of a stream, and a touch for each of its accesses; its keys are those of the run."""

    stream: Stream
    touches: list[Touch]

    @property
    def n_absent(self) -> int:
        """Blocks that come in."""
        return sum(
            (not touch.is_there and not touch.is_again) + touch.at_once.n_absent + touch.later.n_absent
            for touch in self.touches
        )


def patterns_of(folder: Path, arm: str, seed: int, n: int, rng: np.random.Generator) -> list[Pattern]:
    """Some ``n`` accesses of a kept run, those of each stream in pieces from all over it, each of whole requests.

    Raises:
        InputError: a table is damaged.
    """
    stem = stem_of(arm, seed)
    accesses = table_of(folder, f"accesses/{stem}")
    column = {name: accesses[name].to_numpy() for name in ("access", "stream", "request", "key")}
    op = np.where(texts(accesses["op"]) == "write", WRITE, READ).astype(np.uint8)
    outcome = texts(accesses["outcome"])
    is_there, is_first_use, is_again = np.isin(outcome, _THERE), outcome == _THERE[1], outcome == _MERGED
    named = _named(table_of(folder, f"inferences/{stem}"), table_of(folder, f"prefetches/{stem}"), column["access"])
    found, streams = [], np.unique(column["stream"]).tolist()
    for number in streams:
        of_stream = np.flatnonzero(column["stream"] == number)
        at = of_stream[_pieces(column["request"][of_stream], max(n // len(streams), 1), rng)]
        found.append(Pattern(
            Stream(number, column["access"][at], column["key"][at], column["request"][at], op[at]),
            [
                Touch(there, first_use, Named(*counts[:2]), Named(*counts[2:]), again)
                for there, first_use, again, counts in zip(
                    *(of_all[at].tolist() for of_all in (is_there, is_first_use, is_again, named)), strict=True
                )
            ],
        ))  # fmt: skip
    return found


def _pieces(requests: Ints, n: int, rng: np.random.Generator) -> Ints:
    """Places of ``n`` or some more, in pieces that begin anywhere in equal parts of the whole."""
    length = -(-n // _N_PIECES)
    if len(requests) <= n + length:
        return np.arange(len(requests))
    part = (len(requests) - length) / _N_PIECES
    taken = np.zeros(len(requests), bool)
    for begin in (np.arange(_N_PIECES) * part + rng.random(_N_PIECES) * part).astype(np.int64).tolist():
        taken[begin : begin + length] = True
    # Requests are taken whole.
    _, of_request = np.unique(requests, return_inverse=True)
    return np.flatnonzero(np.isin(of_request, of_request[taken]))


def _named(inferences: Any, prefetches: Any, accesses: Ints) -> Ints:
    """For each access what is named at it: at once and there, at once and not there, later and there, and not there."""
    question, asked_ns, access, n_at_once, n_later = (
        inferences[name].to_numpy() for name in ("inference", "asked_ns", "access", "n_at_once", "n_proposed")
    )
    found = np.zeros((len(accesses), 4), np.int64)
    if not len(question):
        return found
    sent = prefetches["inference"].to_numpy()
    at = np.searchsorted(question, sent).clip(max=len(question) - 1)
    is_known = question[at] == sent
    at, issued_ns = at[is_known], prefetches["issued_ns"].to_numpy()[is_known]
    # In the simulator what is wanted at once is issued in the very moment of the question, and all else after it.
    is_at_once = (issued_ns == asked_ns[at]) & (n_at_once[at] > 0)
    sent_at_once, sent_later = (
        np.bincount(at[chosen], minlength=len(question)) for chosen in (is_at_once, ~is_at_once)
    )
    of_question = np.stack(
        [n_at_once - sent_at_once, sent_at_once, n_later - sent_later, sent_later], axis=1
    ).clip(min=0)  # fmt: skip
    place = np.searchsorted(accesses, access).clip(max=len(accesses) - 1)
    is_judged = accesses[place] == access
    found[place[is_judged]] = of_question[is_judged]
    return found
