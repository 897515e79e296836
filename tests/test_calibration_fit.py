"""Fits of a calibration: planted latency, bandwidth and channels are found again, under noise and outliers."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.calibration.fit import channels_of, fit_of, line_of, rows_of, useful_of
from experiments.calibration.levels import levels_of
from experiments.calibration.outcome import CELLS, FITS, Outcome, cell_rows, outcome_of, preset_text
from experiments.calibration.rounds import Cell, Measured, n_calls_of
from experiments.calibration.system import Said, ns_text, off_of, rate_text
from experiments.overrides import parse_yaml
from simulator.config import System
from simulator.errors import InputError
from simulator.link_table import LinkTable
from simulator.units import parse_bytes_per_s, parse_ns

SIZES = (4096, 16384, 65536, 262144, 1 << 20, 4 << 20)
LOADS = (1, 2, 4, 8)
KIB, MIB = 1 << 10, 1 << 20


def planted(
    latency_ns: float, bytes_per_s: float, channels: int = 1, *, noise: float = 0.0, outliers: float = 0.0,
    seed: int = 0, loads: tuple[int, ...] = LOADS, n_rounds: int = 5, n_calls: int = 21,
) -> dict[tuple[int, int], list[list[int]]]:  # fmt: skip
    """Calls that wait for a channel; noise is lognormal, outliers take 30 times as long."""
    rng, found = np.random.default_rng(seed), {}
    for n_bytes in SIZES:
        for k in loads:
            ns = (latency_ns + n_bytes * 1e9 / bytes_per_s) * max(1.0, k / channels)
            drawn = ns * np.exp(noise * rng.normal(size=(n_rounds, n_calls)))
            drawn *= np.where(rng.random(drawn.shape) < outliers, 30, 1)
            found[n_bytes, k] = np.maximum(drawn, 1).round().astype(int).tolist()
    return found


@pytest.mark.parametrize(
    ("latency_ns", "bytes_per_s", "channels"),
    [(700, 5e10, 1), (90_000, 2.5e9, 3), (90_000, 1e8, 1), (10_000, 5e10, 8), (30_000_000, 1e8, 8)],
)
def test_what_was_planted_is_found(latency_ns: float, bytes_per_s: float, channels: int) -> None:
    fit = fit_of(planted(latency_ns, bytes_per_s, channels))
    # Durations are whole nanoseconds: of 1,000 ns, one in a thousand.
    assert fit.line.at(4096) == pytest.approx(latency_ns + 4096e9 / bytes_per_s, rel=2e-3)
    assert fit.line.bytes_per_s == pytest.approx(bytes_per_s, rel=2e-2)
    assert (fit.channels, fit.channels_by_round) == (channels, (channels,) * 5)
    assert fit.useful == min(k for k in LOADS if k >= channels)


@pytest.mark.parametrize("seed", range(4))
def test_noise_and_outliers_move_it_little(seed: int) -> None:
    """A call in ten takes 30 times as long, and all of one round twice as long: others use the machine, too."""
    loads = planted(90_000, 2e9, 3, noise=0.15, outliers=0.1, seed=seed)
    for rounds in loads.values():
        rounds[seed] = [2 * ns for ns in rounds[seed]]
    fit = fit_of(loads)
    assert fit.line.latency_ns == pytest.approx(90_000, rel=0.1)
    assert fit.line.bytes_per_s == pytest.approx(2e9, rel=0.1)
    assert fit.channels == 3
    # And that the rounds differ so much is said.
    assert fit.latency_spread is not None
    assert fit.bandwidth_spread is not None
    assert fit.latency_spread > 0.7
    assert fit.bandwidth_spread > 0.3


def test_rounds_that_agree_are_said_to() -> None:
    fit = fit_of(planted(90_000, 2e9, 3, noise=0.01))
    assert fit.latency_spread is not None
    assert fit.latency_spread < 0.05
    assert fit_of(planted(90_000, 2e9, n_rounds=1)).latency_spread is None


def test_small_blocks_count_as_much_as_large_ones() -> None:
    """Least squares of durations would give the latency away for the largest block's last per cent."""
    points = [(n_bytes, 1000 + n_bytes * 1.0) for n_bytes in SIZES[:-1]] + [(SIZES[-1], SIZES[-1] * 1.2)]
    line = line_of(points)
    assert line.latency_ns == pytest.approx(1000, rel=1e-6)
    assert line.ns_per_byte == pytest.approx(1.0, rel=1e-6)


