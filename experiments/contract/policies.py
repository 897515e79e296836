"""The contract of a prefetch policy: what it may be shown, what it may answer, what it must leave alone."""

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.contract import engines, footprint, manners, sameness
from experiments.contract.rules import Broken, NotApplicable, Rules
from experiments.contract.stories import Step, steps_of
from experiments.contract.subject import PolicySubject, answers_of, failing
from policies.base import N_KEYS
from policies.outside.asked import MOST_WANTED
from simulator.errors import OutsideError
from simulator.policy import AccessRun, Ahead, Answer, Fate, Trigger, recalls

POLICY_RULES: Rules[PolicySubject] = Rules()
_rule = POLICY_RULES.rule
_MOST_FOOTPRINT = 2**40
_ENDS = [0, 1, 2, 3, 7, 8, 63, 64, 65, 4095, 2**32, 2**63 - 1, 2**63, 2**63 + 1, 2**64 - 65, 2**64 - 2, 2**64 - 1]


def wrong_with(answer: Answer, last_key: int) -> str | None:
    """What is wrong with an answer about an access to ``last_key``, None if nothing."""
    if len(answer.keys) != len(answer.confidences):
        return f"answered {len(answer.keys)} keys and {len(answer.confidences)} confidences; expected one each"
    if len(answer.keys) > MOST_WANTED:
        return f"answered {len(answer.keys)} blocks; expected at most {MOST_WANTED}"
    for key, confidence in zip(answer.keys, answer.confidences, strict=True):
        if type(key) is not int or not 0 <= key < N_KEYS:
            return f"answered key {key!r}; expected a whole number, 0 or more, and less than 2**64"
        if not (math.isfinite(confidence) and 0 <= confidence <= 1):
            return f"answered confidence {confidence} for key {key}; expected 0 to 1"
    if len(set(answer.keys)) < len(answer.keys):
        return f"answered a key twice among {list(answer.keys)}; expected each once"
    return f"answered key {last_key}, which is the one that asks; expected others" if last_key in answer.keys else None


@_rule("It can be made from its settings, twice.")
def can_be_made(it: PolicySubject) -> None:
    """Raises Broken if not; so do all other rules."""
    it.build()
    it.build(seed=1)
    it.shared.restore()


# Before anything else asks it: what writes behind its bounds writes into the process.
POLICY_RULES.rule("Its compiled functions write within their bounds, and answer as decide does.")(
    engines.compiled_as_decide
)


@_rule("Its trigger, needs, ahead and footprint_bytes are what a run can do with.")
def says_what_it_is(it: PolicySubject) -> str | None:
    """Raises Broken if not."""
    policy = it.build()
    if not isinstance(policy.trigger, Trigger):
        raise Broken(f"{it.who}: trigger is {policy.trigger!r}; expected a Trigger")
    if not isinstance(policy.ahead, Ahead) or policy.ahead.accesses < 1:
        raise Broken(f"{it.who}: ahead is {policy.ahead}; expected an access to come: 1 or more")
    if not 0 <= policy.footprint_bytes <= _MOST_FOOTPRINT:
        raise Broken(
            f"{it.who}: footprint_bytes is {policy.footprint_bytes:,}; expected bytes of GPU memory, 0 to 2**40"
        )
    needs = getattr(policy, "needs", ())
    asked = f"asked at: {policy.trigger.name.lower()}"
    return asked + (f"; needs {', '.join(needs)}" if needs else "")


@_rule("It reads no columns but those that it needs.")
def needs_what_it_reads(it: PolicySubject) -> None:
    """Raises Broken if not, with the name of the column."""
    policy, asked_for = it.build(), []

    class Watching(dict[str, Any]):
        def __missing__(self, name: str) -> Any:
            asked_for.append(name)
            raise KeyError(name)

        def get(self, name: str, default: Any = None) -> Any:
            if name not in self:
                asked_for.append(name)
            return super().get(name, default)

    def show(run: AccessRun) -> AccessRun:
        return AccessRun(run.key, run.stream, run.outcome, Watching(run.columns), run.about)

    needs = tuple(getattr(policy, "needs", ()))
    frames: Sequence[str] = ()
    try:
        answers_of(policy, steps_of(range(it.n_of(30)), it.trigger, lengths=(1, 3)), show)
    except OutsideError as error:
        frames = error.lines[1:]
        _, is_there, attribute = error.lines[0].partition("'AccessRun' object has no attribute ")
        if is_there:
            attribute = attribute.strip("'")
            raise Broken(
                f"{it.who}: asks for run.{attribute}; expected run.columns[{attribute!r}], with "
                f"needs = ({attribute!r},)",
                *frames,
            ) from None
    if asked_for:
        name = asked_for[0]
        raise Broken(
            f"{it.who}: asks run.columns for {name!r} but its needs are {needs}; expected needs = {(*needs, name)}",
            *frames,
        )


POLICY_RULES.rule("It writes nothing into the arrays that it is shown.")(manners.leaves_arrays_alone)
POLICY_RULES.rule(
    "It leaves the process alone: no forks, threads or prints, nothing changed in random states, folder, environment."
)(manners.leaves_the_process_alone)


