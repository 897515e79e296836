"""The encodings by name."""

from policies.models.codecs.base import Codec
from policies.models.codecs.delta import DeltaCodec
from policies.models.codecs.key import KeyCodec
from policies.models.codecs.page_offset import PageOffsetCodec

CODECS: dict[str, type[Codec]] = {"key": KeyCodec, "delta": DeltaCodec, "page_offset": PageOffsetCodec}