def test_neither_latency_nor_time_of_a_byte_is_below_zero() -> None:
    assert line_of([(10, 1.0), (20, 4.0)]).latency_ns == 0
    falls = line_of([(10, 50.0), (10**6, 40.0), (10**6, 60.0)])
    assert 0 < falls.ns_per_byte < 1e-3
    with pytest.raises(ValueError, match="two sizes"):
        line_of([(10, 1.0), (10, 2.0)])


def test_channels_between_the_loads_that_were_tried() -> None:
    # With 4 at once each takes 4/3, with 8 it takes 8/3 as long: three channels, though three were never tried.
    typicals = {(1, 1): 1.0, (1, 2): 1.0, (1, 4): 4 / 3, (1, 8): 8 / 3}
    assert channels_of(typicals) == 3
    assert channels_of({(1, 1): 1.0}) == 1
    # Shared evenly from the first on: more at once move nothing more.
    assert (
        channels_of({(1, 1): 1.0, (1, 2): 2.0, (1, 4): 4.0}) == useful_of({(1, 1): 1.0, (1, 2): 2.0, (1, 4): 4.0}) == 1
    )
    # 30 % more is moved by two, which a line can say with one channel or two, and a table as it is.
    shared = {(1, 1): 1.0, (1, 2): 2 / 1.3, (1, 4): 4 / 1.32}
    assert (channels_of(shared), useful_of(shared)) == (1, 2)


def test_the_mean_counts_the_tail() -> None:
    loads = {cell: [[*([ns] * 9), 11 * ns] for [ns, *_] in rounds] for cell, rounds in planted(1000, 1e9).items()}
    assert fit_of(loads, "median").line.latency_ns == pytest.approx(1000, rel=0.01)
    assert fit_of(loads, "mean").line.latency_ns == pytest.approx(2000, rel=0.01)


@given(st.lists(st.floats(1, 1e12), min_size=12, max_size=12))
def test_a_table_is_one_whatever_was_measured(times: list[float]) -> None:
    """More bytes never take less, and what rose is as it was."""
    typicals = {(n_bytes, k): times[2 * i + j] for i, n_bytes in enumerate(SIZES) for j, k in enumerate((1, 4))}
    sizes, loads, rows = rows_of(typicals, 4)
    LinkTable.model_validate(
        {"sizes": [f"{n} B" for n in sizes], "at_once": loads, "read": [[f"{ns} ns" for ns in row] for row in rows]}
    )
    for k, row in zip(loads, rows, strict=True):
        measured = [typicals[n_bytes, k] for n_bytes in SIZES]
        if all(a <= b for a, b in pairwise(measured)):
            assert row == [pytest.approx(max(ns, 1), rel=1e-9, abs=0.51) for ns in measured]
        assert min(measured) * (1 - 1e-9) - 1 <= row[0] <= row[-1] <= max(measured) * (1 + 1e-9) + 1


@given(st.floats(0, 9e12))
def test_quantities_are_read_as_they_were_written(value: float) -> None:
    assert parse_ns(ns_text(value)) == pytest.approx(value, rel=6e-4, abs=0.51)
    assert parse_bytes_per_s(rate_text(max(value, 1))) == pytest.approx(max(value, 1), rel=6e-4, abs=0.51)


