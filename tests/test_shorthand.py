"""What a config may leave out or say shortly: presets, one bandwidth, a tier as origin, arms in a line, defaults."""

from pathlib import Path
from typing import Any

import pytest

from experiments.config import Experiment
from experiments.hardware import system_in_full
from experiments.loading import experiments_of, load
from experiments.shipped import CONFIGS, HARDWARE, config_named, preset_names
from simulator.config import StoreOrigin, System
from simulator.errors import InputError

ZIPF = {"source": {"kind": "zipf", "n_keys": 100, "exponent": 0.9, "accesses": 1000}}
MADE_BEFORE = {
    "cloudphysics": {"": "131325a0f6"},
    "embedding_rows": {"": "fe5aff7057"},
    "kv_sessions": {"": "2f670412b3"},
    "mixed": {"": "788f2669a8"},
    "moe_experts": {"": "dd850f283f"},
    "mooncake": {"": "b3f8d8a562"},
    "shootout": {
        "cloudphysics": "a5ce5a020f", "mooncake": "d5b80440b8", "lirs": "215a4861ff", "orm": "e99a5cc872",
        "gcc": "2754353fa9",
    },
}  # fmt: skip
"""The folders of the shipped configs: what lies there is to be found again. They are others where a rule is another
one, as when the newest question came to be answered first (R14), or a setting has another name, as ``counter_start``
of ``stride``, or networks learn otherwise."""


def read(raw: dict[str, Any], *sets: str, path: str = "a b.yaml") -> Experiment:
    return experiments_of({"workload": ZIPF, "arms": ["none", "next_n"], **raw}, Path(path), list(sets))[""]


def system(said: dict[str, Any], *sets: str) -> System:
    return read({"system": said}, *sets).system


@pytest.mark.parametrize("name", MADE_BEFORE)
def test_a_config_that_says_all_keeps_its_folder(name: str) -> None:
    found = load(CONFIGS / f"{name}.yaml")
    assert {variant: experiment.folder_hash() for variant, experiment in found.items()} == MADE_BEFORE[name]


def test_a_minimal_config() -> None:
    short = read({})
    assert (short.name, short.seeds, short.baseline) == ("a_b", (0, 1, 2), "none")
    assert short.workload.train_ratio == 0
    assert short.system == system({"preset": "h100-sxm-pcie5"})
    assert read({}, path="3.14-{x}.yaml").name == "3.14-_x_"
    # The long form of the same is the same experiment.
    full = {
        "name": "x", "seeds": [0, 1, 2], "baseline": "none", "system": {"preset": "h100-sxm-pcie5"},
        "arms": [{"name": "none", "policy": {"kind": "none"}}, {"name": "next_n", "policy": {"kind": "next_n"}}],
    }  # fmt: skip
    assert read(full).folder_hash() == short.folder_hash()


def test_arrivals_and_charges_in_a_line() -> None:
    """As in full, wherever a config or the command line says them."""
    lstm = {"name": "a", "policy": "lstm", "charge": "fixed(latency=20 us)"}
    short = read({"arms": ["none", lstm]}, "workload.arrivals=closed(think=5 us)")
    lstm = {**lstm, "charge": {"kind": "fixed", "latency": "20 us"}}
    full = read({"arms": ["none", lstm]}, "workload.arrivals={kind: closed, think: 5 us}")
    assert short.folder_hash() == full.folder_hash()
    assert read({"arms": ["none", "lstm"]}, "arms.lstm.charge=measured").arms[1].charge.kind == "measured"
    for said, message in (
        ("fixd", "unknown kind 'fixd'"),
        ("fixed(", "is no name, and no name with settings in brackets; expected NAME"),
    ):
        with pytest.raises(InputError, match=message):
            read({"arms": ["none", "lstm"]}, f"arms.lstm.charge={said}")


def test_arms_in_a_line() -> None:
    arms = [
        "next_n(n=4)",
        "next_n(n=8, stride=-1)",
        "lstm(degree=2)",
        {"name": "markov", "policy": "none"},
        "markov(entries=9)",
    ]
    short = read({"arms": arms}, "arms.lstm.policy.hidden=8")
    names = ["next_n_n_4", "next_n_n_8_stride_-1", "lstm", "markov", "markov_entries_9"]
    assert [arm.name for arm in short.arms] == names
    assert short.baseline == "markov"  # Of no arm but this one is the policy none.
    assert [arm.policy.kind for arm in short.arms] == ["next_n", "next_n", "lstm", "none", "markov"]
    policy: Any = short.arms[2].policy
    assert (policy.degree, policy.hidden) == (2, 8)
    assert short.workload.train_ratio == 0.5
    assert read({"arms": ["stride", "next_n"]}).baseline == "stride"
    # What is put in place of the arms is short as well, and defaults are those of what is there then.
    other = read({"arms": arms}, "arms=[none, 'stride(degree=2)']")
    assert [arm.name for arm in other.arms] == ["none", "stride"]
    assert other.workload.train_ratio == 0


