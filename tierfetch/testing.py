"""The contracts of policies, workloads, trace formats and evictions, for tests of one's own: classes for pytest.

::

    from tierfetch.testing import PolicyContract

    class TestMine(PolicyContract):
        policy = MyPolicy
        settings = {"n": 3}

Each rule is a test, ``test_deterministic`` and so on; one that is broken fails with words on what came, what was
expected, and the fewest accesses that show it. ``python -m experiments.check`` tries the same.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar
from unittest import SkipTest

from experiments.contract.evictions import EVICTION_RULES
from experiments.contract.naming import contract_of
from experiments.contract.policies import POLICY_RULES
from experiments.contract.rules import Rule, Rules, judge
from experiments.contract.workloads import WORKLOAD_RULES

__all__ = ["EvictionContract", "PolicyContract", "WorkloadContract"]


class _Contract:
    """One test for each rule of ``rules``."""

    rules: ClassVar[Rules[Any]]
    names: ClassVar[str]
    """The attribute that has the class, or what the command line would say."""
    settings: ClassVar[Mapping[str, Any]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "rules" in vars(cls):
            for rule in cls.rules:
                setattr(cls, f"test_{rule.name.replace(' ', '_')}", _test_of(rule))

    @classmethod
    def _subject(cls) -> Any:
        named = getattr(cls, cls.names, None)
        if named is None:
            raise SkipTest(f"a subclass says {cls.names} = ...")
        reference = named if isinstance(named, str) else f"{named.__module__}:{named.__qualname__}"
        path = getattr(cls, "path", None)
        _, subject = contract_of(reference, cls.settings, None if path is None else Path(path))
        return subject


def _test_of(rule: Rule[Any]) -> Callable[[Any], None]:
    def test(self: Any) -> None:
        verdict = judge(rule, self._subject())
        if verdict.state == "broken":
            raise AssertionError("\n".join([rule.sentence, *verdict.lines]))
        if verdict.state != "kept":
            raise SkipTest("; ".join(verdict.lines))

    test.__doc__ = rule.sentence
    return test


class PolicyContract(_Contract):
    """Of a prefetch policy: ``policy`` is its class, or its kind as configs have it."""

    rules = POLICY_RULES
    names = "policy"
    policy: ClassVar[type | str | None] = None


class WorkloadContract(_Contract):
    """Of a workload or a trace format: ``workload`` is its class, ``path`` the file that a format reads."""

    rules = WORKLOAD_RULES
    names = "workload"
    workload: ClassVar[type | str | None] = None
    path: ClassVar[Path | str | None] = None


class EvictionContract(_Contract):
    """Of an eviction: ``eviction`` is its class."""

    rules = EVICTION_RULES
    names = "eviction"
    eviction: ClassVar[type | str | None] = None
