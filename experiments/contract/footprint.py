"""Whether what a policy keeps grows with the trace."""

import gc
import pickle
import time
import tracemalloc
from typing import Any

import numpy as np

from experiments.contract.rules import Broken, NotMeasured
from experiments.contract.stories import Step
from experiments.contract.subject import PolicySubject, own_of
from simulator.policy import AccessRun, Fate, Outcome, Policy, Told

_FIRST, _MOST_DOUBLINGS = 1500, 5
_BUDGET_S = 4.0
_MORE, _SOME_BYTES = 1.15, 2000
"""What it may grow by over four times the accesses."""


def memory_is_bounded(it: PolicySubject) -> str:
    """Ever more accesses, of new keys and of a few: what it holds stops growing. For new streams it may hold more.

    Raises Broken if it does not.
    """
    policy = it.build()
    size_of, how = _measure(policy)
    until = time.monotonic() + _BUDGET_S
    sizes: list[tuple[int, int]] = []
    n = 0
    rng = np.random.default_rng(0)
    try:
        for goal in (_FIRST << i for i in range(_MOST_DOUBLINGS + 1)):
            n = _go_on(policy, n, goal, rng, until)
            if n < goal:
                break
            sizes.append((n, size_of()))
            # Four times the accesses: two doublings.
            if len(sizes) > 2 and sizes[-1][1] <= _MORE * sizes[-3][1] + _SOME_BYTES:
                held = sizes[-1][1]
                _go_on(policy, n, n + _FIRST, rng, until, new_streams=True)
                each = (size_of() - held) / (_FIRST // 2)
                streams = f", and about {each:,.0f} for each new stream" if each > _SOME_BYTES / _FIRST * 2 else ""
                return f"{held:,} bytes after {n:,} accesses ({how}){streams}"
    finally:
        if how == "tracemalloc":
            tracemalloc.stop()
    if len(sizes) < 3:
        raise NotMeasured(f"a question takes too long to ask enough of them: {n:,} were asked in {_BUDGET_S:.0f} s")
    (before, small), (after, large) = sizes[-3], sizes[-1]
    raise Broken(
        f"{it.who}: holds {large:,} bytes after {after:,} accesses, and held {small:,} after {before:,}; expected a "
        "bound, for traces have no end",
        "a table with a bound that it has not reached yet: check it with a smaller one (--set)",
    )


def _go_on(
    policy: Policy, n: int, goal: int, rng: np.random.Generator, until: float, *, new_streams: bool = False
) -> int:
    needs = getattr(policy, "needs", ())
    while n < goal and (n % 64 or time.monotonic() < until):
        key = int(rng.integers(0, 2**40)) if n % 3 else n // 50
        stream = n if new_streams and n % 2 else n % 3
        run: AccessRun = Step((key,), (stream,), (int(Outcome.MISS),)).run(n, needs)
        answer = policy.decide([run]).answers[0]
        if getattr(policy, "hears", True):
            policy.told(Told(list(answer.keys), [Fate(n % 6)] * len(answer.keys)))
        n += 1
    return n


def _measure(policy: Policy) -> tuple[Any, str]:
    """What measures it, in bytes, and by what."""
    own = own_of(policy)
    try:
        pickle.dumps(own)
    except Exception:
        # Something in it cannot be: a lambda, a lock, a class within a function.
        tracemalloc.start()

        def traced() -> int:
            gc.collect()
            return tracemalloc.get_traced_memory()[0]

        return traced, "tracemalloc"
    return lambda: len(pickle.dumps(own)), "pickled"
