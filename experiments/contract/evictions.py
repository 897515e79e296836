"""The contract of an eviction: whom it names, and that it knows what it holds."""

import gc
import pickle
import time
from typing import Any

import numpy as np

from experiments.contract.process import Process
from experiments.contract.rules import Broken, NotApplicable, NotMeasured, Rules
from experiments.contract.subject import Subject
from simulator.errors import InputError, OutsideError
from simulator.trace import make_batch

_CAPACITY, _N, _MOST_TOLD = 64, 1500, 10
_BUDGET_S = 3.0


class EvictionSubject(Subject):
    """An eviction by its settings."""

    def build(self, seed: int = 0, capacity: int = _CAPACITY) -> Any:
        """An empty tier with it. Raises Broken if its settings are wrong, OutsideError if its constructor fails."""
        from simulator.evictions.registry import make

        try:
            return make(self.settings, capacity, seed=seed)
        except InputError as error:
            raise Broken(*error.args) from None

    def replay(self, tier: Any, keys: "np.ndarray[Any, Any]", sizes: "np.ndarray[Any, Any]") -> list[int]:
        """Who went, in order. Raises Broken, with the uses that led to it, as it fails."""
        gone: list[int] = []
        for i, (key, size) in enumerate(zip(keys.tolist(), sizes.tolist(), strict=True)):
            try:
                gone += tier.request(key, size) or ()
                gone += tier.push_out()
            except OutsideError as error:
                shown = ", ".join(map(str, keys[max(i + 1 - _MOST_TOLD, 0) : i + 1]))
                before = "... " if i >= _MOST_TOLD else ""
                used = f"used: {before}{shown}" + (f" ({size} bytes, of {tier.capacity})" if size > 1 else "")
                raise Broken(error.lines[0], used, *error.lines[1:]) from None
        return gone


EVICTION_RULES: Rules[EvictionSubject] = Rules()
_rule = EVICTION_RULES.rule


def _uses(n: int = _N) -> "np.ndarray[Any, Any]":
    rng = np.random.default_rng(1)
    return np.where(np.arange(n) % 3 == 0, np.arange(n), rng.zipf(1.3, n) % 200)


