"""Experts of a mixture-of-experts model, layer by layer, as tokens are sent to them.

What is modelled, after published routing (docs/gpu_workloads.md): layers in a fixed order for every token; ``top_k``
experts a layer, chosen by a popularity that depends on the layer and on what a request is about; a token whose first
expert is that of the token before it more often than chance, by layer; several requests decoded side by side, which
need the union of their experts at each layer. Not modelled: that the choice in one layer says something of the next,
prompts (all tokens are decoded one by one), capacity limits, and shared experts, which always stay.
"""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from simulator.config import Count, Ratio
from simulator.trace import Batch, make_batch
from workloads.base import BlockBytes, Generated, Key, SourceSettings
from workloads.catalogue import LanguageModel, model_named, with_experts

_TOKENS = 64
_FEATURES = ("layer", "token", "session")
_NO_TOKEN = -1
Experts = npt.NDArray[np.int64]


class MoeExpertsConfig(SourceSettings):
    """Experts that tokens of generated requests are sent to, layer by layer; the key is layer and expert."""

    kind: Literal["moe_experts"]
    accesses: Count
    """How many there are: those of the last layer in which they run out are left out."""
    model: str = "mixtral-8x7b"
    """A model with experts, of the catalogue: layers, experts, how many a token is sent to, and how large one is."""
    weights: Literal["bf16", "fp16", "fp8", "int8", "int4", "mxfp4"] = "bf16"
    """How its weights are kept, which says how large an expert is."""
    block: BlockBytes | None = None
    """The size of an expert, in place of the catalogue's."""
    layers: Count | None = None
    """Its first layers with experts alone; null: all."""
    batch: Annotated[int, Field(ge=1, le=4096)] = 1
    """Requests that are decoded side by side: each layer is asked for the union of their experts."""
    tokens: Count = 256
    """Tokens of a request on the average, drawn from a geometric law; then another one takes its place."""
    topics: Count = 8
    """What requests are about, one each: each topic has experts of its own that it prefers."""
    skew: Annotated[float, Field(ge=0, le=10)] = 0.6
    """How uneven experts are chosen: the one of rank r in proportion to 1 / r**skew; 0: all alike."""
    topic_share: Ratio = 0.5
    """How much of that is the topic's own; the rest all topics share."""
    persistence: tuple[Ratio, ...] = Field((0.14, 0.26, 0.23), min_length=1, max_length=256, strict=False)
    """How often the first expert is the one of the token before: from the first layer to the last, between them in
    straight lines. Where chance does so more often already, as often as that."""
    first_key: Key = 0
    """Where its keys start."""

    features: ClassVar[tuple[str, ...]] = _FEATURES

    @classmethod
    def choices(cls) -> dict[str, list[str]]:
        """The models that have some."""
        return {"model": with_experts()}

    @property
    def experts_of_layer(self) -> int:
        """As the catalogue has it."""
        return self.of.experts

    @model_validator(mode="after")
    def _fits(self) -> Self:
        named = model_named(self.model)
        named.expert_bytes(self.weights)
        if self.layers is not None and self.layers > named.moe_layers:
            raise ValueError(f"layers: {self.layers}; expected at most {named.moe_layers}, as {self.model} has")
        return self

    @property
    def of(self) -> LanguageModel:
        """The model."""
        return model_named(self.model)

    @property
    def n_layers(self) -> int:
        """Layers that are asked for experts."""
        return self.layers or self.of.moe_layers

    @property
    def expert_bytes(self) -> int:
        """How large one is."""
        return self.block or self.of.expert_bytes(self.weights)

    def repeats(self) -> npt.NDArray[np.float64]:
        """``persistence`` of each layer (layers,)."""
        given = np.linspace(0, 1, len(self.persistence))
        return np.interp(np.linspace(0, 1, self.n_layers), given, self.persistence)

    def build(self, seed: int, name: str = "source") -> "MoeExperts":
        """The workload of a seed."""
        return MoeExperts(self, seed, name)


