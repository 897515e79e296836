"""The closing table: what it says, and that it can be read where a terminal is narrow or draws no blocks."""

import io
import re
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from experiments.bars import OUTCOMES, bar, legend, line
from experiments.closing import print_report
from experiments.ranking import Ranking
from experiments.report import ROWS
from simulator.policy import Outcome

ABOUT = SimpleNamespace(name="made", baseline="none", warm_up="none", start="cold")


def row(arm: str, mean_ns: float, **more: Any) -> dict[str, Any]:
    counts = {"n_hit": 30, "n_hit_prefetched": 20, "n_late": 10, "n_merged": 0, "n_miss": 40}
    parts = {"mean_queue_ns": 0.3 * mean_ns, "mean_transfer_ns": 0.6 * mean_ns, "mean_inference_ns": 0.0}
    return {
        "arm": arm, "seed": 0, "repeat": 0, "n_accesses": 100, "n_warm_up_accesses": 0, "hit_ratio": 0.5,
        "mean_latency_ns": mean_ns, "mean_service_ns": 0.1 * mean_ns, "p99_latency_ns": 9 * mean_ns, "n_issued": 1234,
        "accuracy_ratio": 0.75, "coverage_ratio": 0.25, "lateness_ratio": 0.125, **counts, **parts, **more,
    }  # fmt: skip


def compared(arm: str, verdict: str) -> dict[str, Any]:
    return {
        "arm": arm, "metric": "mean_latency_ns", "basis": "seeds", "n_pairs": 3, "n_repeats": 1, "verdict": verdict,
        "method": "paired t over seeds", "difference": -346_051.5, "relative_difference_ratio": -0.3788,
        "low": -349_841.1, "high": -342_261.9, "n_to_settle": 700,
    }  # fmt: skip


def printed(arms: list[str], width: int = 80, *, encoding: str = "utf-8", full: bool = False, **more: Any) -> str:
    """The table of arms, of which the last one but one has too few samples."""
    rows = [row(arm, 913_559.0, **more) for arm in arms]
    differences = [compared(arm, "better") for arm in arms[1:]]
    if len(differences) > 1:
        differences[-2]["verdict"] = "too few samples to tell"
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    ranked = Ranking(dict.fromkeys(arms, 913_559.0), [])
    print_report(Console(file=file, width=width), ABOUT, rows, differences, ranked, full=full)
    file.flush()
    return file.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]


def cells(text: str, label: str) -> list[str]:
    """What a row says of each arm."""
    (found,) = [line for line in text.splitlines() if line.startswith(f"│ {label} ")]
    return [cell.strip() for cell in found.split("│")[2:-1]]


def test_a_column_for_each_of_few_arms_says_what_decides() -> None:
    text = printed(["none", "next_n", "lstm"], mean_inference_charged_ns=8_250.0)
    assert cells(text, "mean latency") == ["914 us"] * 3
    assert cells(text, "  vs baseline") == ["", "-346 us (-37.9%)", "-346 us (-37.9%)"]
    assert "[-350 us, -342 us]" in text
    assert cells(text, "p99 latency") == ["8.22 ms"] * 3
    # 30, 20, 10, 0 and 40 of a hundred in twelve blocks: 3.6, 2.4, 1.2, 0 and 4.8.
    assert cells(text, "outcomes") == ["████▓▓▒·····"] * 3
    assert (cells(text, "late"), cells(text, "per inference")) == (["0.1250"] * 3, ["8.25 us"] * 3)
    assert "made of" in text
    assert "misses caused" not in text
    assert len([line for line in text.splitlines() if line.startswith("│")]) <= 17


def test_what_the_latency_is_made_of_begins_with_the_most() -> None:
    assert cells(printed(["none"]), "  made of") == ["60% transfer, 30% queueing, 10% service"]
    assert cells(printed(["none"], mean_service_ns=900.0), "  made of") == ["67% transfer, 33% queueing"]


def test_what_no_arm_has_takes_no_row() -> None:
    text = printed(["none", "next_n"])
    assert "first token" not in text
    assert "per inference" not in text
    assert cells(printed(["none", "next_n"], mean_ttft_ns=2e6, p99_ttft_ns=3e6), "first token") == ["2 ms"] * 2


MANY = ["none", "next_n", "markov", "a_rather_long_name", "lstm"]


@pytest.mark.parametrize("arms", [MANY[:1], MANY[:3], MANY[:4], MANY])
@pytest.mark.parametrize("full", [False, True])
def test_eighty_columns_are_enough(arms: list[str], full: bool) -> None:
    text = printed(arms, full=full)
    assert max(map(len, text.splitlines())) <= 80
    # Neither a number nor a name is cut off.
    assert "…" not in text
    assert "-37.9%" in text or len(arms) == 1


def test_many_arms_have_a_row_each_and_columns_as_there_is_room() -> None:
    narrow, wide = printed(MANY, 86), printed(MANY, 140)
    for text in (narrow, wide):
        (found,) = [line for line in text.splitlines() if "lstm" in line and line.startswith("│")]
        assert "███▓▓▒····" in found
        assert "-37.9%" in found
    assert ("accuracy" in narrow, "accuracy" in wide) == (False, True)
    assert "too few samples to tell" in wide
    assert "Verdicts: on the paired difference of mean latencies (paired t over seeds), at 5 %" in wide


@pytest.mark.parametrize("arms", [MANY[:3], MANY])
def test_a_terminal_without_blocks_gets_signs(arms: list[str]) -> None:
    """Written in ASCII: anything else would raise."""
    text = printed(arms, 140, encoding="ascii")
    assert "##++" in text
    assert f"Outcomes: {legend(blocks=False)}. All metrics: --full" in text


def test_full_has_every_metric_of_every_arm() -> None:
    values = {metric: 1.0 for _, metric, _ in ROWS}
    text = printed(MANY, 140, full=True, **values)
    # Four arms have a table, the fifth another one.
    for label, _, _ in ROWS:
        assert len(re.findall(rf"^│ {re.escape(label)} +│", text, re.MULTILINE)) == 2, label
    assert text.count("mean latency vs baseline") == 2
    assert "Outcomes" not in text


@given(st.lists(st.integers(0, 10**6), min_size=5, max_size=5), st.integers(1, 40))
def test_a_bar_is_as_long_as_it_should_be(counts: list[int], width: int) -> None:
    drawn = bar(dict(zip(OUTCOMES, counts, strict=True)), width, blocks=True)
    assert len(drawn) == (width if sum(counts) else 0)
    for count, sign in zip(counts, "█▓▒░·", strict=True):
        assert abs(drawn.count(sign) - count / max(sum(counts), 1) * width) < 1


def test_bars_know_all_outcomes() -> None:
    assert list(OUTCOMES) == [f"n_{outcome.name.lower()}" for outcome in Outcome]


def test_a_line_goes_from_zero_to_the_highest_value() -> None:
    assert line([9, 0, 7, 1, 3.5], 4) == "▁█▂▅"
    assert line([5, 5], 4) == "██"
    assert line([0, 0], 4) == "▁▁"
    assert line([], 4) == ""
