"""Pictures of a sweep: which keys become which axis, what is drawn, what is refused."""

from pathlib import Path
from typing import Any

import pytest

from experiments.charts.sweeps import Axis, Metric, heat
from experiments.plot import Format, drawn
from experiments.sweep_pictures import Asked, chart_of_sweep
from experiments.variants import KeptVariants, opened
from simulator.errors import InputError
from tests.test_datasets import CAPACITY, N, made  # noqa: F401
from tests.test_results import call

Spec = dict[str, Any]


def rows_of(spec: Spec) -> list[Spec]:
    found: list[Spec] = spec["data"]["values"]
    return found


@pytest.fixture(scope="module")
def found(made: Path) -> KeptVariants:  # noqa: F811
    one = opened(made)
    assert isinstance(one, KeptVariants)
    return one


def test_curves_have_the_means_and_intervals_of_runs(found: KeptVariants) -> None:
    chart = chart_of_sweep(found, Asked())
    assert chart.kind == "curves"
    spec = chart.spec()
    assert "facet" not in spec
    runs = found.table("runs").to_pandas()
    rows = rows_of(spec)
    assert {row["arm"] for row in rows} == {"none", "next_n-n-1", "next_n-n-3", "wrong"}
    for row in rows:
        these = runs[(runs["arm"] == row["arm"]) & (runs[CAPACITY] == row["x"])]["mean_latency_ns"]
        assert row["value"] == pytest.approx(these.mean(), rel=1e-5)
        half = 12.7062 * these.std(ddof=1) / 2**0.5
        assert row["high"] == pytest.approx(these.mean() + half, rel=1e-4)
    x = spec["layer"][0]["encoding"]["x"]
    assert x["axis"]["values"] == [40960, 204800]
    assert "40 KiB" in x["axis"]["labelExpr"]


def test_what_a_key_does_not_apply_to_is_flat(found: KeptVariants) -> None:
    """Arms made of one are one line over their key, all others the same at both ends of it, in every panel."""
    chart = chart_of_sweep(found, Asked(x=N, panel="capacity"))
    rows = rows_of(chart.spec())
    assert {(row["arm"], row["x"], row["flat"]) for row in rows} == {
        ("next_n", 1, False), ("next_n", 3, False),
        *((arm, x, True) for arm in ("none", "wrong") for x in (1, 3)),
    }  # fmt: skip
    assert {row["panel"] for row in rows} == {"hbm.capacity 40 KiB", "hbm.capacity 200 KiB"}
    flat = [row["value"] for row in rows if (row["arm"], row["panel"]) == ("none", "hbm.capacity 40 KiB")]
    assert len(flat) == 2
    assert flat[0] == flat[1]
    only = chart_of_sweep(found, Asked(x="n", arms=["next_n"], where=["hbm.capacity=40 KiB"]))
    assert [(row["x"], row["arm"]) for row in rows_of(only.spec())] == [(1, "next_n"), (3, "next_n")]


def test_a_map_is_of_differences_to_the_baseline(found: KeptVariants) -> None:
    chart = chart_of_sweep(found, Asked(kind="heat"))
    compared = {
        (row[CAPACITY], row[N]): row
        for row in found.table("comparisons").to_pylist()
        if row["metric"] == "mean_latency_ns" and row["basis"] == "seeds" and row[N] is not None
    }
    rows = rows_of(chart.spec())
    # Where a condition left a combination out there is no cell.
    assert {(row["x"], row["y"]) for row in rows} == {("40 KiB", "1"), ("40 KiB", "3"), ("200 KiB", "1")}
    capacities = {"40 KiB": 40960, "200 KiB": 204800}
    for row in rows:
        one = compared[capacities[row["x"]], int(row["y"])]
        assert row["value"] == pytest.approx(one["relative_difference_ratio"], rel=1e-5)
        assert row["unsettled"] == (one["verdict"] not in ("better", "worse"))
    assert {row["unsettled"] for row in rows} == {True, False}
    assert "Cells with a ring are not settled" in chart.says
    colour = chart.spec()["layer"][0]["encoding"]["color"]["scale"]
    low, middle, high = colour["domain"]
    assert (middle, low) == (0, -high)
    # Of what is better when it is more, the colours are the other way round.
    ratio = chart_of_sweep(found, Asked(kind="heat", metric="hit_ratio")).spec()
    assert ratio["layer"][0]["encoding"]["color"]["scale"]["range"] == colour["range"][::-1]
    plain = rows_of(chart_of_sweep(found, Asked(kind="heat", metric="hit_ratio", absolute=True)).spec())
    assert all(0 < row["value"] < 1 for row in plain)


def test_values_a_factor_apart_get_a_logarithmic_axis() -> None:
    from experiments.sweep_pictures import _is_log, _labels

    assert _is_log([1, 2, 4, 8])
    assert _is_log([10, 10_000])
    assert not _is_log([1, 2, 3, 4])
    assert not _is_log([0, 10, 100])
    assert not _is_log([5, 10])
    assert _labels([1 << 20, 3 << 19], "B") == {1 << 20: "1 MiB", 3 << 19: "1.5 MiB"}
    # Rounded they would read the same.
    assert _labels([1_000_000, 1_000_100], "ns") == {1_000_000: "1,000,000 ns", 1_000_100: "1,000,100 ns"}


