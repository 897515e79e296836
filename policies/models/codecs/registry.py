"""The encodings by name."""

from collections.abc import Sequence

from policies.models.codecs.base import Codec, Vocabularies
from policies.models.codecs.columns import WithColumns
from policies.models.codecs.delta import DeltaCodec
from policies.models.codecs.delta_offset import DeltaOffsetCodec
from policies.models.codecs.key import KeyCodec
from policies.models.codecs.page_offset import PageOffsetCodec

CODECS: dict[str, type[Codec]] = {
    "key": KeyCodec,
    "delta": DeltaCodec,
    "delta_offset": DeltaOffsetCodec,
    "page_offset": PageOffsetCodec,
}


def codec_of(encoding: str, vocabularies: Vocabularies, columns: Sequence[str] = ()) -> Codec:
    """One that was learned before, with fields for these columns. Raises KeyError if vocabularies lack something."""
    codec = CODECS[encoding](vocabularies)
    return WithColumns.restored(codec, columns, vocabularies) if columns else codec