def test_a_recorded_trace_is_one_seed(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("key\n1\n2\n")
    source = {"kind": "table", "path": "t.csv", "columns": {"key": "key"}}
    assert read({"workload": {"source": source}}, path=str(tmp_path / "c.yaml")).seeds == (0,)
    assert read({"workload": {"source": source}, "seeds": [3, 4]}, path=str(tmp_path / "c.yaml")).seeds == (3, 4)


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_is_a_system_whose_figures_have_their_sources(name: str) -> None:
    found = system({"preset": name})
    assert found.tiers[0].capacity > 2**34
    for line in (HARDWARE / f"{name}.yaml").read_text().splitlines():
        key, _, rest = line.partition(":")
        is_figure = any(character.isdigit() for character in rest.split("#")[0]) and not key.startswith("#")
        assert not is_figure or len(rest.partition("#")[2].split()) > 1, line


def test_what_is_said_beside_a_preset() -> None:
    plain = system({"preset": "gh200"})
    found = system(
        {
            "preset": "gh200",
            "tiers": {"hbm": {"capacity": "8 GiB", "eviction": "sieve"}, 1: {"read_bandwidth": "1 GB/s"}},
            "links": {"hbm_dram": {"bandwidth": "1 MB/s"}, "1": {"channels": 3}},
            "origin": {"latency": "1 ms"},
            "prefetch": {"queued": 7},
            "placement": "exclusive",
        }
    )
    hbm, dram = found.tiers
    assert (hbm.capacity, hbm.eviction.kind, hbm.latency) == (2**33, "sieve", plain.tiers[0].latency)
    assert (dram.read_bandwidth, dram.write_bandwidth) == (10**9, plain.tiers[1].write_bandwidth)
    assert [found.links[0].read_bandwidth, found.links[0].write_bandwidth] == [10**6, 10**6]
    assert (found.links[0].call, found.links[1].channels) == (plain.links[0].call, 3)
    assert found.origin == StoreOrigin.model_validate({"kind": "store", "latency": "1 ms"})
    assert (found.prefetch.queued, found.placement) == (7, "exclusive")
    # A list is all that there is.
    mine = [{"name": name, "capacity": "1 MiB", "bandwidth": "1 GB/s"} for name in "ab"]
    assert [tier.name for tier in system({"preset": "gh200", "tiers": mine}).tiers] == ["a", "b"]


def test_overrides_of_a_preset() -> None:
    sets = ("system.tiers.hbm.capacity=1 GiB", "system.links.hbm_dram.bandwidth=2 GB/s", "system.tiers.0.eviction=lfu")
    found = system({"preset": "h100-sxm-pcie5"}, *sets)
    assert (found.tiers[0].capacity, found.tiers[0].eviction.kind) == (2**30, "lfu")
    assert found.links[0].read_bandwidth == found.links[0].write_bandwidth == 2 * 10**9
    assert system({"preset": "h100-sxm-pcie5"}, "system.preset=rtx4090").tiers[0].name == "gddr"
    # Of a config that says each direction, both are replaced; of one that says both at once, one may be.
    mixed = load(CONFIGS / "mixed.yaml", ["system.tiers.hbm.bandwidth=1 GB/s"])[""].system.tiers[0]
    assert mixed.read_bandwidth == mixed.write_bandwidth == 10**9
    both = {"tiers": [{"name": "a", "capacity": "1 MiB", "bandwidth": "2 GB/s"}], "links": [{"bandwidth": "3 GB/s"}]}
    tier = system({**both, "origin": {"kind": "store"}}, "system.tiers.a.read_bandwidth=5 GB/s").tiers[0]
    assert (tier.read_bandwidth, tier.write_bandwidth) == (5 * 10**9, 2 * 10**9)


def test_an_arm_on_other_hardware() -> None:
    changes = {"system.preset": "gh200", "system.tiers.hbm.capacity": "2 GiB"}
    arms = ["none", {"name": "gh", "policy": "none", "set": changes},
            {"name": "slow", "policy": "none", "set": {"system.links.0.bandwidth": "1 GB/s"}}]  # fmt: skip
    found = read({"arms": arms, "system": {"preset": "h100-sxm-pcie5", "origin": "dram"}})
    none, gh, slow = (found.system_of(arm) for arm in found.arms)
    assert len(none.tiers) == len(gh.tiers) == 1
    assert (gh.tiers[0].capacity, gh.tiers[0].read_bandwidth) == (2**31, 34 * 10**11)
    assert gh.links[0].read_bandwidth == 375 * 10**9
    assert slow.links[0].read_bandwidth == slow.links[0].write_bandwidth == 10**9


def test_a_tier_as_the_origin() -> None:
    plain = system({"preset": "h100-sxm-pcie5"})
    found = system({"preset": "h100-sxm-pcie5", "origin": "dram"})
    assert (found.tiers, found.links) == (plain.tiers[:1], plain.links[:1])
    assert found.origin == StoreOrigin.model_validate({"kind": "store", "latency": f"{plain.tiers[1].latency} ns"})
    # A hop is as fast as the slower of the link and what lies below it.
    slow = system({"preset": "h100-sxm-pcie5", "origin": "dram", "tiers": {"dram": {"write_bandwidth": "3 GB/s"}}})
    assert (slow.links[0].read_bandwidth, slow.links[0].write_bandwidth) == (plain.links[0].read_bandwidth, 3 * 10**9)


def test_a_preset_beside_the_config(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "tiers: [{name: a, capacity: 1 MiB, bandwidth: 2 GB/s}]\nlinks: [{bandwidth: 1 GB/s}]\norigin: {kind: store}\n"
        "prefetch: {in_flight: 5, queued: 6}\n"
    )
    said = {"preset": "./mine.yaml", "prefetch": {"queued": 7}}
    found = read({"system": said}, path=str(tmp_path / "c.yaml")).system
    assert (found.prefetch.in_flight, found.prefetch.queued) == (5, 7)
    assert (found.tiers[0].name, found.links[0].read_bandwidth) == ("a", 10**9)


def test_a_preset_where_the_command_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "tiers: [{name: NAME, capacity: 1 MiB, bandwidth: 2 GB/s}]\nlinks: [{bandwidth: 1 GB/s}]\n"
    text += "origin: {kind: store}\n"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(text.replace("NAME", "here"))
    sets = ["system={preset: ./mine.yaml, tiers: {here: {capacity: 2 MiB}}}"]
    assert load(CONFIGS / "mixed.yaml", sets)[""].system.tiers[0].name == "here"
    # One beside the config goes before it.
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "mine.yaml").write_text(text.replace("NAME", "beside"))
    path = str(tmp_path / "configs" / "c.yaml")
    assert read({"system": {"preset": "mine.yaml"}}, path=path).system.tiers[0].name == "beside"


