"""One shape for all plug-ins: settings with a line on what they are, found by their kind; good words for bad names."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, TypeAdapter, ValidationError
from typer.testing import CliRunner

from experiments import policies
from experiments.config import Experiment
from policies.registry import POLICIES
from simulator.config import Bytes, Count, Strict
from simulator.errors import InputError
from simulator.plugins import Registry
from simulator.residency.registry import ADMISSIONS, EVICTIONS
from workloads.base import SourceSettings
from workloads.registry import SOURCES

ALL = [(registry, kind) for registry in (POLICIES, SOURCES, EVICTIONS, ADMISSIONS) for kind in registry]


class Thing(Strict):
    """A base."""

    kind: str


class Plain(Thing):
    """One that needs nothing."""

    kind: Literal["plain"]
    n: Count = 2
    size: Bytes = Field("64 KiB", validate_default=True)
    share: float = 0.5
    word: str | None = None


THINGS: Registry[Thing] = Registry("thing", Thing, {"plain": Plain})
AnyThing = Annotated[Thing, THINGS]


class Around(Thing):
    """One that holds others."""

    kind: Literal["around"]
    of: AnyThing
    more: Annotated[tuple[AnyThing, ...], Field(strict=False)] = ()


THINGS.register("around", Around)


class Holder(Strict):
    """A config."""

    things: Annotated[tuple[AnyThing, ...], Field(strict=False)]


@pytest.mark.parametrize(("registry", "kind"), ALL, ids=[kind for _, kind in ALL])
def test_every_plugin_says_what_it_is_and_refuses_what_it_does_not_know(registry: Any, kind: str) -> None:
    settings = registry[kind]
    first = (settings.__doc__ or "").splitlines()[0]
    assert first.endswith(".")
    assert len(first.split()) > 1
    assert (sys.modules[settings.__module__].__doc__ or "").strip()
    assert settings.model_fields["kind"].is_required()
    with pytest.raises(ValidationError) as caught:
        registry.validate({"kind": kind, "colour": "red"})
    assert ((kind, "colour"), "extra_forbidden") in [(error["loc"], error["type"]) for error in caught.value.errors()]
    if registry in (EVICTIONS, ADMISSIONS):
        # Those are built from the functions and records beside them.
        return
    # Its own and not its base's: a plug-in that cannot be built is none.
    assert "build" in dir(settings)
    assert settings.build not in (SourceSettings.build, registry._base.build)


def test_the_listing_has_every_plugin_with_its_line_and_settings() -> None:
    run = CliRunner().invoke
    listing = run(policies.app, []).output
    for kind in (*POLICIES, *EVICTIONS, *ADMISSIONS, *SOURCES):
        line = next(line for line in listing.splitlines() if line.split()[:1] == [kind])
        assert len(line.split()) > 2
    for registry, kind in ALL:
        text = run(policies.app, [kind]).output
        assert all(name in text for name in registry[kind].model_fields if name != "kind"), kind
    assert "second chance" in run(policies.app, ["clock"]).output
    # An eviction and a workload.
    assert all(text in run(policies.app, ["random"]).output for text in ("Belady 1966", "Settings of random"))
    assert "[a source, ...]" in run(policies.app, ["phases"]).output
    assert ".csv, .parquet" in run(policies.app, ["table"]).output
    unknown = run(policies.app, ["nextn"])
    assert unknown.exit_code == 2
    assert "nextn: there is none of that name ('next_n'?); expected one of none, next_n" in unknown.stderr


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", {}),
        (" plain ( ) ", {}),
        ("plain(n=3)", {"n": 3}),
        ("plain( n = 3 ,share=1e-1, size=64 MiB)", {"n": 3, "share": 0.1, "size": "67108864 B"}),
        ("plain(word='a, (b')", {"word": "a, (b"}),
        ('plain(word="3")', {"word": "3"}),
        ("plain(word=null)", {"word": None}),
        ("plain(word=a/b-c.d)", {"word": "a/b-c.d"}),
    ],
)
def test_one_line(text: str, expected: dict[str, Any]) -> None:
    assert THINGS.parse(text) == THINGS.validate({"kind": "plain", **expected})


def test_one_line_holds_others_and_several() -> None:
    assert THINGS.parse("around(of=plain(n=3), more=[plain, around(of=plain)])").model_dump(mode="json") == {
        "kind": "around",
        "of": THINGS.parse("plain(n=3)").model_dump(mode="json"),
        "more": [THINGS.parse(text).model_dump(mode="json") for text in ("plain", "around(of=plain)")],
    }
    assert THINGS.parse_all("plain, plain(n=3, share=0.1),around(of=plain)") == [
        THINGS.parse(text) for text in ("plain", "plain(n=3, share=0.1)", "around(of=plain)")
    ]
    assert POLICIES.parse("fdp(policy=stride(degree=8), level=2)") == POLICIES.validate(
        {"kind": "fdp", "policy": {"kind": "stride", "degree": 8}, "level": 2}
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plane", "plane: no such thing; expected one of plain, around"),
        ("plain(m=3)", "plain(m=3): m: unknown setting; expected one of n, size, share, word"),
        ("plain(n=two)", "plain(n=two): n: Input should be a valid integer; got 'two'"),
        ("plain(n=0)", "n: Input should be greater than or equal to 1; got 0"),
        ("plain(size=1 m)", "size: expected a size as a string with a unit"),
        ("around", "around: of: is missing"),
        ("around(of=plain(m=1))", "of.plain.m: unknown setting; expected one of n, size"),
        ("around(of=plane)", "of: no such kind 'plane'; expected one of 'plain', 'around'"),
        ("", "expected NAME or NAME(setting=value, ...)"),
        ("plain n=3", "expected NAME or NAME(setting=value, ...)"),
        ("plain(n)", "'n' is no setting=value"),
        ("plain(n=)", "a value is missing"),
        ("plain(n=3, n=4)", "'n' is there twice"),
        ("plain(kind=around)", "'kind' is there twice"),
        ("plain(n=3))", "a ) closes nothing"),
        ("plain(word=')", "a ' is missing"),
        ("around(of=plain, more=[plain)", "a ] is missing"),
        ("plain(word=])", "a ] closes nothing"),
        ("around(of=plain, more=[plain,,plain])", "a value is missing"),
    ],
)
def test_one_line_gone_wrong(text: str, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        THINGS.parse(text)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("value", "place", "message"),
    [
        ("plane", (), "expected tags: 'plain', 'around'"),
        ({"kind": "plane"}, (), "expected tags: 'plain', 'around'"),
        ({"kind": ["plain"]}, (), "expected tags: 'plain', 'around'"),
        ({"n": 3}, (), "expected a kind, one of plain, around; got none"),
        (5, (), "expected a name, or {kind: NAME, setting: value, ...}; got 5"),
        (None, (), "expected a name, or {kind: NAME, setting: value, ...}; got None"),
        ({"kind": "plain", "n": "x"}, ("plain", "n"), "valid integer"),
        ("around", ("around", "of"), "required"),
        ({"kind": "around", "of": {"kind": "plain", "m": 1}}, ("around", "of", "plain", "m"), "not permitted"),
    ],
)
def test_an_error_says_where(value: Any, place: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Holder.model_validate({"things": ["plain", value]})
    (error,) = caught.value.errors()
    assert error["loc"] == ("things", 1, *place)
    assert message in error["msg"]


def test_what_is_dumped_is_read_again_whole() -> None:
    held = Holder.model_validate(
        {"things": ["plain", {"kind": "around", "of": {"kind": "plain", "n": 9}}, Plain(kind="plain", n=5)]}
    )
    dumped = held.model_dump(mode="json")
    assert dumped["things"][1]["of"] == {"kind": "plain", "n": 9, "size": "65536 B", "share": 0.5, "word": None}
    assert json.loads(held.model_dump_json()) == dumped
    assert Holder.model_validate(dumped) == held


def test_a_registry_refuses_what_cannot_be_right() -> None:
    with pytest.raises(ValueError, match="thing 'plain' is registered twice"):
        THINGS.register("plain", Plain)
    wrong: Registry[Thing] = Registry("thing", Thing, {"other": Plain, "none": "simulator.config:Tier", "pain": Around})
    with pytest.raises(TypeError, match=r"thing 'other': the kind of .* is \('plain',\); expected Literal\['other'\]"):
        wrong["other"]
    with pytest.raises(TypeError, match=r"thing 'none': .*Tier.* is no subclass of Thing"):
        wrong["none"]
    assert "none" in wrong
    with pytest.raises(KeyError):
        wrong["nothing"]


def test_a_schema_tells_all_of_them() -> None:
    schema = json.dumps(Experiment.model_json_schema())
    assert all(f'"const": "{kind}"' in schema for _, kind in ALL)
    assert TypeAdapter(AnyThing).json_schema()["oneOf"][0] == {"enum": ["plain"]}


def test_a_config_takes_a_name_alone_and_says_which_settings_there_are(tmp_path: Path) -> None:
    from experiments.loading import load

    mixed = Path("configs/mixed.yaml")
    by_name = load(mixed, ["arms.none.policy=none"])[""]
    assert by_name.folder_hash() == load(mixed)[""].folder_hash()
    with pytest.raises(
        InputError, match=r"arms\.1\.policy\.next_n\.zzz: unknown key 'zzz'; expected one of start, n, stride, t"
    ):
        load(mixed, ["arms.next_n.policy.zzz=1"])
    with pytest.raises(InputError, match=r"workload\.source: unknown kind 'zip'; expected one of 'sequential', "):
        load(mixed, ["workload.source={kind: zip}"])


def test_a_config_is_read_without_arrow_and_torch() -> None:
    """And a wrapper of policies is imported by itself: there is no circle."""
    code = (
        "import policies.fdp, sys; from pathlib import Path; from experiments.loading import load; "
        "load(Path('configs/mixed.yaml')); load(Path('configs/mooncake.yaml')); "
        "print([name for name in ('torch', 'pyarrow', 'pandas', 'policies.spp') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
