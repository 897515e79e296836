"""Requests to language models of which only arrivals and numbers of tokens are known."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from workloads.base import Reuse
from workloads.readers.layout import Layout
from workloads.readers.presets.by_names import ByNames, fitted
from workloads.readers.presets.kv_cache import TOKEN_BYTES
from workloads.readers.presets.token_blocks import TokenTable
from workloads.readers.raw import RawTable
from workloads.readers.row_format import Preset
from workloads.readers.text_table import Dialect, TextTable

BlockTokens = Annotated[int, Field(ge=1, le=1 << 20)]
_READING = (
    "a request reads ceil(prompt / block_tokens) blocks and writes ceil(generated / block_tokens), all of its own: the "
    "trace does not say what is shared, so no block is read twice"
)


class TokenFormat(ByNames):
    """A table of requests by their numbers of tokens: ``block_tokens`` of them make a block.

    The size of a block is ``block``, or 128 KiB for each of its tokens.
    """

    block_tokens: BlockTokens = 16
    """Tokens of a KV-cache block."""
    prompt: ClassVar[str]
    generated: ClassVar[str]

    def table(self) -> RawTable:
        """The rows, as blocks."""
        table = TextTable(self.file, Dialect(","))
        return TokenTable(self.file, table, self.prompt, self.generated, self.block_tokens)

    def columns_of(self, names: Sequence[str]) -> Layout:
        """As published. Raises InputError if a column is not there."""
        fitted(self.file, Layout(key=(self.prompt, self.generated)), names[3:], ())
        return replace(super().columns_of(names), block=self.block_tokens * TOKEN_BYTES)

    @property
    def tokens_of_block(self) -> int:
        """As the settings say."""
        return self.block_tokens

    @property
    def reuse(self) -> Reuse:
        """Of prefixes."""
        return "prefix"


def _layout(time: str, unit: Literal["ns", "s"]) -> Layout:
    return Layout(key=("blocks",), time=time, time_unit=unit, request=("request",), op="op")


class AzureLlmConfig(TokenFormat):
    """Azure's LLM inference, 2023 to 2025: TIMESTAMP, ContextTokens, GeneratedTokens, as blocks that nobody shares.

    ``block_tokens`` tokens make a block.
    """

    kind: Literal["azure_llm"]
    marks = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
    prompt = "ContextTokens"
    generated = "GeneratedTokens"
    preset: ClassVar[Preset] = Preset(
        source="Patel et al., ISCA 2024; https://github.com/Azure/AzurePublicDataset",
        example="TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44",
        layout=_layout("TIMESTAMP", "ns"),
        reading=_READING,
    )


class BurstGptConfig(TokenFormat):
    """BurstGPT: Timestamp in s, Model, Request tokens, Response tokens, as blocks that nobody shares.

    ``block_tokens`` tokens make a block. Requests that failed have no response, and write nothing.
    """

    kind: Literal["burstgpt"]
    marks = ("Timestamp", "Request tokens", "Response tokens")
    prompt = "Request tokens"
    generated = "Response tokens"
    preset: ClassVar[Preset] = Preset(
        source="Wang et al., arXiv 2401.17644; https://github.com/HPMLL/BurstGPT",
        example="Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
        "5,ChatGPT,472,18,490,Conversation log",
        layout=_layout("Timestamp", "s"),
        reading=_READING,
    )


class VidurConfig(TokenFormat):
    """Vidur's processed traces: arrived_at in s, num_prefill_tokens, num_decode_tokens, as blocks that nobody shares.

    ``block_tokens`` tokens make a block. Some files have no arrivals.
    """

    kind: Literal["vidur"]
    marks = ("num_prefill_tokens", "num_decode_tokens")
    optional = ("arrived_at",)
    prompt = "num_prefill_tokens"
    generated = "num_decode_tokens"
    preset: ClassVar[Preset] = Preset(
        source="Agrawal et al., MLSys 2024; https://github.com/microsoft/vidur, data/processed_traces",
        example="arrived_at,num_prefill_tokens,num_decode_tokens\n4.314579,396,109",
        layout=_layout("arrived_at", "s"),
        reading=_READING,
    )
