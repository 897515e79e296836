"""The base of every config, and quantities in it: strings with units."""

from collections.abc import Collection
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from simulator.units import BYTES, BYTES_PER_S, NS, parse_bytes, parse_bytes_per_s, parse_ns, path_text


def _text(units: Collection[str], example: str) -> WithJsonSchema:
    """How a quantity is written."""
    pattern = rf"^\s*[0-9]+(\.[0-9]+)?\s*({'|'.join(units)})\s*$"
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example]})


Bytes = Annotated[
    int, BeforeValidator(parse_bytes), PlainSerializer(lambda n: f"{n} B"), Field(gt=0), _text(BYTES, "64 MiB")
]
Nanoseconds = Annotated[int, BeforeValidator(parse_ns), PlainSerializer(lambda n: f"{n} ns"), _text(NS, "7 us")]
BytesPerSecond = Annotated[
    int,
    BeforeValidator(parse_bytes_per_s),
    PlainSerializer(lambda n: f"{n} B/s"),
    Field(gt=0),
    _text(BYTES_PER_S, "25 GB/s"),
]
Count = Annotated[int, Field(ge=1, le=2**48)]
Whole = Annotated[int, Field(ge=0, le=2**48)]
PathText = Annotated[str, AfterValidator(path_text)]
Ratio = Annotated[float, Field(ge=0, le=1)]
Factor = Annotated[float, Field(ge=1, le=1000)]


class Strict(BaseModel):
    """The base of every config: frozen, no unknown keys, no coercion."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, validate_default=True, allow_inf_nan=False)
