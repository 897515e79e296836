"""Questions that cost nothing, of which no rows are kept: answered within the access, as the model answers them."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies.given import Given
from policies.registry import POLICIES
from simulator.charge import fixed
from simulator.config import System
from simulator.engine import Engine
from simulator.model.model import Model
from tests.cases import LOOSE, TABLES, Case, cases, trained
from tests.differential import differences, everything_of
from tests.strategies import ListSink


@st.composite
def free_tables(draw: st.DrawFn) -> Case:
    """Any system, asked for nothing, with one of the policies whose rules are compiled."""
    case = draw(cases())
    chosen = POLICIES.validate({"kind": (kind := draw(st.sampled_from(TABLES))), **LOOSE.get(kind, {})})
    system = case.system.model_dump(mode="json")
    system["inference"]["mode"] = "async"

    def made() -> Any:
        return chosen.build(Given(trained, 0, n_streams=5)).policy

    return replace(case, system=System.model_validate(system), policy=made, charge=lambda: fixed(0))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=free_tables())
def test_the_engine_without_rows_of_questions(case: Case) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ListSink, "takes", lambda self, table: table != "inferences")
        assert differences(everything_of(Engine, case), everything_of(Model, case)) == {}


def test_it_does_answer_within_the_access(monkeypatch: pytest.MonkeyPatch) -> None:
    """The path that is compared above is the one taken."""
    from policies.next_n import NextNPolicy
    from simulator.accounting import Books
    from simulator.config import Closed
    from tests.strategies import system, workload

    sink = ListSink()
    monkeypatch.setattr(ListSink, "takes", lambda self, table: table != "inferences")
    arrivals = Closed.model_validate({"kind": "closed"})
    books = Books(sink, 10)
    engine = Engine(system(9), arrivals, workload([0, 5, 7]), NextNPolicy(1, "access"), fixed(0), books)
    engine.run()
    assert books.questions.n_asked == 3
    assert engine._run.settings.answers_at_once == 1
