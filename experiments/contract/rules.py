"""A rule: a small function that raises Broken, and one sentence that says what it holds. And what came of them."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

from simulator.errors import InputError, OutsideError, frames_of


class Subject(Protocol):
    """What rules are tried on."""

    who: str

    def put_back(self) -> None:
        """What a rule may have changed, as it was."""


S = TypeVar("S", bound=Subject)


class Broken(Exception):  # noqa: N818 - it is how a rule says so, and no error of the program
    """A rule is broken: what was expected and what came, then the smallest example at hand."""

    def __init__(self, *lines: str) -> None:
        super().__init__(*lines)
        self.lines = [line for text in lines for line in text.splitlines()]


class Unsafe(Broken):
    """Broken, and what it does may end the process: nothing else is tried."""


class NotApplicable(Exception):  # noqa: N818
    """There is nothing to be checked here, and why."""


class NotMeasured(Exception):  # noqa: N818
    """Whether the rule is kept could not be found out, and why."""


@dataclass(frozen=True)
class Rule(Generic[S]):
    """``check`` returns what else is worth saying, or None."""

    name: str
    sentence: str
    check: Callable[[S], str | None]


class Rules(list[Rule[S]]):
    """Rules in the order in which they are tried: the first should be that it can be made at all."""

    def rule(self, sentence: str) -> Callable[[Callable[[S], str | None]], Callable[[S], str | None]]:
        """Make a function a rule, which has its name."""

        def added(check: Callable[[S], str | None]) -> Callable[[S], str | None]:
            self.append(Rule(check.__name__.strip("_").replace("_", " "), sentence, check))
            return check

        return added


State = Literal["kept", "broken", "not applicable", "not measured", "not tried"]


@dataclass(frozen=True)
class Verdict:
    """What came of one rule."""

    rule: Rule[Any]
    state: State
    lines: Sequence[str] = ()
    is_last: bool = False
    """Whether other rules are not to be tried: they would fail, too, or worse."""


def judge(rule: Rule[S], it: S) -> Verdict:
    """Try one rule. What code from outside raises breaks it, and what it warns of is left to its own tests."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            said = rule.check(it)
    except Broken as broken:
        return Verdict(rule, "broken", broken.lines, isinstance(broken, Unsafe))
    except OutsideError as error:
        return Verdict(rule, "broken", error.lines)
    except InputError as error:
        return Verdict(rule, "broken", error.args)
    except NotApplicable as why:
        return Verdict(rule, "not applicable", (str(why),))
    except NotMeasured as why:
        return Verdict(rule, "not measured", (str(why),))
    except Exception as error:
        # Of a package whose settings have our own shape nobody else catches it. An error with no frame of theirs is
        # ours, and is to be seen as it is.
        if not frames_of(error):
            raise
        return Verdict(rule, "broken", OutsideError.of(it.who, error).lines)
    finally:
        it.put_back()
    return Verdict(rule, "kept", (said,) if said else ())


def judge_all(rules: Sequence[Rule[S]], it: S) -> Iterator[Verdict]:
    """Try all of them; where the first one is broken there is nothing to try the others on.

    What breaks several rules alike is told once.
    """
    told: set[tuple[str, ...]] = set()
    for i, rule in enumerate(rules):
        verdict = judge(rule, it)
        is_last = verdict.is_last or (verdict.state == "broken" and i == 0)
        if verdict.state == "broken":
            what = tuple(verdict.lines[:1])
            if what in told:
                verdict = Verdict(rule, "broken", (f"as said above: {what[0]}",))
            told.add(what)
        yield verdict
        if is_last:
            yield from (Verdict(other, "not tried") for other in rules[i + 1 :])
            return