def test_so_many_calls_as_there_is_time_for() -> None:
    assert n_calls_of(1.0, 0.01, 1) == 100
    assert n_calls_of(1.0, 10.0, 4) == 16
    assert n_calls_of(1.0, 1e-7, 1) == 2000


# -- the whole, from durations to the preset ---------------------------------------------------------------------------
def machine(way: Callable[..., Any] = planted, read_only: bool = False) -> Measured:
    """DRAM over a file: 1 us and 10 GB/s, 80 us and 1 GB/s up, 50 us and 2 GB/s down, with two channels."""
    ways = {
        "dram service": planted(1000, 10e9, loads=(1,)), "dram fill": planted(900, 8e9, loads=(1,)),
        "dram_origin read": way(80_000, 1e9, 2), "dram_origin write": way(50_000, 2e9, 2),
    }  # fmt: skip
    if read_only:
        del ways["dram_origin write"]
    return {Cell(name, *cell): rounds for name, loads in ways.items() for cell, rounds in loads.items()}


DRAM_FILE = levels_of("dram,file:/x")


def outcome(measured: Measured, **how: Any) -> Outcome:
    return outcome_of(DRAM_FILE, [1 << 30], measured, **how)


def test_a_straight_machine_needs_no_table() -> None:
    found = outcome(machine())
    assert found.system == {
        "tiers": [
            {"name": "dram", "capacity": "1073741824 B", "latency": "1 us", "read_bandwidth": "10 GB/s",
             "write_bandwidth": "10 GB/s"}
        ],
        # A write takes 50 us, of which the upper tier's latency is charged already; a read 31 us more.
        "links": [{"call": "49 us", "read_bandwidth": "1 GB/s", "write_bandwidth": "2 GB/s", "channels": 2}],
        "origin": {"kind": "store", "latency": "31 us"},
    }  # fmt: skip
    assert (list(found.tables), list(found.line), list(found.off)) == ([], [], [])
    assert max(abs(one.error_ratio) for one in found.said) < 2e-3
    # How a tier is filled the model does not say.
    assert {(one.way, one.n_bytes, one.at_once) for one in found.said} == {
        tuple(cell) for cell in found.measured if cell.way != "dram fill"
    }
    assert outcome(machine(), table="always").tables == ["dram_origin"]


def bent(*what: Any, **how: Any) -> dict[tuple[int, int], list[list[int]]]:
    """From 1 MiB on everything takes 1.5 times as long, and 8 at once twice as long as their channels say."""
    return {
        (n_bytes, k): [
            [round(ns * (1.5 if n_bytes >= MIB else 1) * (2 if k == 8 else 1)) for ns in one] for one in rounds
        ]
        for (n_bytes, k), rounds in planted(*what, **how).items()
    }


def test_where_a_line_is_off_is_said_and_a_table_has_it() -> None:
    found = outcome(machine(bent))
    assert [one for one in found.line if one.at_once == 1 and one.way == "dram_origin read"]
    assert any(one.at_once == 8 and one.error_ratio < -0.4 for one in found.line)
    assert list(found.tables) == ["dram_origin"]
    # Two of eight at once move the most here; what the table says of 8 is queueing, and stays off.
    assert found.system["links"][0]["table"]["at_once"] == [1, 2]
    within = [one for one in found.said if one.at_once <= 2 and one.way.startswith("dram_origin")]
    assert max(abs(one.error_ratio) for one in within) < 2e-3
    assert {one.at_once for one in found.off} == {8}
    never = outcome(machine(bent), table="never")
    assert list(never.tables) == []
    assert list(never.off) == list(never.line) == list(found.line)


def test_ranges_are_told_apart_by_sign_and_by_what_lies_between() -> None:
    said = [
        Said("a", n_bytes, 1, 100, preset)
        for n_bytes, preset in zip((1, 2, 3, 4, 5, 6), (150, 130, 80, 100, 75, 105), strict=True)
    ]
    assert [(one.least_bytes, one.most_bytes, round(one.error_ratio, 2)) for one in off_of(said)] == [
        (1, 2, 0.5), (3, 3, -0.2), (5, 5, -0.25),
    ]  # fmt: skip


