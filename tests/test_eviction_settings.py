"""The settings of eviction policies: compiled and plain take the same, each is honoured, bad ones are refused."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.loading import load
from simulator.errors import InputError
from simulator.evictions.registry import make
from simulator.residency.registry import EVICTIONS
from tests.strategies import OUR_EVICTIONS
from tests.test_bad_input import NONE, refuse
from tests.test_evictions import SHARE, STEPS, Pair, drifting
from tests.test_experiment import call, config, table, write

BARE = ("--set", "system.tiers.0.eviction=s3fifo")

VARIANT = st.sampled_from(["paper", "libcachesim"])
ratios = st.integers(1, 99).map(lambda parts: parts / 100)
SETTINGS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "clock": st.integers(1, 4).flatmap(
        lambda bits: st.fixed_dictionaries(
            {}, optional={"n_bit_counter": st.just(bits), "init_freq": st.integers(0, 1)}
        )
    ),
    "s3fifo": st.fixed_dictionaries(
        {},
        optional={
            "small_ratio": ratios, "ghost_ratio": st.integers(0, 30).map(lambda tenths: tenths / 10),
            "move_to_main_threshold": st.integers(1, 3),
        },
    ),
    "2q": st.fixed_dictionaries(
        {}, optional={"ain_ratio": ratios, "aout_ratio": st.integers(0, 30).map(lambda tenths: tenths / 10)}
    ),
    "slru": st.fixed_dictionaries(
        {"seg_size": st.lists(st.integers(1, 5), min_size=1, max_size=8)}, optional={"variant": VARIANT}
    ),
    "lirs": st.fixed_dictionaries(
        {}, optional={"hir_ratio": ratios, "stack_ratio": st.integers(4, 16).map(lambda quarters: quarters / 4)}
    ),
    "wtinylfu": st.fixed_dictionaries(
        {}, optional={"window_ratio": ratios, "protected_ratio": ratios, "variant": VARIANT}
    ),
    "pinned": st.one_of(
        st.fixed_dictionaries({"keys": st.lists(st.integers(0, 24), min_size=1, max_size=12)}),
        st.fixed_dictionaries({"keep": st.integers(1, 9)}),
    ),
    "hyperbolic": st.fixed_dictionaries({"n_sample": st.integers(1, 100)}),
}  # fmt: skip


def test_all_that_can_be_set_is_tried() -> None:
    for kind, settings_class in ((kind, EVICTIONS[kind]) for kind in OUR_EVICTIONS):
        assert (set(settings_class.model_fields) == {"kind"}) == (kind not in SETTINGS)


@pytest.mark.parametrize("kind", SETTINGS)
@settings(max_examples=150 // SHARE, deadline=None)
@given(data=st.data(), steps=STEPS, capacity=st.integers(1, 40), has_sizes=st.booleans())
def test_settings_are_honoured(
    kind: str, data: st.DataObject, steps: list[tuple[int, int, int]], capacity: int, has_sizes: bool
) -> None:
    """Compiled and plain take the same settings, and do the same with them."""
    chosen = {"kind": kind, **data.draw(SETTINGS[kind])}
    pair = Pair(capacity, chosen, [key for leaves, key, _ in steps if not leaves])
    for leaves, key, drawn in steps:
        if leaves:
            pair.remove(key)
        else:
            pair.request(key, drawn if has_sizes else 1)
    pair.check()


OTHERS = [
    "clock(n_bit_counter=2)", "clock(init_freq=1)", "s3fifo(small_ratio=0.3)", "s3fifo(ghost_ratio=0.2)",
    "s3fifo(move_to_main_threshold=1)", "2q(ain_ratio=0.5)", "2q(aout_ratio=1.5)", "slru(seg_size=[1, 1])",
    "slru(seg_size=[3, 1, 1, 1])", "lirs(hir_ratio=0.2)", "lirs(stack_ratio=1.1)", "wtinylfu(window_ratio=0.2)",
    "wtinylfu(protected_ratio=0.2)", "wtinylfu(variant=libcachesim)", "hyperbolic(n_sample=2)",
    f"pinned(keys={sorted(set(drifting(3, 6000)[:900]))[:60]})",
]  # fmt: skip


@pytest.mark.parametrize("said", OTHERS)
def test_every_setting_makes_a_difference(said: str) -> None:
    """Others go than by default: in compiled code, whose plain twin does the same, on a long trace too."""
    chosen = EVICTIONS.parse(said)
    assert chosen.label == said
    # Keys of a few recent ones and of many: there is something to tell apart.
    keys = drifting(3, 6000)
    pair, usual = Pair(100, chosen, keys, n_blocks=100), make(chosen.kind, 100, n_blocks=100)
    assert [pair.request(key) for key in keys] != [usual.request(key, 1) for key in keys]
    pair.check()


BAD_SETTINGS = [
    ("s3fifo(small_ratio=1.5)", "small_ratio: Input should be less than 1; got 1.5"),
    ("s3fifo(small_ratio=0.1234567)", "small_ratio: expected at most 6 decimals; got 0.1234567"),
    ("s3fifo(small_rate=0.1)", "small_rate: unknown setting; expected one of small_ratio, ghost_ratio, move_to"),
    ("s3fifo(move_to_main_threshold=4)", "move_to_main_threshold: Input should be less than or equal to 3; got 4"),
    ("clock(init_freq=2)", "init_freq: expected at most 1, what n_bit_counter has room for; got 2"),
    ("slru(seg_size=[])", "seg_size: Tuple should have at least 1 item"),
    ("slru(seg_size=4)", "seg_size: expected a list of weights such as [1, 1, 1, 1]; got 4"),
    ("slru(seg_size=[1, 0])", "seg_size.1: Input should be greater than or equal to 1; got 0"),
    ("lirs(stack_ratio=0.5)", "stack_ratio: Input should be greater than or equal to 1; got 0.5"),
    ("slru(variant=libCacheSim)", "variant: Input should be 'paper' or 'libcachesim'; got 'libCacheSim'"),
    ("lru(size=3)", "size: unknown setting; expected one of none"),
    ("lrv", "lrv: no such eviction policy; expected one of lru, fifo, random"),
]


@pytest.mark.parametrize(("said", "expected"), BAD_SETTINGS)
def test_bad_settings(said: str, expected: str) -> None:
    with pytest.raises(InputError, match=re.escape(expected)):
        EVICTIONS.parse(said)


IN_CONFIGS = [
    ("eviction", "lrv", "eviction: unknown kind 'lrv'; expected one of 'lru', 'fifo', 'random'"),
    ("eviction", {"kind": "lrv"}, "eviction: unknown kind 'lrv'; expected one of 'lru', 'fifo', 'random'"),
    ("eviction", {"small_ratio": 0.1}, "eviction: expected a kind, one of lru, fifo"),
    ("eviction", 7, "eviction: expected a name, or {kind: NAME, setting: value, ...}; got 7"),
    (
        "eviction", {"kind": "s3fifo", "small_ratio": 2.0},
        "eviction.s3fifo.small_ratio: Input should be less than 1; got 2.0",
    ),
    (
        "eviction", {"kind": "s3fifo", "smal_ratio": 0.1},
        "eviction.s3fifo.smal_ratio: unknown key 'smal_ratio'; did you mean 'small_ratio'?",
    ),
    (
        "eviction", {"kind": "clock", "xyz": 1},
        "eviction.clock.xyz: unknown key 'xyz'; expected one of n_bit_counter, init_freq",
    ),
    ("eviction", "s3fifo(small_ratio=2)", "eviction.s3fifo.small_ratio: Input should be less than 1; got 2"),
    (
        "eviction", "s3fifo(0.2)",
        "eviction: '0.2' is no setting=value; expected NAME, NAME(setting=value, ...) or {kind: NAME, setting: value",
    ),
    ("eviction", "s3fifo(small_ratio=0.2", "eviction: is no name, and no name with settings in brackets; expected"),
    ("eviction", "lrv(a=1)", "eviction: unknown kind 'lrv'; expected one of 'lru', 'fifo', 'random'"),
    ("admission", {"kind": "size"}, "admission.size.largest: is missing"),
    ("admission", "everybody", "admission: unknown kind 'everybody'; expected one of 'all', 'size'"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value", "expected"), IN_CONFIGS)
def test_bad_settings_in_a_config(tmp_path: Path, key: str, value: Any, expected: str) -> None:
    """Exit code 2 with the key, the value and what was expected."""
    content = config(seeds=[0], arms=[NONE])
    content["system"]["tiers"][0][key] = value
    refuse(tmp_path, content, f"system.tiers.0.{expected}")


def test_settings_in_a_config(tmp_path: Path) -> None:
    """What a config says is what is simulated, and what its results say that it was."""
    content = config(seeds=[0], arms=[NONE])
    content["workload"]["source"] = {"kind": "zipf", "n_keys": 100, "exponent": 0.8, "accesses": 4000, "block": "4 KiB"}
    content["system"]["tiers"][0]["eviction"] = {"kind": "s3fifo", "small_ratio": 0.4}
    path = write(tmp_path, content)
    for name, sets in (("said", ()), ("set", ("--set", "system.tiers.0.eviction.small_ratio=0.9")), ("bare", BARE)):
        assert call(path, "--out", tmp_path / name, "--quiet", *sets).exit_code == 0
    ratios = [table(tmp_path / name, "runs.parquet").hit_ratio[0] for name in ("said", "set", "bare")]
    assert len(set(ratios)) == 3
    manifest = json.loads((tmp_path / "set" / "manifest.json").read_text())
    assert manifest["config"]["system"]["tiers"][0]["eviction"]["small_ratio"] == 0.9


def test_settings_in_one_line(tmp_path: Path) -> None:
    """With --set, in a config and in an arm: the same experiment as with the settings as keys."""
    arms = [NONE, {"name": "n", "policy": "fdp(policy=next_n(n=2, stride=3))"}]
    content = config(seeds=[0], arms=arms)
    path = write(tmp_path, content)
    first = "system.tiers.0.eviction"
    (said,) = load(path, [f"{first}=s3fifo(small_ratio=0.2, ghost_ratio=0.5)"]).values()
    arms[1]["policy"] = {"kind": "fdp", "policy": {"kind": "next_n", "n": 2, "stride": 3}}
    content["system"]["tiers"][0]["eviction"] = {"kind": "s3fifo", "small_ratio": 0.2, "ghost_ratio": 0.5}
    (keys,) = load(write(tmp_path, content)).values()
    assert said == keys
    assert said.folder_hash() == keys.folder_hash()
    content["arms"][1]["set"] = {first: "2q(ain_ratio=0.3)"}
    (of_arm,) = load(write(tmp_path, content)).values()
    assert of_arm.system_of(of_arm.arms[1]).tiers[0].eviction.ain_ratio == 0.3
