"""The encodings by name."""

from policies.lstm.codecs.base import Codec
from policies.lstm.codecs.delta import DeltaCodec
from policies.lstm.codecs.key import KeyCodec
from policies.lstm.codecs.page_offset import PageOffsetCodec

CODECS: dict[str, type[Codec]] = {"key": KeyCodec, "delta": DeltaCodec, "page_offset": PageOffsetCodec}