class MoeExperts(Generated[MoeExpertsConfig]):
    """One stream; a request is the experts that a layer needs for the tokens of a step. Keys: layer * experts + expert.

    Features: ``layer``, ``token`` (the number of the step) and ``session`` (the number of the request that an expert is
    needed for, the first of them where there are several).
    """

    def length(self) -> int:
        """How many accesses there are."""
        return self.config.accesses

    def popularity(self) -> npt.NDArray[np.float64]:
        """How often each expert is chosen first, (topics, layers, experts): shares of 1."""
        config, n_experts = self.config, self.config.of.experts
        rng, ranks = self.rng("popularity"), np.arange(1, n_experts + 1, dtype=np.float64) ** -config.skew
        shape = (config.n_layers, n_experts)
        common = ranks[rng.permuted(np.broadcast_to(np.arange(n_experts), shape), axis=1)]
        own = ranks[rng.permuted(np.broadcast_to(np.arange(n_experts), (config.topics, *shape)), axis=2)]
        mixed = (1 - config.topic_share) * common + config.topic_share * own
        shares: npt.NDArray[np.float64] = mixed / mixed.sum(axis=2, keepdims=True)
        return shares

    def batches(self) -> Iterator[Batch]:
        """The trace, from its start."""
        made = step = request = 0
        for experts, sessions in self._steps():
            for i in range(len(experts)):
                batch = self._layers(experts[i], sessions, step, request)
                step, request = step + 1, request + self.config.n_layers
                batch = batch[: self.config.accesses - made]
                made += len(batch)
                yield batch
                if made == self.config.accesses:
                    return

    def _layers(self, experts: Experts, sessions: Experts, step: int, request: int) -> Batch:
        """The accesses of a step, from the experts (layers, batch, top_k) of its tokens: each once a layer."""
        n_layers, n_experts = self.config.n_layers, self.config.of.experts
        layer = np.arange(n_layers)[:, None, None]
        keys = (layer * n_experts + experts).reshape(-1)
        # By layer, and there in the order of the requests: whose it is first keeps its place.
        _, first = np.unique(keys, return_index=True)
        first.sort()
        of = keys[first] // n_experts
        who = np.broadcast_to(sessions[None, :, None], experts.shape).reshape(-1)[first]
        columns: dict[str, Any] = {"request": request + of, "size_bytes": self.config.expert_bytes}
        features = dict(zip(_FEATURES, (of, np.full(len(of), step), who), strict=True))
        return make_batch(keys[first] + self.config.first_key, **columns, features=features)

    def _steps(self) -> Iterator[tuple[Experts, Experts]]:
        """The experts (steps, layers, batch, top_k) of some steps at once, and whose each place in the batch is."""
        config, shares = self.config, self.popularity()
        rng, lengths = self.rng("experts"), self.rng("lengths")
        chance = (shares**2).sum(axis=2)
        # A token that keeps its first expert does so beside those that would have it again by chance.
        keep = np.clip((config.repeats() - chance) / (1 - chance + 1e-12), 0, 1)
        topics, left = np.zeros(config.batch, np.int64), np.zeros(config.batch, np.int64)
        sessions, n_sessions = np.zeros(config.batch, np.int64), 0
        before = np.full((config.n_layers, config.batch), _NO_TOKEN)
        while True:
            over = np.flatnonzero(left == 0)
            left[over] = lengths.geometric(1 / config.tokens, len(over))
            topics[over] = lengths.integers(config.topics, size=len(over))
            sessions[over] = n_sessions + np.arange(len(over))
            n_sessions += len(over)
            before[:, over] = _NO_TOKEN
            n = int(min(left.min(), _TOKENS))
            experts = self._some(rng, np.log(shares[topics]), keep[topics].T, before, n)
            before = experts[-1, :, :, 0]
            left -= n
            yield experts, sessions.copy()

    def _some(
        self,
        rng: np.random.Generator,
        logs: npt.NDArray[np.float64],
        keep: npt.NDArray[np.float64],
        before: Experts,
        n: int,
    ) -> Experts:
        """Experts (n, layers, batch, top_k) of tokens that go on from the first experts ``before`` (layers, batch)."""
        top_k = self.config.of.top_k
        # The largest of shares with Gumbel noise are drawn without putting back.
        noisy = logs.swapaxes(0, 1)[None] + rng.gumbel(size=(n, *before.shape, logs.shape[2]))
        first = noisy.argmax(axis=3)
        is_kept = rng.random((n, *before.shape)) < keep[None]
        is_kept[0] &= before != _NO_TOKEN
        # The newest token that drew its own, or the one before all.
        since = np.maximum.accumulate(np.where(is_kept, -1, np.arange(n)[:, None, None]), axis=0)
        drawn = np.take_along_axis(first, np.maximum(since, 0), axis=0)
        first = np.where(since >= 0, drawn, before[None])
        # The first expert is surest; others follow by their own noise.
        np.put_along_axis(noisy, first[..., None], np.inf, axis=3)
        found: Experts = np.argsort(-noisy, axis=3, kind="stable")[..., :top_k]
        return found
