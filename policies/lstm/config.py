"""The settings of the LSTM; everything here shapes the model or its use. No torch in sight."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from policies.base import PolicySettings
from policies.given import Built, Given
from simulator.config import Count, Ratio

PositiveFloat = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
_ON_CPU_ALONE = ("compiled", "onnx")


class LstmConfig(PolicySettings):
    """An LSTM trained on the first part of the trace; its own inference time is charged."""

    kind: Literal["lstm"]
    encoding: Literal["key", "delta", "page_offset"] = "key"
    vocabulary: Annotated[int, Field(ge=1, le=2**20)] = 1024
    page_blocks: Annotated[int, Field(ge=1, le=2**16)] = 64
    per_stream: bool = True

    embedding: Annotated[int, Field(ge=2, le=4096)] = 64
    hidden: Annotated[int, Field(ge=1, le=4096)] = 64
    layers: Annotated[int, Field(ge=1, le=16)] = 2
    dropout: Share = 0.1
    targets: Literal["reads", "all"] = "reads"
    horizons: Annotated[tuple[Count, ...], Field(min_length=1, max_length=16, strict=False)] = (1,)

    inference: Literal["stateful", "window"] = "stateful"
    window: Annotated[int, Field(ge=1, le=4096)] = 16
    epochs: Count = 20
    batch_size: Annotated[int, Field(ge=1, le=2**16)] = 16
    learning_rate: PositiveFloat = 1e-2
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    clip_norm: PositiveFloat = 1.0
    validation_ratio: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    patience: Count = 6

    horizon: Literal["auto"] | Count = "auto"
    expand: Literal["top_k", "rollout"] = "top_k"
    degree: Annotated[int, Field(ge=1, le=1024)] = 1
    rule: Literal["threshold", "cost"] = "threshold"
    threshold: Ratio = 0.5

    trigger: Literal["miss", "tagged", "access"] = "access"
    predictions: Literal["one_by_one", "batched"] = "one_by_one"
    device: Literal["auto", "cuda", "cpu"] = "auto"
    backend: Literal["auto", "eager", "compiled", "onnx", "cuda_graph"] = "auto"
    in_gpu_memory: bool = True

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
        if self.expand == "rollout" and self.predictions == "batched":
            raise ValueError("expand: 'rollout' goes with predictions: one_by_one; expected top_k")
        if self.backend == "cuda_graph" and self.device == "cpu":
            raise ValueError("backend: 'cuda_graph' goes with device: cuda or auto")
        if self.backend in _ON_CPU_ALONE and self.device == "cuda":
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
        if self.device == "cuda" or self.backend != "auto":
            from policies.lstm.backends.registry import BACKENDS
            from policies.models.device import pick_device

            device = pick_device(self.wanted_device)
            if self.backend != "auto":
                BACKENDS.named(self.backend, device.type)

    @property
    def wanted_device(self) -> Literal["auto", "cuda", "cpu"]:
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
        names |= {"trigger", "per_stream"} | ({"window"} if self.inference == "window" else set())
        return self.model_dump(mode="json", include=names)


_USE = {
    "kind", "horizon", "expand", "degree", "rule", "threshold", "trigger", "predictions", "device", "backend",
    "in_gpu_memory",
}  # fmt: skip
