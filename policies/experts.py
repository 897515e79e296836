"""Policies inside another one: which, and how compiled code shows them accesses and asks them."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from policies.base import TableSettings
from policies.given import Built, Given
from policies.registry import PolicyConfig
from simulator.answers import HEARD, OUTCOME, call_learn
from simulator.arrays import NONE, Ints
from simulator.compiled import address_of, internal, ints_at
from simulator.errors import InputError
from simulator.policy import Outcome, Policy, Table, Trigger
from simulator.records.record import Record, nth

TENTHS = 10
"""Slots of an expert whose confidences were learned."""
_ASKED = {"trigger": "access"}
USUAL: tuple[dict[str, Any], ...] = (
    {"kind": "next_n", "n": 16, **_ASKED},
    {"kind": "stride", **_ASKED},
    {"kind": "ghb", "index": "global", **_ASKED},
    {"kind": "dcpt", **_ASKED},
    {"kind": "spp", **_ASKED},
    {"kind": "sms", **_ASKED},
    {"kind": "amp", **_ASKED},
    {"kind": "isb", **_ASKED},
    {"kind": "markov", **_ASKED},
    {"kind": "mithril", **_ASKED},
    {"kind": "probability_graph", "min_probability": 0.02, **_ASKED},
    {"kind": "static_deltas", "rule": "threshold", "threshold": 0.02, **_ASKED},
)


class OfExperts(TableSettings):
    """The settings of a policy that has others inside."""

    experts: Annotated[tuple[PolicyConfig, ...], Field(min_length=1, max_length=64, strict=False)] = USUAL  # type: ignore[assignment]
    """The policies. By default twelve of tables, asked at every access; one of them counts in the training part."""

    def check(self) -> None:
        """What the experts need, and that none goes on learning."""
        for i, expert in enumerate(self.experts):
            expert.check()
            if getattr(expert.core, "update", None) is not None:
                raise InputError(
                    f"policy.experts.{i}: {expert.kind!r} has an update, and is asked by Python then, where "
                    "compiled code asks experts; expected one without"
                )

    def prepare(self, given: Given) -> None:
        """What the experts learn."""
        for expert in self.experts:
            expert.prepare(given)

    def built(self, given: Given) -> list[Built]:
        """The experts, fresh, holding nothing back."""
        return [expert.unrestrained().build(given) for expert in self.experts]

    @property
    def learns(self) -> bool:
        """Whether one of them does, or all are warmed."""
        return self.start == "warm" or any(expert.learns for expert in self.experts)


class Expert(Record):
    """One of the policies: the addresses of its state and functions, which accesses are its trigger's, its slots.

    ``is_asked``: the last access was one of these.
    """

    state: int
    learn: int
    want: int
    above: int
    hears: int
    sees_writes: int
    is_learned: int
    first_slot: int
    n_slots: int
    is_asked: int


nth_expert = nth(Expert)


def set_up(state: Ints, first: int, policies: Sequence[Policy], tables: Sequence[Table]) -> int:
    """Write the experts from there on; how many slots they have: a rank, or a tenth of what was learned, each."""
    n_slots = 0
    for i, (policy, table) in enumerate(zip(policies, tables, strict=True)):
        expert = Expert(state, first + i * Expert.words)
        expert.state, expert.learn, expert.want = address_of(table.state), table.learn, table.want
        expert.above = NONE if table.is_learned else _above(policy.trigger)
        expert.hears, expert.sees_writes, expert.is_learned = table.hears, table.sees_writes, table.is_learned
        expert.first_slot, expert.n_slots = n_slots, TENTHS if table.is_learned else table.most_wanted
        n_slots += expert.n_slots
    return n_slots


def tables_of(policies: Sequence[Policy], configs: Sequence[PolicyConfig]) -> list[Table]:
    """What compiled code asks. Raises InputError if one is not asked by it."""
    found: list[Table] = []
    for i, policy in enumerate(policies):
        table: Table | None = getattr(policy, "table", None)
        if table is None:
            why = " with 'update'" if getattr(configs[i], "update", None) else ""
            raise InputError(
                f"policy.experts.{i}: {configs[i].kind!r}{why} is asked by Python here; expected policies that "
                "compiled code asks: those of tables, and lstm on the backend 'compiled', without 'update'"
            )
        found.append(table)
    return found


def _above(trigger: Trigger) -> int:
    """The outcomes above this one are the trigger's."""
    usual = {Trigger.TAGGED: Outcome.HIT, Trigger.MISS: Outcome.HIT_PREFETCHED, Trigger.NEVER: Outcome.MISS}
    return int(usual.get(trigger, NONE))


@internal
def show(state: Ints, first: Any, n: int, key: int, stream: int, outcome: int) -> None:
    """An access, for the ``n`` experts from ``first`` on whose trigger it is, or news, for those that hear.

    The outcome of an access is as one that ``sees_writes`` is shown it; so are those shown it that see writes, too.
    """
    for i in range(n):
        show_one(nth_expert(state, first, i), key, stream, outcome)


@internal
def show_one(expert: Expert, key: int, stream: int, outcome: int) -> None:
    """To one expert, if it is for it."""
    if outcome <= HEARD:
        if expert.hears:
            call_learn(expert.learn, ints_at(expert.state), key, stream, outcome)
        return
    plain = outcome & OUTCOME
    expert.is_asked = plain > expert.above
    if expert.is_asked:
        call_learn(expert.learn, ints_at(expert.state), key, stream, outcome if expert.sees_writes else plain)
