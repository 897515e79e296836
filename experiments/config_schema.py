"""The JSON schema of a config, for editors that complete, explain and check what is written.

It has what may be written, short forms included: what ``experiments.shorthand`` and ``experiments.hardware`` put in
full. Each kind of policy, eviction, admission and workload is described once, and its settings with what they mean.
"""

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, models_json_schema

ID = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE = "x-registry"


def as_text(found: dict[str, Any]) -> str:
    """A schema as it is written into a file, the same every time."""
    return json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True)


class _Generator(GenerateJsonSchema):
    """Pydantic's, with what stands below each field, and one definition for each registry."""

    def of_registry(self, registry: Any) -> dict[str, Any]:
        """Stands for any of a registry's kinds; replaced by a reference once all is generated."""
        return {_REFERENCE: registry.what}

    def model_schema(self, schema: Any) -> dict[str, Any]:
        """A class of settings: each field with what it means, the kind with what it is."""
        from experiments.descriptions import descriptions, first_line

        found = super().model_schema(schema)
        class_ = schema["cls"]
        said = {"kind": first_line(class_), **descriptions(class_)}
        for name, field in class_.model_fields.items():
            written = found.get("properties", {}).get(field.alias or name)
            if written is not None and name in said:
                written["description"] = said[name]
            if written is not None:
                written.pop("title", None)
        return found


def schema() -> dict[str, Any]:
    """The schema of what a config may say."""
    from experiments.config import Experiment
    from experiments.loading import Variant
    from experiments.sweeping.points import Sample
    from policies.registry import POLICIES
    from simulator.residency.registry import ADMISSIONS, EVICTIONS
    from workloads.registry import SOURCES

    registries = (POLICIES, SOURCES, EVICTIONS, ADMISSIONS)
    classes = [Experiment, Variant, Sample, *(class_ for registry in registries for class_ in registry.values())]
    names, generated = models_json_schema([(class_, "validation") for class_ in classes], schema_generator=_Generator)
    definitions = generated["$defs"]
    for registry in registries:
        refs = {kind: names[class_, "validation"] for kind, class_ in registry.items()}
        definitions[_name(registry.what)] = _any_of(registry, refs)
    _in_short(definitions)
    top = definitions.pop("Experiment")
    found = {**top, "$schema": ID, "title": "An experiment of tierfetch", "$defs": definitions}
    with_references = _with_references(found)
    assert isinstance(with_references, dict)
    return with_references


def _name(what: str) -> str:
    return f"any_{what.replace(' ', '_')}"


def _any_of(registry: Any, references: dict[str, Any]) -> dict[str, Any]:
    """A kind alone, a kind with settings in a line, or settings."""
    from simulator.plugins import needs_nothing

    alone = [kind for kind, class_ in registry.items() if needs_nothing(class_)]
    in_a_line = rf"^\s*({'|'.join(map(_escaped, registry))})\s*\(.*\)\s*$"
    line = f"A {registry.what} and its settings in a line: kind(setting=value, ...)"
    return {
        "anyOf": [
            {"enum": alone, "description": f"A {registry.what} with its defaults."},
            {"type": "string", "pattern": in_a_line, "description": line},
            *references.values(),
        ]
    }


def _escaped(kind: str) -> str:
    return kind.replace(".", r"\.")


def _swept() -> dict[str, Any]:
    """Keys with their values, and what else a sweep says."""
    values = {"anyOf": [{"type": "array", "minItems": 1}, {"type": "string"}]}
    together = {"type": "object", "additionalProperties": values, "minProperties": 2}
    return {
        "type": "object",
        "minProperties": 1,
        "description": "Keys by their paths, each with the values that it takes: all combinations are run.",
        "properties": {
            "zip": {
                "anyOf": [together, {"type": "array", "items": together}],
                "description": "Keys that take their first values together, then their second ones.",
            },
            "when": {"type": "string", "description": "The combinations that count: a.b <= '4 GiB' and c.d in [1, 8]."},
            "sample": {"$ref": "#/$defs/Sample"},
        },
        "additionalProperties": {
            **values,
            "description": "A list, or 1..8, or log(1 us, 1 ms, 7), or linear(0, 1, 5).",
        },
    }


