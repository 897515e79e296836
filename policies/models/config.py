"""The settings of ``kind: model``: which network, what it reads, and how it is run. No torch in sight."""

import hashlib
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ValidationError, model_validator

from policies.base import TriggerName
from policies.given import Built, Given
from policies.models.codecs.names import ENCODINGS, OF_SETS
from policies.models.nets.settings import CARRIES, NETS
from policies.models.training import PositiveFloat, TargetKind, TrainConfig, Updatable
from policies.models.where import Where, is_cuda
from simulator.config import Ratio, Strict
from simulator.errors import InputError
from simulator.outside import find, is_reference
from simulator.places import place_of
from simulator.quantities import PathText

EXPORTED, SCRIPTED, ONNX = ".pt2", ".pt", ".onnx"
_FILES = (EXPORTED, SCRIPTED, ONNX)


class WindowConfig(Strict):
    """The last accesses, run from the beginning at every question; unknown ones stand before the first."""

    window: Annotated[int, Field(ge=1, le=4096)] = 16
    """Accesses of a window."""


class ModelSchedule(TrainConfig):
    """A ``policies.models.schedule.Schedule``: the settings of ``train``, and what the model's own say."""

    horizons: tuple[int, ...]
    target: TargetKind
    is_carried: bool


class ModelConfig(Updatable):
    """Any network: your own class, an exported file, or one that comes with it; its inference time is charged."""

    newer: ClassVar[tuple[str, ...]] = ("update", "columns")

    kind: Literal["model"]
    model: Annotated[str, Field(min_length=1)]
    """A network that comes with it, a class (my.nets:Net, ./nets.py:Net), or a file: .pt2, TorchScript .pt, .onnx."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Handed to the network's class."""
    weights: PathText | None = None
    """Weights of a class: safetensors, or a state_dict as .pt; a file has its own."""

    encoder: Annotated[str, Field(min_length=1)] = "key"
    """Turns accesses into inputs and scores into keys: one of ours (key, delta, ...), or a class as ./enc.py:Enc."""
    encoder_settings: dict[str, Any] = Field(default_factory=dict)
    """Handed to the encoder's class."""
    vocabulary: Annotated[int, Field(ge=1, le=2**20)] = 1024
    """Most frequent classes of the training part; all others are one unknown class."""
    vocabularies: PathText | None = None
    """A file of classes, in place of those of the training part: which class is which key, step or page."""
    page_blocks: Annotated[int, Field(ge=1, le=2**16)] = 64
    """Blocks of a page, with `encoder: page_offset` or `delta_offset`."""
    columns: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(max_length=16, strict=False)] = ()
    """Columns of the trace that an encoder of ours reads, too: features as `pc` or `layer`, or `op`, `position`, ..."""
    per_stream: bool = True
    """Whether each stream has a history of its own."""
    context: Literal["carried"] | WindowConfig = "carried"
    """What a question runs: the newest access, with a state that is carried, or a window of the last ones."""
    horizon: Annotated[int, Field(ge=1, le=2**16)] = 1
    """How many accesses ahead its answer is about."""
    target: TargetKind = "access"
    """What that is: the `access` so far ahead, or the `set` of all blocks that are needed up to there."""
    train: TrainConfig | None = None
    """How it is trained on the training part; null: not at all, it comes with weights."""

    degree: Annotated[int, Field(ge=1, le=1024)] = 1
    """Blocks to ask for at once: its best guesses."""
    rule: Literal["threshold", "cost"] = "threshold"
    """Which guesses are asked for: above `threshold`, or from where a prefetch pays (`cost`)."""
    threshold: Ratio = 0.5
    """The confidence from which on it prefetches, with `rule: threshold`."""
    temperature: PositiveFloat | None = None
    """Divides scores before they are confidences; null: found as it is trained, else 1."""

    trigger: TriggerName = "access"
    """When it is asked: at every `access`, at a `miss`, or `tagged`: at misses and first uses of prefetched blocks."""
    device: Where = "auto"
    """Where it runs: `auto` (CUDA, else the CPU), `cpu`, `cuda`, `cuda:1`, or the UUID of a GPU or MIG instance."""
    backend: Literal["auto", "eager", "cuda_graph", "compile", "onnx"] = "auto"
    """What runs it; `auto`: the fastest in a short trial."""
    in_gpu_memory: bool = True
    """Whether its weights and states are taken off tier 0's capacity."""

    @model_validator(mode="after")
    def _fits(self) -> "ModelConfig":
        if not (self.is_net or self.is_file or is_reference(self.model)):
            raise ValueError(
                f"model: {self.model!r}; expected one of {', '.join(NETS)}, a file ending in {', '.join(_FILES)}, or a "
                "class such as my.nets:Net or ./nets.py:Net"
            )
        if not (self.is_ours or is_reference(self.encoder)):
            raise ValueError(
                f"encoder: {self.encoder!r}; expected one of {', '.join(ENCODINGS)}, or a class such as ./enc.py:Enc"
            )
        if self.is_net:
            self._net_settings()
            if self.is_carried and self.model not in CARRIES:
                raise ValueError(f"context: {self.model!r} carries no state; expected {{window: 16}} or the like")
        if self.is_file and (self.settings or self.weights or self.train):
            said = next(n for n in ("settings", "weights", "train") if getattr(self, n))
            raise ValueError(f"{said}: goes with a class, but model is a file, which has its own; expected none")
        if not self.is_file and self.weights is None and self.train is None:
            raise ValueError("weights: is missing, and so is train; expected a file of weights, or train: {epochs: 20}")
        if self.weights is not None and self.train is not None:
            raise ValueError("train: starts from nothing, but there are weights; expected one of the two")
        if self.update is not None and self.train is None:
            raise ValueError("update: goes on with what train began; expected train: {epochs: 20} or the like")
        if self.columns and not self.is_ours:
            raise ValueError("columns: go with an encoder of ours; one of your own names them in needs; expected none")
        if len(set(self.columns)) < len(self.columns):
            raise ValueError(f"columns: expected different names, got {list(self.columns)}")
        if self.is_ours and self.encoder_settings:
            raise ValueError("encoder_settings: go with a class; expected vocabulary and page_blocks")
        if self.target == "set" and self.encoder not in OF_SETS:
            raise ValueError(
                f"target: a 'set' is of classes that stand for a block each, but encoder is {self.encoder!r}; expected "
                f"one of {', '.join(OF_SETS)}, or target: access"
            )
        if self.vocabularies is not None and (self.train is not None or not self.is_ours):
            raise ValueError("vocabularies: go with an encoder of ours that is not trained with; expected none")
        if self.temperature is not None and (self.train is not None or not self.is_ours):
            raise ValueError("temperature: goes with an encoder of ours and no train, which finds one; expected none")
        if self.backend == "cuda_graph" and self.device == "cpu":
            raise ValueError("backend: 'cuda_graph' goes with device: cuda or auto")
        runs_on_cpu = self.backend == "onnx" or self.model.endswith(ONNX)
        if runs_on_cpu and is_cuda(self.device):
            raise ValueError("device: ONNX Runtime runs on the CPU here; expected cpu or auto")
        if self.model.endswith(ONNX) and self.backend not in ("auto", "onnx"):
            raise ValueError(f"backend: {self.backend!r} cannot run an ONNX file; expected onnx or auto")
        if self.model.endswith((EXPORTED, SCRIPTED)) and self.backend == "onnx":
            raise ValueError("backend: 'onnx' takes a class or an ONNX file; expected eager, compile or cuda_graph")
        return self

    def _net_settings(self) -> None:
        try:
            NETS[self.model][1].model_validate(self.settings)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(str(part) for part in ("settings", *first["loc"]))
            known = ", ".join(NETS[self.model][1].model_fields)
            raise ValueError(f"{key}: {first['msg']}; got {first['input']!r}; {self.model} has {known}") from None

    @property
    def is_net(self) -> bool:
        """Whether it is a network that comes with it."""
        return self.model in NETS

    @property
    def is_file(self) -> bool:
        """Whether it is a whole network in a file."""
        return self.model.endswith(_FILES) and not is_reference(self.model)

    @property
    def is_ours(self) -> bool:
        """Whether the encoder is one that comes with it."""
        return self.encoder in ENCODINGS

    @property
    def is_carried(self) -> bool:
        """Whether a state is carried from access to access."""
        return self.context == "carried"

    @property
    def window(self) -> int | None:
        """Accesses of a window; None where a state is carried."""
        return self.context.window if isinstance(self.context, WindowConfig) else None

    @property
    def steps(self) -> int:
        """Accesses that a question runs through the network, of a policy that is asked at each."""
        return self.window or 1

    @property
    def wanted_device(self) -> str:
        """``device``, but the CPU where ``auto`` meets what runs nowhere else."""
        runs_on_cpu = self.backend == "onnx" or self.model.endswith(ONNX)
        return "cpu" if self.device == "auto" and runs_on_cpu else self.device

    @property
    def learns(self) -> bool:
        """Unless weights and vocabularies come along: an encoder is fitted to the training part, too."""
        return self.vocabularies is None

    @property
    def is_measured(self) -> bool:
        """Its calls are, whether it learns or not."""
        return True

    @property
    def schedule(self) -> ModelSchedule:
        """How it is trained. Only where it is."""
        assert self.train is not None
        said = {**self.train.model_dump(), "window": self.window or self.train.window}
        return ModelSchedule(**said, horizons=(self.horizon,), target=self.target, is_carried=self.is_carried)

    def place(self, path: str) -> Path:
        """Where a file that these settings name lies."""
        return place_of(path, self._beside)

    def build(self, given: Given) -> Built:
        """Trained, or loaded; checked against its encoder; warmed up."""
        from policies.models.build import build_model

        return build_model(self, given)

    def prepare(self, given: Given) -> None:
        """Train it, if it is trained, and keep it."""
        if self.train is not None:
            from policies.models.build import prepare_model

            prepare_model(self, given)

    def check(self) -> None:
        """Find out before any run whether device, backend, files and classes are there, and can be loaded.

        Raises:
            InputError: one is not, or is damaged, or needs to be unpickled.
        """
        from policies.models.build import check_model

        check_model(self)

    def unrestrained(self) -> Self:
        """Every guess, however unsure."""
        return self.model_copy(update={"rule": "threshold", "threshold": 0.0})

    def backends(self) -> list[str]:
        """Those of the device that it would run on, but the one that takes long to make."""
        from policies.models.backends.registry import backends_of
        from policies.models.device import pick_device

        available = backends_of(self).available(pick_device(self.wanted_device).type)
        return [kind.name for kind in available if kind.is_tried]

    def fingerprint(self) -> str:
        """Of the model's file, weights, vocabularies, and the sources of classes."""
        parts = []
        if self.is_file:
            parts.append(self._digest("model", self.model))
        elif not self.is_net:
            parts.append(find(self.model, self._beside).sha256)
        if not self.is_ours:
            parts.append(find(self.encoder, self._beside).sha256)
        parts += [self._digest(name, path) for name in ("weights", "vocabularies") if (path := getattr(self, name))]
        return hashlib.sha256(" ".join(parts).encode()).hexdigest() if parts else ""

    def _digest(self, name: str, path: str) -> str:
        place = self.place(path)
        try:
            with place.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise InputError(
                f"policy.{name}: {path}: {error.strerror or error}; expected a file beside the config, or where the "
                "run starts"
            ) from None

    def shaping(self) -> dict[str, Any]:
        """What trained weights depend on, beside the training part and the sources of classes."""
        names = {
            "model", "settings", "encoder", "encoder_settings", "vocabulary", "page_blocks", "columns", "per_stream",
            "context", "horizon", "target", "train",
        }  # fmt: skip
        return self.model_dump(mode="json", include=names)

    @property
    def asks_for(self) -> tuple[str, ...]:
        """Its columns."""
        return self.columns

    def working(self) -> dict[str, Any]:
        """What the work of one inference depends on: recorded latencies fit where this is the same."""
        names = {
            "model", "settings", "encoder", "encoder_settings", "vocabulary", "page_blocks", "columns", "per_stream",
            "context", "degree", "trigger", "target",
        }  # fmt: skip
        return {**self.model_dump(mode="json", include=names), "fingerprint": self.fingerprint()}