def _must_answer(it: PolicySubject, *of_keys: Sequence[int], **how: Any) -> None:
    for keys in of_keys:
        it.must(steps_of(keys[: it.n_of(len(keys))], it.trigger, **how), failing(it, wrong_with))


@_rule("Asked about its very first access, it answers: a list of (key, confidence), which may be empty.")
def starts_empty(it: PolicySubject) -> None:
    """Raises Broken if not."""
    _must_answer(it, [7])


@_rule("It answers about one key again and again.")
def one_key_again_and_again(it: PolicySubject) -> None:
    """Raises Broken if not."""
    _must_answer(it, [5] * 50)


@_rule("One that recalls answers about an access that it was shown before, too.")
def recalls_what_it_was_shown(it: PolicySubject) -> None:
    """Raises Broken if not."""
    if not recalls(it.build()):
        raise NotApplicable("it has no recalls = True: it is asked about what is new to it alone")
    steps = []
    for step in steps_of(range(1, it.n_of(24) + 1), it.trigger, streams=[i % 3 for i in range(24)], lengths=(2,)):
        steps += [step, Step((), (), (), about=(step.keys[0], step.streams[0]))]
    it.must(steps, failing(it, wrong_with))


@_rule("It answers at both ends of the key space: keys are 0 to 2**64 - 1, in what it sees as in what it wants.")
def keys_at_both_ends(it: PolicySubject) -> None:
    """Raises Broken if not."""
    rng = np.random.default_rng(1)
    mixed = [_ENDS[i] for i in rng.integers(0, len(_ENDS), 60)]
    _must_answer(
        it,
        range(12),
        range(2**64 - 12, 2**64),
        range(11, -1, -1),
        [2**64 - 1, 0] * 6,
        _ENDS,
        [2**63 - 4 + i for i in range(8)],
        mixed,
    )


@_rule("It answers in any order of accesses: sequential, strided, random, a chase that repeats.")
def any_order_of_accesses(it: PolicySubject) -> None:
    """Raises Broken if not."""
    rng = np.random.default_rng(2)
    chase = (rng.permutation(25) * 1000).tolist() * 4
    random = [int(key) for key in rng.integers(0, 2**64, 80, np.uint64)]
    _must_answer(it, range(100, 180), range(10**6, 10**6 - 80 * 37, -37), random, chase, lengths=(1, 1, 2))
    if it.trace is not None:
        it.must(it.of_trace(it.n_of(2000)), failing(it, wrong_with))


@_rule("It answers to many streams, each of which may be new.")
def many_streams(it: PolicySubject) -> None:
    """Raises Broken if not."""
    streams = [i % 5 if i % 2 else i * 1000 for i in range(80)]
    _must_answer(it, [10 * stream + i for i, stream in enumerate(streams)], streams=streams, lengths=(1, 3))


@_rule("It answers after one access and after thousands, as runs after a pause have them.")
def runs_of_one_and_of_many(it: PolicySubject) -> None:
    """Raises Broken if not."""
    keys = np.random.default_rng(3).integers(0, 500, 2600).tolist()
    it.must(
        steps_of(keys, it.trigger, lengths=(1, 2, 500, 1, 1500), streams=[i % 3 for i in range(2600)]),
        failing(it, wrong_with),
    )


@_rule("It can be told of every fate of what it asked for.")
def hears_of_every_fate(it: PolicySubject) -> None:
    """Raises Broken if not."""
    if not getattr(it.build(), "hears", True):
        raise NotApplicable("it has no told")
    _must_answer(it, [100 + i // 2 for i in range(60)], fates=tuple(Fate))


POLICY_RULES.rule("The same seed, accesses and fates bring the same answers.")(sameness.deterministic)
POLICY_RULES.rule("Two instances share nothing: an experiment makes one for every run.")(sameness.shares_nothing)
POLICY_RULES.rule("A batch of questions is answered as they are one by one.")(sameness.a_batch_as_one_by_one)
POLICY_RULES.rule("What it keeps does not grow with the trace.")(footprint.memory_is_bounded)


@_rule("A question does not take long.")
def time_for_a_question(it: PolicySubject) -> str:
    """What one takes, and in it the asking. Raises Broken if one takes longer than a run waits for."""
    own, asking = it.build(), it.asking_alone()
    n = it.n_of(600)
    figures = []
    for policy in (asking, own):
        times = []
        for i, step in enumerate(steps_of([100 + i % 50 for i in range(n)], it.trigger)):
            run = step.run(i, getattr(policy, "needs", ()))
            started = time.perf_counter_ns()
            policy.decide([run])
            times.append(time.perf_counter_ns() - started)
        figures.append(np.percentile(times, (50, 99)) / 1000)
    (asked, _), (median, p99) = figures
    return f"median {median:,.1f} us, p99 {p99:,.1f} us, of which the asking itself takes {asked:,.1f} us"


@_rule("It learns from the first part of a trace.")
def learns(it: PolicySubject) -> str:
    """How long that takes. Raises Broken if it fails."""
    if not it.settings.learns:
        raise NotApplicable("it has no train")
    started = time.perf_counter()
    it.build()
    return f"from 1,200 accesses in {time.perf_counter() - started:.2f} s; all rules were tried on a trained one"


POLICY_RULES.rule("A whole run gives the same books in both engines, compiled and simpy.")(engines.both_engines_agree)
