"""Requests to the KV caches of language models, as JSON lines."""

from typing import ClassVar, Literal

from workloads.readers.json_table import JsonTable
from workloads.readers.layout import Layout
from workloads.readers.raw import RawTable
from workloads.readers.row_format import PrefixFormat, Preset


class MooncakeConfig(PrefixFormat):
    """Mooncake's KV-cache requests as JSON lines: timestamp in ms, hash_ids of 512 tokens each."""

    kind: Literal["mooncake"]
    name_parts: ClassVar[tuple[str, ...]] = (".jsonl",)
    default_bytes: ClassVar[int] = 64 << 20
    preset: ClassVar[Preset] = Preset(
        source="Qin et al., FAST 2025 (https://github.com/kvcache-ai/Mooncake, FAST25-release)",
        example='{"timestamp": 3000, "input_length": 915, "output_length": 355, "hash_ids": [0, 462]}',
        layout=Layout(key=("hash_ids",), time="timestamp", time_unit="ms"),
    )

    def table(self) -> RawTable:
        """The lines."""
        return JsonTable(self.file)
