"""What workloads have in common: settings that build them; and what generators share.

A generator's accesses are made in blocks of a fixed length, so that a trace never depends on batching.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from simulator.config import Bytes, Count, Ratio
from simulator.plugins import PluginSettings
from simulator.seeds import generator
from simulator.trace import MOST_BYTES, Batch, Workload, make_batch

BATCH = 1 << 16
Keys = npt.NDArray[np.uint64]
Reuse = Literal["block", "prefix"]
BlockBytes = Annotated[Bytes, Field(lt=MOST_BYTES)]
Key = Annotated[int, Field(ge=0, lt=2**63)]
DEFAULT_BLOCK = "64 KiB"


class SourceSettings(PluginSettings):
    """The settings of a workload. The first line of a subclass's docstring is what ``tierfetch policies`` lists.

    Attributes:
        features: The columns of its own that its accesses have, where all its traces have the same.
        lives_by_times: Its accesses say little without their arrival times: a closed loop makes another workload of it.
    """

    features: ClassVar[tuple[str, ...]] = ()
    lives_by_times: ClassVar[bool] = False

    @classmethod
    def choices(cls) -> dict[str, list[str]]:
        """What a setting is one of, where its type does not say it."""
        return {}

    @property
    def experts_of_layer(self) -> int:
        """How many experts a layer has, if its blocks are experts, layer by layer; else 0."""
        return 0

    def build(self, seed: int, name: str = "source") -> Workload:
        """The workload. ``name`` keys its random numbers, so that two alike parts of one workload differ.

        Raises:
            InputError: a trace file is missing; a bad one is found out while it is read.
        """
        raise NotImplementedError

    def files(self) -> list[Path]:
        """The trace files that it reads."""
        return []

    @property
    def depends_on_seed(self) -> bool:
        """Whether another seed may give other accesses."""
        return True

    @property
    def has_times(self) -> bool:
        """Whether its accesses carry the times of their arrival."""
        return False

    @property
    def tokens_of_block(self) -> int | None:
        """How many tokens a block of a KV cache holds, where the workload knows."""
        return None

    @property
    def has_whole_requests(self) -> bool | None:
        """Whether answers are part of the requests that they answer, as where requests have a life; None: has none."""
        return None

    @property
    def reuse(self) -> Reuse:
        """What of a request is of use where a block is missing: each block, or those before it alone (rule R41)."""
        return "block"


class GeneratorSettings(SourceSettings):
    """What all generators of one stream have."""

    accesses: Count
    """How many there are."""
    block: BlockBytes = Field(DEFAULT_BLOCK, validate_default=True)
    """The size of every block."""
    write_ratio: Ratio = 0.0
    """Share of the accesses that are writes, drawn."""
    first_key: Key = 0
    """Where its keys start, so that parts of a workload may share none."""


S = TypeVar("S", bound=SourceSettings)
G = TypeVar("G", bound=GeneratorSettings)


class Generated(Generic[S]):
    """A workload of one stream that is drawn."""

    n_streams = 1
    stream_ids: npt.NDArray[np.uint64] | None = None

    def __init__(self, config: S, seed: int, name: str) -> None:
        self.config = config
        self.seed = seed
        self.name = name

    def rng(self, purpose: str) -> np.random.Generator:
        """This workload's random numbers for one purpose."""
        return generator(self.seed, "workload", self.name, purpose)


class KeyGenerator(Generated[G], ABC):
    """A synthetic workload of one stream: keys in [first_key, ...), all blocks of one size."""

    def length(self) -> int:
        """How many accesses there are."""
        return self.config.accesses

    @abstractmethod
    def keys(self) -> Iterator[Keys]:
        """Endless keys, in pieces of any length, from the start."""

    def batches(self) -> Iterator[Batch]:
        """The trace, from its start."""
        made, n = 0, self.config.accesses
        ops = self.rng("ops")
        for piece in self.keys():
            keys = piece[: n - made]
            columns: dict[str, Any] = {"size_bytes": self.config.block}
            if self.config.write_ratio:
                columns["op"] = ops.random(len(keys)) < self.config.write_ratio
            yield make_batch(keys, made, **columns)
            made += len(keys)
            if made >= n:
                return
