"""The settings of the LSTM; everything here shapes the model or its use. No torch in sight."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from policies.given import Built, Given
from policies.models.codecs.names import OF_SETS
from policies.models.training import TargetKind, TrainConfig, Updatable
from policies.models.where import Where, is_cuda
from simulator.config import Count, Ratio

Share = Annotated[float, Field(ge=0, lt=1)]
_ON_CPU_ALONE, _ON_CUDA_ALONE = ("compiled", "onnx"), ("cuda_graph", "triton")


class LstmConfig(TrainConfig, Updatable):
    """An LSTM trained on the first part of the trace; its own inference time is charged."""

    kind: Literal["lstm"]
    encoding: Literal["key", "delta", "delta_offset", "page_offset"] = "key"
    """Its classes: keys, steps between keys, steps beside offsets in pages, or pages and offsets with two heads."""
    vocabulary: Annotated[int, Field(ge=1, le=2**20)] = 1024
    """Most frequent classes of the training part; all others are one unknown class, which asks for nothing."""
    page_blocks: Annotated[int, Field(ge=1, le=2**16)] = 64
    """Blocks of a page, with `encoding: page_offset` or `delta_offset`."""
    per_stream: bool = True
    """Whether each stream has a history of its own."""

    embedding: Annotated[int, Field(ge=2, le=4096)] = 64
    """Numbers that stand for a class."""
    hidden: Annotated[int, Field(ge=1, le=4096)] = 64
    """Units of a layer."""
    layers: Annotated[int, Field(ge=1, le=16)] = 1
    """LSTM layers."""
    dropout: Share = 0.5
    """Share of activations dropped, in training alone."""
    epochs: Count = 12
    """Passes over the training part, at most."""
    horizons: Annotated[tuple[Count, ...], Field(min_length=1, max_length=16, strict=False)] = (1,)
    """How many accesses ahead it is trained to predict, in rising order: a head for each."""
    target: TargetKind = "access"
    """What is predicted: the `access` so far ahead, or the `set` of all blocks that are needed up to there."""

    inference: Literal["stateful", "window"] = "stateful"
    """`stateful` carries its state from question to question; `window` runs the last accesses again."""

    horizon: Literal["auto"] | Count = "auto"
    """Of `horizons`, the one that is used; `auto`: the nearest that leaves time for inference and transfer."""
    expand: Literal["top_k", "rollout"] = "top_k"
    """Several blocks are the best guesses for one access (`top_k`), or steps into the future (`rollout`)."""
    degree: Annotated[int, Field(ge=1, le=1024)] = 1
    """Blocks to ask for at once: best guesses, or steps."""
    rule: Literal["threshold", "cost"] = "threshold"
    """Which guesses are asked for: above `threshold`, or from the confidence on at which a prefetch pays (`cost`)."""
    threshold: Ratio = 0.5
    """The calibrated confidence from which on it prefetches, with `rule: threshold`."""

    trigger: Literal["miss", "tagged", "access"] = "access"
    """When it is asked: at every `access`, at a `miss`, or `tagged`: at misses and first uses of prefetched blocks."""
    predictions: Literal["one_by_one", "batched"] = "one_by_one"
    """`one_by_one`: a real call for each question; `batched`: beforehand, for charges that measure nothing."""
    device: Where = "auto"
    """Where it runs: `auto` (CUDA, else the CPU), `cpu`, `cuda`, `cuda:1`, or the UUID of a GPU or MIG instance."""
    backend: Literal["auto", "eager", "compiled", "onnx", "cuda_graph", "triton"] = "auto"
    """What runs it; `auto`: the fastest in a short trial."""
    in_gpu_memory: bool = True
    """Whether its weights and states are taken off tier 0's capacity."""

    @model_validator(mode="after")
    def _fits(self) -> "LstmConfig":
        if list(self.horizons) != sorted(set(self.horizons)):
            raise ValueError(f"horizons: expected different numbers in rising order, got {list(self.horizons)}")
        if self.horizon != "auto" and self.horizon not in self.horizons:
            raise ValueError(
                f"horizon: {self.horizon} is none of horizons {list(self.horizons)}; expected one, or auto"
            )
        if self.expand == "rollout" and (self.horizons if self.horizon == "auto" else (self.horizon,)) != (1,):
            raise ValueError("expand: 'rollout' walks access by access; expected horizon: 1, and 1 among horizons")
        if self.target == "set" and self.encoding not in OF_SETS:
            raise ValueError(f"target: 'set' goes with encoding: {' or '.join(OF_SETS)}, got {self.encoding!r}")
        if self.target == "set" and self.expand == "rollout":
            raise ValueError("expand: 'rollout' walks access by access; expected target: access")
        if self.expand == "rollout" and self.predictions == "batched":
            raise ValueError("expand: 'rollout' goes with predictions: one_by_one; expected top_k")
        if self.update is not None and self.predictions == "batched":
            raise ValueError("update: goes with predictions: one_by_one, as what it answers changes while it runs")
        if self.backend in _ON_CUDA_ALONE and self.device == "cpu":
            raise ValueError(f"backend: {self.backend!r} goes with device: cuda or auto")
        if self.backend in _ON_CPU_ALONE and is_cuda(self.device):
            raise ValueError(f"backend: {self.backend!r} runs on the CPU; expected device: cpu or auto")
        return self

    def build(self, given: Given) -> Built:
        """Trained, or kept from an earlier run."""
        from policies.lstm.build import build_lstm

        return build_lstm(self, given)

    def prepare(self, given: Given) -> None:
        """Train the model, and keep it."""
        from policies.lstm.build import prepare_lstm

        prepare_lstm(self, given)

    def check(self) -> None:
        """Find out before any run whether device and backend are there. Raises InputError if not."""
        if is_cuda(self.device) or self.backend != "auto":
            from policies.lstm.backends.registry import backends_of
            from policies.models.device import pick_device

            device = pick_device(self.wanted_device)
            if self.backend != "auto":
                backends_of(self).named(self.backend, device.type)

    @property
    def wanted_device(self) -> str:
        """``device``, but the CPU where ``auto`` meets a backend that runs nowhere else."""
        return "cpu" if self.device == "auto" and self.backend in _ON_CPU_ALONE else self.device

    @property
    def learns(self) -> bool:
        """It does."""
        return True

    @property
    def untimed(self) -> str:
        """Batches have no single call."""
        is_batched = self.predictions == "batched"
        return "goes with predictions: one_by_one, as no single call is made in batches" if is_batched else ""

    def unrestrained(self) -> Self:
        """Every guess, however unsure."""
        return self.model_copy(update={"rule": "threshold", "threshold": 0.0})

    def backends(self) -> list[str]:
        """Those of the device that it would run on."""
        from policies.lstm.backends.registry import backends_of
        from policies.models.device import pick_device

        return [kind.name for kind in backends_of(self).available(pick_device(self.wanted_device).type)]

    def run_by(self, backend: str) -> "LstmConfig":
        """See the base."""
        return self.model_copy(update={"backend": backend, "predictions": "one_by_one"})

    def beforehand(self) -> "LstmConfig":
        """A roll-out goes on from each state, an update is begun in the run; the order of streams it alone tells."""
        can = self.expand == "top_k" and self.per_stream and self.update is None
        return self.model_copy(update={"predictions": "batched" if can else "one_by_one"})

    @property
    def is_carried(self) -> bool:
        """Whether a state is carried from access to access."""
        return self.inference == "stateful"

    @property
    def steps(self) -> int:
        """Accesses that a question runs through the network, of a policy that is asked at each."""
        return self.window if self.inference == "window" else 1

    def shaping(self) -> dict[str, Any]:
        """What the trained weights depend on."""
        names = set(LstmConfig.model_fields) - _USE
        return self.model_dump(mode="json", include=names)

    def working(self) -> dict[str, Any]:
        """What the work of one inference depends on: recorded latencies fit where this is the same."""
        names = {
            "encoding",
            "vocabulary",
            "page_blocks",
            "embedding",
            "hidden",
            "layers",
            "inference",
            "expand",
            "degree",
        }
        names |= {"trigger", "per_stream", "target"} | ({"window"} if self.inference == "window" else set())
        return self.model_dump(mode="json", include=names)


_USE = {
    "kind", "update", "horizon", "expand", "degree", "rule", "threshold", "trigger", "predictions", "device", "backend",
    "in_gpu_memory",
}  # fmt: skip