def test_pictures_of_all_forms(made: Path, found: KeptVariants, tmp_path: Path) -> None:  # noqa: F811
    done = call("plot", made, "--out", tmp_path / "a.png", "--panel", "n")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    heat = chart_of_sweep(found, Asked(kind="heat"))
    svg = drawn(heat, Format.SVG, width=500).decode()
    assert "hbm.capacity" in svg
    assert ">40 KiB<" in svg
    one = call("plot", made / "capacity-40KiB", "--x", "n", "--metric", "hit_ratio", "--out", tmp_path / "b.svg")
    assert one.exit_code == 0, one.output
    assert "next_n" in (tmp_path / "b.svg").read_text()


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (["plot", "--x", "capacty"], "--x capacty: is no swept key; did you mean 'capacity'?"),
        (["plot", "--metric", "mean_latency"], "--metric mean_latency: there is none; did you mean 'mean_latency_ns'?"),
        (["plot", "--metric", "arm"], "--metric arm: there is none"),
        (["plot", "--arm", "nextn"], "--arm nextn: there is none; expected one of none, next_n-n-1, next_n"),
        (["plot", "--where", "n=5"], "--where n=5: arms.next_n.policy.n has no such value; expected one of 1, 3"),
        (["plot", "--where", "n"], "--where n: expected KEY=VALUE"),
        (["plot", "--kind", "curves", "--x", "n", "--panel", "n"], "--panel n: arms.next_n.policy.n is the key to the"),
        (["plot", "--kind", "heat", "--x", "n", "--y", "n"], "--y n: arms.next_n.policy.n is the key to the right"),
        (["plot", "--kind", "heatmap"], "--kind heatmap: there is no such chart; did you mean 'heat'?"),
        (["plot", "--kind", "xyz"], "--kind xyz: there is no such chart; expected curves or heat, or with --variant"),
        (["plot", "--kind", "heat", "--arm", "none"], "no arm has both"),
        (["plot", "--kind", "means"], "has 2 variants, capacity-40KiB, capacity-200KiB; expected --variant with one"),
        (["plot", "--kind", "means", "--x", "n"], "--x: is of a sweep's curves and maps"),
        (["plot", "--kind", "means", "--variant", "capacity-4KiB"], "none of that name; did you mean 'capacity-40KiB'"),
        (["timeline", "--arm", "none", "--seed", "3"], "has 2 variants, capacity-40KiB, capacity-200KiB; expected --v"),
        (["explain", "--arm", "none", "--seed", "3", "--worst", "1"], "has 2 variants, capacity-40KiB, capacity-200K"),
    ],
)
def test_what_is_refused(made: Path, said: list[str], problem: str) -> None:  # noqa: F811
    done = call(said[0], made, *said[1:])
    assert done.exit_code == 2
    assert problem in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_variant_is_chosen_by_its_name(made: Path, tmp_path: Path) -> None:  # noqa: F811
    out = tmp_path / "a.svg"
    assert call("plot", made, "--kind", "means", "--variant", "capacity-40KiB", "--out", out).exit_code == 0
    told = ["explain", made, "--variant", "capacity-40KiB", "--arm", "none", "--seed", "3", "--worst", "1"]
    by_folder = ["explain", made / "capacity-40KiB", *told[4:]]
    assert call(*told).stdout == call(*by_folder).stdout != ""
    done = call("plot", made / "capacity-40KiB", "--kind", "means", "--variant", "capacity-40KiB")
    assert "is one result, without variants; expected no --variant" in done.stderr


def test_settings_that_were_not_swept_have_no_picture(made: Path) -> None:  # noqa: F811
    alone = KeptVariants.of_these(made, [made / "capacity-200KiB"])
    with pytest.raises(InputError, match="nothing was swept there"):
        chart_of_sweep(alone, Asked())


def test_maps_are_side_by_side_where_their_numbers_have_room() -> None:
    x = Axis("n", "n", {n: str(n) for n in range(5)}, True, False)
    y = Axis("m", "m", {1: "1", 2: "2"}, True, False)

    def columns_and_marks(text: str) -> tuple[int, bool]:
        rows = [
            {"panel": panel, "x": at, "y": up, "value": 0.5, "text": text, "unsettled": False}
            for panel in "abc" for at in x.names for up in y.names
        ]  # fmt: skip
        spec = heat(rows, list("abc"), x, y, Metric("hit_ratio", "hit ratio", "ratio", False), "", "").spec()
        return spec["columns"], any(layer["mark"].get("type") == "text" for layer in spec["spec"]["layer"])

    assert columns_and_marks("-79%") == (3, True)
    assert columns_and_marks("0.8029") == (2, True)
    # Nowhere is there room.
    assert columns_and_marks("1,234,567,890,123,456,789") == (3, False)
