"""The settings of the LSTM; everything here shapes the model or its use. No torch in sight."""

from typing import Annotated, Literal

from pydantic import Field

from simulator.config import Count, Ratio, Strict

PositiveFloat = Annotated[float, Field(gt=0)]


class LstmConfig(Strict):
    """Architecture, encoding, training and thresholds."""

    kind: Literal["lstm"]
    encoding: Literal["key", "delta"] = "key"
    vocabulary: Count = 1024
    embedding: Count = 64
    hidden: Count = 64
    layers: Count = 2
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    window: Annotated[int, Field(ge=1, le=4096)] = 16
    per_stream: bool = True
    epochs: Count = 20
    batch_size: Count = 16
    learning_rate: PositiveFloat = 5e-3
    clip_norm: PositiveFloat = 1.0
    threshold: Ratio = 0.5
    degree: Count = 1
    trigger: Literal["miss", "tagged", "access"] = "access"
    device: Literal["auto", "cuda", "cpu"] = "auto"
    in_gpu_memory: bool = True

    def shaping(self) -> dict[str, object]:
        """What the trained weights depend on."""
        return self.model_dump(exclude={"kind", "threshold", "degree", "trigger", "device", "in_gpu_memory"})