def test_what_is_only_read_is_written_as_fast_as_it_is_read() -> None:
    found = outcome(machine(read_only=True), table="always")
    assert found.system["links"][0]["write_bandwidth"] == "1 GB/s"
    assert found.system["links"][0]["call"] == "0 ns"
    assert found.system["origin"]["latency"] == "80 us"
    assert "write" not in found.system["links"][0]["table"]


def test_no_tier_slows_down_what_was_measured_through_it() -> None:
    """A copy by the CPU is slower than what a GPU fetches: the hop was measured, and goes on as it was."""
    ways = {
        "hbm service": planted(9000, 1e12, loads=(1,)), "dram fill": planted(900, 8e9, loads=(1,)),
        "dram service": planted(900, 8e9, loads=(1,)), "hbm_dram read": planted(10_000, 50e9),
        "hbm_dram write": planted(11_000, 45e9), "dram_origin read": planted(80_000, 1e9, 4),
    }  # fmt: skip
    measured: Measured = {Cell(name, *cell): rounds for name, loads in ways.items() for cell, rounds in loads.items()}
    levels = levels_of("hbm,dram,file:/x")
    found = outcome_of(levels, [1 << 30, 1 << 31], measured, table="never")
    assert max(abs(one.error_ratio) for one in found.said) < 3e-3
    assert [tier["latency"] for tier in found.system["tiers"]] == ["9 us", "8 us"]
    assert [link["call"] for link in found.system["links"]] == ["2 us", "0 ns"]


def test_what_the_text_says_is_what_was_found() -> None:
    found = outcome(machine(bent))
    text = preset_text(found, ["One line.", "Another."], {"at": "today", "machine": {"cpu": "x" * 200}})
    raw = parse_yaml(text, "text")
    assert raw["measured"]["machine"] == {"cpu": "x" * 200}
    fits = [dict(zip(FITS, row, strict=True)) for row in raw["measured"].pop("fits")]
    assert {row["way"]: row["channels"] for row in fits} == {
        "dram service": None, "dram fill": None, "dram_origin read": 2, "dram_origin write": 2,
    }  # fmt: skip
    calls = [dict(zip(CELLS, row, strict=True)) for row in raw["measured"].pop("calls")]
    assert len(calls) == len(found.measured)
    [one] = [row for row in calls if (row["way"], row["bytes"], row["at_once"]) == ("dram_origin read", 4 * KIB, 1)]
    assert (one["calls"], one["p50_ns"], one["p99_ns"]) == (105, 84096, 84096)
    raw.pop("measured")
    assert System.model_validate(raw) == System.model_validate(found.system)
    assert text.startswith("# One line.\n# Another.\n# Latency + bytes / bandwidth, with channels, is off by more")


def test_tails_are_those_of_all_calls() -> None:
    measured = machine()
    measured[Cell("dram service", 4096, 1)] = [list(range(1, 51)), list(range(51, 101))]
    [row] = [row for row in cell_rows(outcome(measured)) if row[:3] == ["dram service", 4096, 1]]
    assert dict(zip(CELLS, row, strict=True)) == {
        "way": "dram service", "bytes": 4096, "at_once": 1, "calls": 100, "p50_ns": 50, "p90_ns": 91, "p99_ns": 100,
        "mean_ns": 50, "rounds_differ_ratio": 0.99, "preset_ns": pytest.approx(row[-1]),
    }  # fmt: skip


def test_what_is_no_system_is_refused() -> None:
    hours = planted(5e15, 1e3)
    with pytest.raises(InputError, match=r"what was measured is no system: origin\.store\.latency|links\.0"):
        outcome(machine(lambda *_: hours))
