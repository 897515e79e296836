"""A hybrid: several policies at once, each believed as far as what it names comes.

Ours; after the idea of ensembles of prefetchers as ReSemble (Zhang et al., SC 2022), without its network. Each block
that an expert names, fetched or not, is watched (``policies.watching``). So every expert has a moving precision for
each of its ranks, or for each tenth of confidence if it has confidences that were learned, and what any of them names
is wanted where that precision pays. A block that several name is as sure as the surest of them.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from policies import experts, watching
from policies import hybrid_rules as rules
from policies.base import CompiledPolicy, Degree
from policies.experts import Expert, OfExperts, tables_of
from policies.given import Built, Given, Keys
from policies.hybrid_rules import Hybrid
from policies.learned import LearnedPolicy, LearnedTable, learned
from policies.paying import heard_of, numbers_of
from policies.timing import Timing
from simulator.arrays import Ints
from simulator.compiled import address_of
from simulator.config import Count, Ratio
from simulator.policy import AccessRun, Ahead, Decision, Parts, Policy

_SHARE = 8


class HybridConfig(OfExperts):
    """Several policies at once, each believed as far as what it names comes (ours)."""

    kind: Literal["hybrid"]
    window: Count = 128
    """Accesses within which a block that was named must come."""
    weight: Annotated[float, Field(gt=0, le=1)] = 0.01
    """Weight of the newest block in a moving precision, at least; it is the mean of all until they are so many."""
    prior: Ratio = 0.3
    """What each precision begins with; as much as four blocks."""
    degree: Degree = 16
    """Blocks wanted at once, at most; and no more than an eighth of what tier 0 holds."""
    rule: Literal["threshold", "cost"] = "threshold"
    """What is wanted: blocks whose precision is at least `threshold`, or at which a prefetch pays (`cost`)."""
    threshold: Ratio = 0.1
    """The least precision, with `rule: threshold`."""

    def fresh(self, given: Given) -> Built:
        """All experts, fresh. Raises InputError if one of them is not asked by compiled code."""
        timing = given.timing() if self.rule == "cost" else None
        threshold = self.threshold if timing is None else timing.break_even()
        built = self.built(given)
        # More at once would push out what is needed, and each other.
        config = self.model_copy(update={"degree": min(self.degree, max(given.room() // _SHARE, 1))})
        # A replay says what was said where it was measured: the best guess, even of what was held back.
        is_timed = given.is_measured or given.is_replayed
        policy = HybridPolicy(
            config, [one.policy for one in built], threshold, given.n_streams, timing, is_timed=is_timed
        )
        found: dict[str, Any] = {}
        for one in built:
            found = {**one.details, **found}
        learned = next((one for one in built if one.training), built[0])
        return Built(
            policy, {**found, "threshold": threshold}, learned.training,
            [call for one in built for call in one.warm_up], learned.model_file, learned.provenance,
        )  # fmt: skip

    @property
    def can_be_measured(self) -> bool:
        """Asking a dozen of tables is no look-up."""
        return True

    @property
    def is_measured(self) -> bool:
        """Whether one of them is."""
        return any(expert.is_measured for expert in self.experts)


class HybridPolicy(CompiledPolicy):
    """Policies as experts; asked and shown at every access. With one that is learned it has parts (rule R44).

    Its tables answer within the access then, and its models when their answer is there. What they answer together is
    there for who wraps it, and to be warmed.
    """

    def __init__(
        self, config: HybridConfig, policies: Sequence[Policy], threshold: float, n_lines: int,
        timing: Timing | None = None, *, is_timed: bool = False,
    ) -> None:  # fmt: skip
        """``n_lines``: streams of the trace; ``timing``: by it, and what is heard, the threshold follows what pays.

        ``is_timed``: what asking takes is measured, as it is in any case with an expert whose asking is.

        Raises InputError if one is not asked by compiled code.
        """
        self._policies, self._prior = policies, config.prior
        tables = tables_of(policies, config.experts)
        models = [table for table in tables if table.is_learned]
        all_of_them = sum(table.most_wanted for table in tables)
        most = max(table.most_wanted for table in tables) + 1
        state = np.zeros(Hybrid.words + len(tables) * Expert.words, np.int64)
        n_slots = experts.set_up(state, Hybrid.words, policies, tables)
        it = Hybrid(state, 0)
        it.n_experts, it.degree = len(tables), config.degree
        self._watched = watching.set_up(it.watched, n_slots, config.window, all_of_them, config.prior, config.weight)
        self._scratch = {
            "wanted": np.zeros(most, np.int64), "sure": np.zeros(most), "found": np.zeros(all_of_them, np.int64),
            "precision": np.zeros(all_of_them), "named_by": np.zeros(all_of_them, np.int64),
        }  # fmt: skip
        if models:
            n = n_lines * (config.degree + 1)
            self._scratch |= {"proposed": np.zeros(n, np.int64), "proposed_sure": np.zeros(n)}
        by: Ints = np.zeros(config.degree + 1, np.int64)
        it.experts = address_of(by)
        for name, array in self._scratch.items():
            setattr(it, name, address_of(array))
        self._paying = numbers_of(timing, threshold)
        it.paying.numbers = address_of(self._paying)
        is_timed = is_timed or any(table.is_timed for table in models)
        hears = timing is not None or any(table.hears for table in tables)
        self._asking: LearnedTable | None = None
        usual: Any = {"ahead": Ahead(of_stream=False), "experts": by}
        if not models and not is_timed:
            super().__init__(
                "access", state, rules.learn, rules.want, config.degree, hears=hears, sees_writes=True, **usual
            )
        else:
            super().__init__(
                "access", state, rules.learn, rules.want_with_guess, config.degree + 1, hears=hears, sees_writes=True,
                **usual,
            )  # fmt: skip
            self.table = learned(self.table, is_timed=is_timed)
            self._asking = LearnedTable(self.table, n_lines)
        self.footprint_bytes = sum(policy.footprint_bytes for policy in policies)
        self.parts: Parts | None = None
        if models:
            at_once = CompiledPolicy(
                "access", state, rules.learn_at_once, rules.want_at_once, config.degree, hears=hears, sees_writes=True,
                **usual,
            )  # fmt: skip
            sees_writes = any(table.sees_writes for table in models)
            later = CompiledPolicy(
                "access", state, rules.learn_later, rules.want_later, config.degree + 1, sees_writes=sees_writes,
                **usual,
            )  # fmt: skip
            at_once.kept = later.kept = policies, self._watched, self._scratch, self._paying
            self.parts = Parts(at_once, LearnedPolicy(later, n_lines, self.footprint_bytes, is_timed=is_timed))

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        """One answer a run; with experts that are learned, what asking all took."""
        return super().decide(runs) if self._asking is None else self._asking.decide(runs)

    def learn_all(self, keys: Keys, streams: npt.NDArray[np.uint32], writes: npt.NDArray[np.bool_]) -> None:
        """As of all tables; an expert that was trained on these accesses begins anew, for it knew what would come."""
        super().learn_all(keys, streams, writes)
        for expert in self._experts:
            if expert.is_learned:
                mine = slice(expert.first_slot, expert.first_slot + expert.n_slots)
                self._watched["precisions"][mine], self._watched["counts"][mine] = self._prior, watching.PRIOR_COUNT

    @property
    def _experts(self) -> list[Expert]:
        n = Hybrid(self.table.state, 0).n_experts
        return [Expert(self.table.state, Hybrid.words + i * Expert.words) for i in range(n)]

    @property
    def precisions(self) -> list[list[float]]:
        """Of each expert, by rank or by tenth of confidence."""
        found = self._watched["precisions"].tolist()
        return [found[one.first_slot : one.first_slot + one.n_slots] for one in self._experts]

    @property
    def heard(self) -> dict[str, int]:
        """What the rule of what pays goes by."""
        return heard_of(Hybrid(self.table.state, 0).paying)