def test_a_preset_of_which_nothing_is_left() -> None:
    for sets in (["system.preset=cpu"], ["arms.none.set={system.preset: cpu}"]):
        with pytest.raises(InputError, match=r"preset: nothing of it is left, .* \(tiers, links, origin\);"):
            load(CONFIGS / "mixed.yaml", sets)
    with pytest.raises(InputError, match=r"such as system=\{preset: gh200, tiers: \{NAME: "):
        load(CONFIGS / "mixed.yaml", ["system.preset=gh200"])


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"preset": "h200"}, "system.preset: there is no 'h200'; expected one of a100-pcie4, cpu, gh200, h100-sxm"),
        ({"preset": 3}, "system.preset: expected one of .*; got 3"),
        ({"preset": "no.yaml"}, r"system.preset: no.yaml: cannot be read: .*No such file"),
        ({"preset": "cpu", "tiers": {"hbm": {}}}, "system.tiers.hbm: the preset has no such tier; expected one of d"),
        ({"preset": "cpu", "tiers": {"dram": "8 GiB"}}, "system.tiers.dram: expected what differs .*got '8 GiB'"),
        ({"preset": "cpu", "links": {"7": {}}}, "system.links.7: the preset has no such link; expected one of dram_or"),
        ({"preset": "cpu", "origin": "dram"}, "system.origin: 'dram' is no tier below the first; expected {kind"),
        ({"preset": "gh200", "origin": "nvme"}, "'nvme' is no tier below the first; expected one of dram, whose t"),
        (
            {"preset": "cpu", "tiers": {"dram": {"bandwidth": "1 GB/s", "read_bandwidth": "1 GB/s"}}},
            "system.tiers.dram: bandwidth is that of both directions, but read_bandwidth is there too; expected one",
        ),
        ({"tiers": [{"name": "a"}]}, "system.tiers.0: has no bandwidth; expected bandwidth: 25 GB/s, or read_b"),
        ({"tiers": {"a": {}}}, "system.tiers.0: has no bandwidth"),
    ],
)  # fmt: skip
def test_what_cannot_be_understood(said: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        system(said)
    assert system_in_full(None, Path()) is None


def test_names_of_shipped_configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert config_named(Path("mixed")) == CONFIGS / "mixed.yaml"
    assert config_named(Path("mixed.yaml")) == Path("mixed.yaml")
    assert config_named(Path("nothing")) == Path("nothing")
    (tmp_path / "mixed").write_text("")
    assert config_named(Path("mixed")) == Path("mixed")