def _in_short(definitions: dict[str, Any]) -> None:
    """What may be left out or said shortly."""
    from experiments.shipped import preset_names
    from experiments.shorthand import PRESET, SEEDS

    top, system = definitions["Experiment"], definitions["System"]
    top["required"] = ["workload", "arms"]
    properties = top["properties"]
    properties["name"]["description"] += " The file's name if it is not said."
    properties["seeds"]["description"] += f" {SEEDS} if it is not said, of a recorded trace [0]."
    properties["baseline"]["description"] += " The first arm whose policy is none, else the first, if it is not said."
    properties["system"]["description"] += f" {{preset: {PRESET}}} if it is not said."
    properties["variants"] = {
        "type": "array",
        "items": {"$ref": "#/$defs/Variant"},
        "description": "The same experiment with other keys, each an experiment of its own.",
    }
    properties["sweep"] = _swept()
    # An arm in a line is named after its policy.
    items = properties["arms"]["items"]
    properties["arms"]["items"] = {"anyOf": [items, {_REFERENCE: "policy"}]}
    definitions["WorkloadConfig"]["properties"]["train_ratio"]["description"] += (
        " 0.5 if it is not said and an arm learns, else 0."
    )
    for part in ("Tier", "Link"):
        _one_bandwidth(definitions, part)
    properties = system["properties"]
    for name, part in (("tiers", "Tier"), ("links", "Link")):
        changes = {"$ref": f"#/$defs/{part}Changes"}
        properties[name] = {
            "anyOf": [
                {key: value for key, value in properties[name].items() if key != "description"},
                {"type": "object", "additionalProperties": changes},
            ],
            "description": properties[name]["description"] + " As a mapping: what differs from the preset's, by name.",
        }
    origins = [definitions["StoreOrigin"], definitions["ComputeOrigin"]]
    changed = {key: value for origin in origins for key, value in origin["properties"].items() if key != "kind"}
    properties["origin"] = {
        "anyOf": [
            {key: value for key, value in properties["origin"].items() if key != "description"},
            {"type": "object", "properties": changed, "additionalProperties": False},
            {"type": "string"},
        ],
        "description": properties["origin"]["description"] + " Or the name of the tier that holds everything.",
    }
    properties["preset"] = {
        "anyOf": [{"enum": preset_names()}, {"type": "string", "pattern": r"\.ya?ml$"}],
        "description": "The machine to start from, or a YAML file beside the config that has what system has.",
    }
    system["anyOf"] = [{"required": ["preset"]}, {"required": system.pop("required")}]


def _one_bandwidth(definitions: dict[str, Any], part: str) -> None:
    both = ["read_bandwidth", "write_bandwidth"]
    described = definitions[part]
    rate = {key: value for key, value in described["properties"][both[0]].items() if key != "description"}
    described["properties"]["bandwidth"] = {**rate, "description": "Bytes per second in either direction, for both."}
    described["not"] = {"anyOf": [{"required": ["bandwidth", name]} for name in both]}
    changes = {key: value for key, value in described.items() if key != "required"}
    definitions[f"{part}Changes"] = {**changes, "title": f"{part}Changes"}
    described["required"] = [name for name in described["required"] if name not in both]
    described["anyOf"] = [{"required": ["bandwidth"]}, {"required": both}]


def _with_references(value: Any) -> Any:
    if isinstance(value, dict):
        if _REFERENCE in value:
            rest = {key: _with_references(one) for key, one in value.items() if key != _REFERENCE}
            return {**rest, "$ref": f"#/$defs/{_name(value[_REFERENCE])}"}
        return {key: _with_references(one) for key, one in value.items()}
    return [_with_references(one) for one in value] if isinstance(value, list) else value
