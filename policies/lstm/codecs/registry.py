"""The encodings by name."""

from policies.lstm.codecs.base import Codec
from policies.lstm.codecs.delta import DeltaCodec
from policies.lstm.codecs.key import KeyCodec

CODECS: dict[str, type[Codec]] = {"key": KeyCodec, "delta": DeltaCodec}