def _ones(keys: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    return np.ones(len(keys), np.int64)


@_rule("It can be made from its settings, twice.")
def can_be_made(it: EvictionSubject) -> str | None:
    """Raises Broken if not; so do all other rules."""
    it.build()
    it.build(seed=1)
    return "in plain Python: it runs in simpy" if it.settings.is_plain else "compiled"


@_rule("Whom it names is a block that it holds: for blocks of one size, and of several.")
def names_blocks_that_it_holds(it: EvictionSubject) -> None:
    """Raises Broken if not."""
    keys = _uses()
    it.replay(it.build(), keys, _ones(keys))
    it.replay(it.build(), keys, 1 + keys % 7)
    it.replay(it.build(capacity=1), keys[:50], _ones(keys[:50]))


@_rule("It forgets what was taken out, and names it no more; asked for a victim, it may be asked again.")
def forgets_what_was_taken_out(it: EvictionSubject) -> None:
    """Raises Broken if not: with exclusive tiers a block is taken out as it travels up."""
    tier, keys = it.build(), _uses(600)
    for i, key in enumerate(keys.tolist()):
        it.replay(tier, np.array([key]), np.array([1]))
        if i % 3 == 0:
            held = sorted(tier.keys())
            try:
                tier.remove(held[i % len(held)])
                if it.settings.is_plain and tier.sizes:
                    # An admission may refuse whoever would come in its place.
                    tier._victim(1, None)
            except OutsideError as error:
                raise Broken(error.lines[0], f"after {i + 1} uses, and a block taken out", *error.lines[1:]) from None


@_rule("The same seed and uses let the same blocks go.")
def deterministic(it: EvictionSubject) -> None:
    """Raises Broken if not."""
    keys, found = _uses(), []
    for _ in range(2):
        it.shared.restore()
        found.append(it.replay(it.build(), keys, _ones(keys)))
    if found[0] != found[1]:
        at = next(i for i, (a, b) in enumerate(zip(*found, strict=False)) if a != b)
        raise Broken(
            f"{it.who}: made again, block {found[1][at]} goes behind {at} others; expected {found[0][at]}, as before"
        )


@_rule("Two instances share nothing: each tier has one.")
def shares_nothing(it: EvictionSubject) -> None:
    """Raises Broken if not, with the names of what they share."""
    deterministic(it)
    keys = _uses(400)
    it.shared.restore()
    alone = it.replay(it.build(), keys, _ones(keys))
    it.shared.restore()
    one, other, together = it.build(), it.build(), []
    names = ""
    try:
        for i, key in enumerate(keys.tolist()):
            together += it.replay(one, np.array([key]), np.array([1]))
            if i % 3 == 0:
                it.replay(other, np.array([key + 5000]), np.array([1]))
        wrong = together != alone
    except Broken:
        wrong = True
    if wrong:
        names = ", ".join(it.shared.changed())
        shared = f"; they share {names}" if names else ""
        raise Broken(f"{it.who}: beside another instance, with other blocks, others go{shared}")


@_rule("What it keeps does not grow with the trace.")
def memory_is_bounded(it: EvictionSubject) -> str:
    """Raises Broken if it does."""
    if not it.settings.is_plain:
        raise NotApplicable("it is compiled: its memory is the tier's")
    tier, sizes, until = it.build(), [], time.monotonic() + _BUDGET_S
    own = getattr(tier, "own", tier)
    keys = _uses(24_000)
    try:
        for first, end in ((0, 3000), (3000, 6000), (6000, 12_000), (12_000, 24_000)):
            it.replay(tier, keys[first:end], _ones(keys[first:end]))
            gc.collect()
            sizes.append(len(pickle.dumps(own)))
            if time.monotonic() > until:
                break
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise NotMeasured(f"it cannot be pickled: {error}") from None
    if len(sizes) < 3:
        raise NotMeasured("a use takes too long to try enough of them")
    if sizes[-1] > 1.15 * sizes[-3] + 2000:
        raise Broken(
            f"{it.who}: holds {sizes[-1]:,} bytes, and held {sizes[-3]:,} a quarter of the uses ago; expected a bound: "
            f"{_CAPACITY} blocks fit in"
        )
    return f"{sizes[-1]:,} bytes, of a tier of {_CAPACITY} blocks"


@_rule("It leaves random states, folder and environment as they are.")
def leaves_the_process_alone(it: EvictionSubject) -> None:
    """Raises Broken if it does not."""
    it.put_back()
    process, keys = Process(), _uses(300)
    it.replay(it.build(), keys, _ones(keys))
    wrong = [f"{it.who}: changes {what}; expected {expected}" for what, expected in process.changed().items()]
    if wrong:
        raise Broken(*wrong)


@_rule("The books of a run with it close; a compiled one's are the same in both engines.")
def runs(it: EvictionSubject) -> str:
    """Raises Broken if not."""
    from experiments.contract.engines import books_of
    from policies.next_n import NextNPolicy
    from simulator.engine import Engine
    from simulator.evictions.compiled import make as make_compiled
    from simulator.model.model import Model

    keys = _uses(800)
    batch = make_batch(keys, op=np.arange(len(keys)) % 10 == 9, request=np.arange(len(keys)) // 2)
    if it.settings.is_plain:
        policy = NextNPolicy(1)
        started = time.perf_counter()
        books_of(it.who, Model, batch, policy, eviction=it.settings)
        return f"{len(keys) / (time.perf_counter() - started):,.0f} accesses a second"

    def model(*given: Any) -> Any:
        return Model(*given, make_eviction=make_compiled)

    one, other = (books_of(it.who, e, batch, NextNPolicy(1), eviction=it.settings) for e in (Engine, model))
    for what, value in one.items():
        if other[what] != value:
            raise Broken(f"{it.who}: {what} is {value} with the compiled engine and {other[what]} with simpy")
    return f"{len(keys)} accesses"
