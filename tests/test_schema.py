"""The JSON schema of a config: up to date, a line on every key, and it takes what loads and refuses what does not."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import Field
from typer.testing import CliRunner

from experiments import policies
from experiments import schema as command
from experiments.config_schema import _name, as_text, schema
from experiments.descriptions import descriptions
from experiments.overrides import parse_yaml
from experiments.settings_text import range_text, type_text
from experiments.shipped import CONFIGS, HARDWARE
from policies.registry import POLICIES
from simulator.config import Strict
from simulator.residency.registry import ADMISSIONS, EVICTIONS
from workloads.registry import SOURCES

MINIMAL = {"workload": {"source": {"kind": "sequential", "accesses": 10}}, "arms": ["none", "next_n(n=4)"]}
MACHINE = {"preset": "gh200", "tiers": {"hbm": {"capacity": "8 GiB"}}, "links": {"0": {"bandwidth": "1 GB/s"}}}


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return schema()


@pytest.fixture(scope="module")
def checked(made: dict[str, Any]) -> Draft202012Validator:
    Draft202012Validator.check_schema(made)
    return Draft202012Validator(made)


def test_the_shipped_schema_is_up_to_date(made: dict[str, Any]) -> None:
    text = (CONFIGS / "schema.json").read_text()
    assert text == as_text(made) + "\n", "run: tierfetch schema > configs/schema.json"
    assert json.loads(CliRunner().invoke(command.app, []).output) == made


def test_every_key_says_what_it_means(made: dict[str, Any]) -> None:
    described = {**made["$defs"], "": made}
    silent = [
        f"{name}.{key}"
        for name, one in described.items()
        for key, value in one.get("properties", {}).items()
        if len(value.get("description", "").split()) < 2
    ]
    assert silent == []
    # Of every setting that a kind has.
    for registry in (POLICIES, SOURCES, EVICTIONS, ADMISSIONS):
        for kind, class_ in registry.items():
            fields = set(class_.model_fields) - {"kind"}
            assert fields <= descriptions(class_).keys(), kind
            properties = described[class_.__name__]["properties"]
            assert {class_.model_fields[name].alias or name for name in fields} <= properties.keys()
            assert {"$ref": f"#/$defs/{class_.__name__}"} in described[_name(registry.what)]["anyOf"]


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_configs_fit_and_name_the_schema(path: Path, checked: Draft202012Validator) -> None:
    text = path.read_text()
    assert text.startswith("# yaml-language-server: $schema=schema.json\n")
    assert list(checked.iter_errors(parse_yaml(text, str(path)))) == []


def test_presets_are_systems(checked: Draft202012Validator) -> None:
    for path in HARDWARE.glob("*.yaml"):
        preset = parse_yaml(path.read_text(), str(path))
        assert list(checked.iter_errors({**MINIMAL, "system": preset})) == []


@pytest.mark.parametrize(
    ("change", "fits"),
    [
        ({}, True),
        ({"system": MACHINE}, True),
        ({"system": {**MACHINE, "origin": "dram"}}, True),
        ({"system": {**MACHINE, "origin": {"latency": "1 ms"}}}, True),
        ({"system": {"preset": "./mine.yaml"}}, True),
        ({"arms": [{"name": "a", "policy": "stride"}, "fdp(policy=next_n(n=8))"]}, True),
        ({"arms": [{"name": "a", "policy": {"kind": "fdp", "policy": {"kind": "next_n", "n": 8}}}]}, True),
        ({"warm_up": 0.1}, True),
        ({"output": {"accesses": {"kind": "sampled", "rate": 0.1}}}, True),
        ({"variants": [{"name": "b", "set": {"system.preset": "cpu"}}]}, True),
        ({"sweep": {"arms.a.policy.n": "1..8", "zip": {"a.b": [1], "c.d": [2]}, "sample": {"n": 3}}}, True),
        ({"sweep": {"arms.a.policy.n": 8}}, False),
        ({"sweep": {"arms.a.policy.n": [1], "sample": {"m": 3}}}, False),
        ({"colour": "red"}, False),
        ({"arms": ["nextn(n=4)"]}, False),
        ({"arms": [{"name": "a", "policy": {"kind": "next_n", "m": 8}}]}, False),
        ({"arms": [{"name": "a", "policy": {"kind": "fdp", "policy": {"kind": "next_n", "m": 8}}}]}, False),
        ({"arms": [{"name": "a", "policy": "oracle", "charge": {"kind": "fixed", "latency": "5"}}]}, False),
        ({"system": {"preset": "h200"}}, False),
        ({"system": {"tiers": []}}, False),
        ({"system": {**MACHINE, "tiers": {"hbm": {"capacity": 8}}}}, False),
        ({"system": {**MACHINE, "links": [{"bandwidth": "1 GB/s", "read_bandwidth": "1 GB/s"}]}}, False),
        ({"workload": {"source": {"kind": "zipf", "n_keys": 10}}}, False),
        ({"workload": {"source": {"kind": "table", "path": "a.csv", "columns": {"key": 1, "colour": "b"}}}}, False),
        ({"workload": {"source": {"kind": "table", "path": "a.csv", "columns": {"key": 1}, "size_unit": "KiB"}}}, True),
    ],
)  # fmt: skip
def test_what_fits(change: dict[str, Any], fits: bool, checked: Draft202012Validator) -> None:
    assert checked.is_valid({**MINIMAL, **change}) == fits


class Outer:
    """Around it."""

    class Within(Strict):
        """A class within another, of which each field says something or nothing."""

        told: int
        """What it is."""
        by_pydantic: int = Field(description="As pydantic has it.")
        silent: int
        _private = 3
        """None of the settings."""


def test_descriptions_are_read_from_the_source() -> None:
    assert descriptions(Outer.Within) == {"told": "What it is.", "by_pydantic": "As pydantic has it."}
    # What a base says is said of the field that is inherited.
    assert "size of every block" in descriptions(SOURCES["zipf"])["block"]


def test_a_kind_says_type_range_default_and_meaning_of_each_setting() -> None:
    lines = CliRunner().invoke(policies.app, ["stride"]).output.splitlines()
    line = next(line for line in lines if line.split()[1:2] == ["counter_bits"])
    assert all(part in line for part in ("int", "1 to 16", "3", "Bits of the counter"))
    ranges = {
        name: range_text(field.annotation, field.metadata) for name, field in POLICIES["lstm"].model_fields.items()
    }
    assert ranges["degree"] == "1 to 1024"
    assert ranges["horizon"] == "1 to 2^48"
    assert ranges["horizons"] == "1 or more, 16 at most, each 1 to 2^48"
    assert ranges["learning_rate"] == "above 0"
    assert ranges["dropout"] == "0, below 1"
    assert ranges["trigger"] == ""
    assert range_text(*_said(EVICTIONS["s3fifo"], "small_ratio")) == "above 0, below 1"
    assert range_text(*_said(POLICIES["next_n"], "stride")) == "-2^62 to 2^62"
    assert range_text(*_said(POLICIES["fdp"], "policy")) == ""
    # Of two parts that differ, each by itself.
    assert type_text(*_said(SOURCES["kv_sessions"], "answer")) == "[int, float]"
    assert range_text(*_said(SOURCES["kv_sessions"], "answer")) == "1 to 2^48; 0 to 4"
    assert type_text(*_said(POLICIES["lstm"], "horizons")) == "[int, ...]"


def _said(class_: Any, name: str) -> tuple[Any, Any]:
    return class_.model_fields[name].annotation, class_.model_fields[name].metadata
