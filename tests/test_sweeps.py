"""Sweeps: which values a key takes, which combinations count, and what variants and arms they become."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from experiments.loading import Loaded, all_of
from experiments.sweeping.axes import values_of
from experiments.sweeping.condition import Condition
from experiments.sweeping.points import MOST_POINTS, Sweep
from simulator.errors import InputError
from simulator.units import parse_bytes, parse_ns

CONFIG: dict[str, Any] = {
    "name": "small",
    "seeds": [0],
    "workload": {"source": {"kind": "sequential", "accesses": 50}},
    "arms": ["none", "next_n(n=2)", {"name": "far", "policy": {"kind": "stride", "degree": 1}}],
}
CAPACITY, DEGREE, N = "system.tiers.hbm.capacity", "arms.far.policy.degree", "arms.next_n.policy.n"


def loaded(sweep: Any = None, *, more: list[str] | None = None, **config: Any) -> Loaded:
    raw = CONFIG | config | ({} if sweep is None else {"sweep": sweep})
    return all_of(raw, Path("small.yaml"), config.get("sets"), None, None, more)


@pytest.mark.parametrize(
    ("said", "values"),
    [
        ([1, 2.5, "a", None, True], [1, 2.5, "a", None, True]),
        ("1..4", [1, 2, 3, 4]),
        ("-2..4..3", [-2, 1, 4]),
        ("linear(1, 9, 5)", [1, 3, 5, 7, 9]),
        ("linear(0.5, 1, 3)", [0.5, 0.75, 1.0]),
        ("log(1 us, 1 ms, 4)", ["1000 ns", "10000 ns", "100000 ns", "1000000 ns"]),
        ("log(1 KiB, 4 KiB, 3)", ["1024 B", "2048 B", "4096 B"]),
        ("log(1 GB/s, 100 GB/s, 3)", ["1000000000 B/s", "10000000000 B/s", "100000000000 B/s"]),
        # Neighbours that are the same whole number are one.
        ("log(1, 4, 9)", [1, 2, 3, 4]),
    ],
)
def test_what_a_key_takes(said: Any, values: list[Any]) -> None:
    assert values_of(said) == values
    assert [type(value) for value in values_of(said)] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ([], "has no values"),
        ([1, 2, 1], "1 is there twice"),
        (["5 MiB", "5MiB"], "'5MiB' is there twice"),
        ("log(1, 1" + "0" * 400 + ", 3)", "is too large"),
        ("linear(-1e308, 1e308, 3)", "is no number"),
        (7, "got 7; expected a list of values, a range"),
        ("fast", "got 'fast'; expected a list"),
        ("4..1", "'4..1' is empty"),
        ("1..4..0", "is empty"),
        ("1..10000000", "10,000,000 values; expected at most 100,000"),
        ("log(0, 4, 3)", "a first value below the last, above 0"),
        ("log(4, 4, 3)", "a first value below the last"),
        ("log(1 us, 1 GiB, 3)", "of different kinds"),
        ("log(1 us, 1 ms)", r"expected log\(FROM, TO, N\)"),
        ("linear(1, fast, 3)", "'fast' is no number and no quantity"),
        ("linear(1, nan, 3)", "'nan' is no number"),
    ],
)
def test_values_that_are_none(said: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        values_of(said)


@given(st.integers(1, 10**12), st.integers(2, 10**12), st.integers(2, 40))
def test_ranges_go_from_end_to_end_in_order(first: int, length: int, n: int) -> None:
    last = first + length
    for how in ("log", "linear"):
        values = [parse_ns(value) for value in values_of(f"{how}({first} ns, {last} ns, {n})")]
        assert (values[0], values[-1]) == (first, last)
        assert values == sorted(set(values))
        assert len(values) <= n


def test_a_grid_has_every_combination_once() -> None:
    points = Sweep({"a.x": [1, 2], "b": "1..3", "zip": {"c": [5, 6], "d": ["p", "q"]}}).points()
    assert len(points) == 12
    assert len({tuple(point.values()) for point in points}) == 12
    assert list(points[0]) == ["a.x", "b", "c", "d"]
    # The last one goes round first; what is zipped goes together.
    assert [(p["c"], p["d"]) for p in points[:2]] == [(5, "p"), (6, "q")]
    assert {(p["c"], p["d"]) for p in points} == {(5, "p"), (6, "q")}
    # A key of a zip may take a value again, with others.
    assert len(Sweep({"zip": {"c": [5, 5], "d": [1, 2]}}).points()) == 2


def test_conditions_leave_out_what_they_do_not_hold_for() -> None:
    when = "a.size <= '1 MiB' and (n in [1, 3] or not n < 4) and n - 1 != 2 * 1"
    points = Sweep({"a.size": ["512 KiB", "1024 KiB", "2 MiB"], "n": "1..5", "when": when}).points()
    assert [(p["a.size"], p["n"]) for p in points] == [
        ("512 KiB", 1), ("512 KiB", 4), ("512 KiB", 5), ("1024 KiB", 1), ("1024 KiB", 4), ("1024 KiB", 5),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("when", "problem"),
    [
        ("n <", "is no condition"),
        ("m == 1", "'m' is not swept; expected one of n"),
        ("n.__class__ == 1", "'n.__class__' is not swept"),
        ("print(n)", r"'print\(n\)' is not understood"),
        ("(lambda: n)()", "is not understood"),
        ("n ** 9 > 1", "is not understood"),
        ("[n for n in [1]]", "is not understood"),
        ("n == b'1'", "is not understood"),
        (f"n == '{'x' * 3000}'", "expected at most 2,000"),
        ("-" * 1500 + "n > 1", "is nested too deeply|is no condition"),
        ("-" * 101 + "n > 1", "is nested too deeply"),
    ],
)
def test_conditions_that_are_none(when: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Condition(when, {"n"})


def test_what_cannot_be_compared_is_said() -> None:
    with pytest.raises(ValueError, match="cannot be told for n 1: '<' not supported"):
        Sweep({"n": [1], "when": "n < 'fast'"}).points()
    with pytest.raises(ValueError, match="cannot be told for n 1: division by zero"):
        Sweep({"n": [1], "when": "n / 0 > 1"}).points()
    with pytest.raises(ValueError, match="'a' is no number"):
        Sweep({"n": [1], "when": "'a' * 99999999999 == 'a'"}).points()
    with pytest.raises(ValueError, match="cannot be told"):
        Sweep({"n": [1], "when": f"{'9' * 400} * 1.0 > n"}).points()


@pytest.mark.parametrize("how", ["random", "sobol"])
def test_samples_are_of_the_grid_the_same_each_time_and_without_repetition(how: str) -> None:
    said = {"a": "1..40", "b": "1..50", "when": "a != 7", "sample": {"n": 60, "how": how, "seed": 3}}
    points = [(p["a"], p["b"]) for p in Sweep(said).points()]
    assert len(points) == len(set(points)) == 60
    assert points == [(p["a"], p["b"]) for p in Sweep(said).points()]
    assert points == sorted(points)
    assert all(1 <= a <= 40 and a != 7 and 1 <= b <= 50 for a, b in points)
    other = Sweep(said | {"sample": {"n": 60, "how": how, "seed": 4}}).points()
    assert [(p["a"], p["b"]) for p in other] != points
    if how == "sobol":
        # Spread evenly: each eighth of either key has about its share.
        for values, length in (([a for a, _ in points], 40), ([b for _, b in points], 50)):
            assert max(Counter((value - 1) * 8 // length for value in values).values()) <= 10


@pytest.mark.parametrize("how", ["random", "sobol"])
def test_a_sample_of_more_than_there_are_is_all(how: str) -> None:
    said = {"a": "1..3", "b": [1, 2], "sample": {"n": 100, "how": how}}
    assert Sweep(said).points() == Sweep({"a": "1..3", "b": [1, 2]}).points()


def test_a_sample_of_a_grid_that_is_too_large_to_list() -> None:
    said = dict.fromkeys("abcdefg", "1..1000") | {"sample": {"n": 5}}
    assert len(Sweep(said).points()) == 5


@pytest.mark.parametrize(
    ("sweep", "problem"),
    [
        ({}, r"sweep: got {}; expected keys"),
        ([1], "sweep: got .*expected keys"),
        ({"when": "n == 1"}, "sweep: has no keys"),
        ({N: []}, r"sweep: arms.next_n.policy.n: has no values"),
        ({N: "1..4", "zip": {N: [1], CAPACITY: ["1 MiB"]}}, "arms.next_n.policy.n: is swept twice"),
        ({"zip": {N: [1, 2], CAPACITY: ["1 MiB"]}}, f"zip: {N} has 2, {CAPACITY} has 1; expected as many"),
        ({"zip": {N: [1, 1], DEGREE: [2, 2]}}, "take the same values twice"),
        ({"zip": {N: [1, 2]}}, "zip: got .*expected two keys or more"),
        ({N: "1..9", "when": "n > 3"}, "when: 'n' is not swept"),
        ({N: "1..9", "when": f"{N} > 10"}, "when: holds for no combination"),
        ({N: "1..9", "sample": {"n": 0}}, "sample.n: Input should be greater than or equal to 1; got 0"),
        ({N: "1..1000", CAPACITY: [f"{n} MiB" for n in range(1, 1001)]},
         r"has 1,000,000 combinations \(1000 x 1000\); expected at most 100,000"),
        ({"arms.none.policy.n": [1]}, "is of the baseline"),
        ({"arms.other.policy.n": [1]}, "there is no such arm; expected .*NAME one of none, next_n, far"),
        ({"arms.far.name": ["a", "b"]}, "names cannot be swept"),
        ({"arms.next_n": ["none"]}, "arms.next_n: is a whole arm; expected a key of it, such as arms.next_n.policy"),
        ({"sweep": ["a"]}, "sweep: cannot be swept; expected keys of the config itself"),
        ({"seeds": [[0], [1]]}, "seeds: cannot be swept; every combination runs with all seeds"),
        ({"arms.next_n.policy.m": [1, 2]}, "unknown key 'm'"),
        ({"system.tiers.hbn.capacity": ["1 MiB"]}, "hbn"),
        ({CAPACITY: ["1 XB"]}, "variant capacity-1XB: .*expected a size"),
    ],
)  # fmt: skip
def test_bad_sweeps_are_found_before_anything_runs(sweep: Any, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        loaded(sweep)


def test_keys_of_an_arm_make_arms_and_all_others_variants() -> None:
    found = loaded({CAPACITY: ["1 MiB", "2 MiB"], DEGREE: "1..3", N: [4, 8]})
    assert found.is_swept
    assert found.name == "small"
    assert list(found.experiments) == ["capacity-1MiB", "capacity-2MiB"]
    for name, experiment in found.experiments.items():
        assert experiment.name == f"small-{name}"
        assert experiment.system.tiers[0].capacity == parse_bytes(f"{name[9]} MiB")
        # None depends on no key, and each of the others on its own alone: 1 + 2 + 3, not 2 x 3 of each.
        arms = ["none", "next_n-n-4", "next_n-n-8", "far-degree-1", "far-degree-2", "far-degree-3"]
        assert [arm.name for arm in experiment.arms] == arms
        assert [arm.policy.n for arm in experiment.arms[1:3]] == [4, 8]
        assert [arm.policy.degree for arm in experiment.arms[3:]] == [1, 2, 3]
        assert experiment.baseline == "none"


def test_an_arm_has_what_the_condition_leaves_of_it_in_each_variant() -> None:
    found = loaded({CAPACITY: ["1 MiB", "2 MiB"], N: "1..3", "when": f"{CAPACITY} == '1 MiB' or {N} == 2"})
    arms = [[arm.name for arm in one.arms if "next" in arm.name] for one in found.experiments.values()]
    assert arms == [["next_n-n-1", "next_n-n-2", "next_n-n-3"], ["next_n-n-2"]]


def test_whole_policies_and_presets_may_be_swept() -> None:
    kinds = [{"kind": "next_n", "n": 3}, "stride(degree=2)"]
    found = loaded({"arms.far.policy": kinds, "system.preset": ["gh200", "h100-sxm-pcie5"]})
    assert list(found.experiments) == ["preset-gh200", "preset-h100-sxm-pcie5"]
    arms = found.experiments["preset-gh200"].arms
    assert [arm.name for arm in arms] == ["none", "next_n", "far-policy-next_n_n-3", "far-policy-stride_degree-2"]
    assert [arm.policy.kind for arm in arms] == ["none", "next_n", "next_n", "stride"]


def test_a_sweep_of_arms_alone_is_one_experiment() -> None:
    found = loaded({DEGREE: "1..2"})
    assert list(found.experiments) == [""]
    assert found.experiments[""].name == "small"


def test_variants_are_swept_each() -> None:
    variants = [{"name": "a", "set": {"system.placement": "exclusive"}}, {"name": "b", "set": {}}]
    found = loaded({CAPACITY: ["1 MiB", "2 MiB"]}, variants=variants)
    assert list(found.experiments) == ["a_capacity-1MiB", "a_capacity-2MiB", "b_capacity-1MiB", "b_capacity-2MiB"]
    assert found.experiments["a_capacity-1MiB"].system.placement == "exclusive"
    assert found.experiments["b_capacity-1MiB"].system.placement == "inclusive"


def test_names_are_short_and_no_two_are_alike() -> None:
    text = "x" * 70
    together = {"workload.source.accesses": [60, 70], CAPACITY: ["1 MiB", "1024 KiB"]}
    found = loaded({"system.inference.queue_limit": [1, 2], "system.inference.batch_size": [1], "zip": together},
                   name=text)  # fmt: skip
    names = list(found.experiments)
    assert len(set(names)) == 4
    assert all(len(one.name) <= 80 for one in found.experiments.values())
    # What words leave out tells values apart all the same.
    charges = [{"kind": "fixed", "latency": text} for text in ("1 us", "1us")]
    arms = [arm.name for arm in loaded({"arms.far.charge": charges}).experiments[""].arms]
    assert len(set(arms)) == len(arms) == 4


def test_the_command_line_adds_keys_and_replaces_them() -> None:
    more = [f"{CAPACITY}=1MiB, 2 MiB", f"{N}=1..2"]
    found = loaded({N: [7, 8, 9]}, more=more)
    assert list(found.experiments) == ["capacity-1MiB", "capacity-2MiB"]
    assert [arm.name for arm in found.experiments["capacity-1MiB"].arms][1:3] == ["next_n-n-1", "next_n-n-2"]
    (only,) = loaded(more=["arms.far.charge=[{kind: free}, {kind: fixed, latency: 1 us}]"]).experiments.values()
    assert [arm.charge.kind for arm in only.arms[2:] if arm.charge] == ["free", "fixed"]
    assert len(loaded(more=["system.tiers.hbm.latency=log(100 ns, 1 us, 4)"]).experiments) == 4
    assert list(loaded(more=["system.placement=exclusive"]).experiments) == ["placement-exclusive"]


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ("x", "--sweep x: expected key.path=VALUE,VALUE"),
        ("=1,2", "--sweep =1,2: expected"),
        ("a=(1", r"--sweep a=\(1: a \) is missing"),
        (f"{N}=", "--sweep arms.next_n.policy.n=: has no values; expected some"),
    ],
)
def test_bad_options(more: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        loaded(more=[more])


def test_a_key_is_swept_once_on_the_command_line() -> None:
    with pytest.raises(InputError, match=rf"--sweep {N}=...: is there twice"):
        loaded(more=[f"{N}=1..3", f"{N}=1..2"])


def test_what_is_set_is_not_swept() -> None:
    with pytest.raises(InputError, match=r"system.tiers.hbm.capacity: is swept, and set by --set"):
        all_of(CONFIG, Path("c.yaml"), [f"{CAPACITY}=1 MiB"], None, None, [f"{CAPACITY}=1MiB,2MiB"])


def test_many_combinations_are_read_in_no_time() -> None:
    """A preset is read once, not once for each: a sweep of thousands is checked whole before it begins."""
    found = loaded({"system.tiers.hbm.latency": "linear(1 ns, 900 ns, 900)"})
    assert len(found.experiments) == 900
    assert MOST_POINTS >= 10_000


def test_a_sweep_is_written_as_yaml() -> None:
    said = yaml.safe_load("sweep:\n  arms.far.policy.degree: 1..2\n  system.tiers.hbm.latency: log(1 us, 9 us, 2)\n")
    assert list(loaded(said["sweep"]).experiments) == ["latency-1000ns", "latency-9000ns"]
