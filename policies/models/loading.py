"""Networks and weights from files and classes. Nothing is unpickled: who wrote a pickle could run any code here."""

import inspect
import json
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from policies.models.config import ModelConfig
from policies.models.nets.settings import NETS
from policies.models.store import check_finite, is_ours, read, vocabularies_in
from simulator.classes import class_of as outside_class
from simulator.classes import validated
from simulator.errors import InputError, frames_of

_NO_PICKLE = "is a pickle, which could run any code when it is read"
_FORCE = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
# What a package of compiled code is kept under: libraries that would be loaded.
_COMPILED_CODE = "aotinductor"
_TENSORS = ("weight_", "tensor_")


def one_line(error: BaseException) -> str:
    """The beginning of a message, as one line."""
    return " ".join(str(error).split())[:300]


def class_of(config: ModelConfig) -> type[nn.Module]:
    """The class of a network. Raises InputError if it is not there, or is no module."""
    if config.is_net:
        module, _, name = NETS[config.model][0].partition(":")
        net: type[nn.Module] = getattr(import_module(module), name)
        return net
    found: Any = outside_class(config.model, config._beside, "a torch.nn.Module").object
    if not issubclass(found, nn.Module):
        raise InputError(f"policy.model: {config.model}: is {found!r}; expected a torch.nn.Module")
    return cast("type[nn.Module]", found)


def arguments(config: ModelConfig, kind: type, sizes: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """What a class is made with: its settings, and of the sizes those that its constructor names.

    Raises:
        InputError: a setting is none of its arguments, is of another type, or one is missing.
    """
    settings = NETS[config.model][1].model_validate(config.settings) if config.is_net else None
    named = {name: size for name, size in sizes.items() if name in inspect.signature(kind).parameters}
    if settings is not None:
        return [], {**named, **settings.model_dump()}
    try:
        if isinstance(getattr(kind, "Settings", None), type):
            return [validated(kind, config.settings)], named
        checked = validated(kind, {**named, **config.settings})
    except InputError as error:
        raise InputError(*(f"policy.{line}" for line in error.args)) from None
    return [], {name: getattr(checked, name) for name in checked.model_fields_set}


def new_module(config: ModelConfig, n_inputs: Sequence[int], n_scores: int | None) -> nn.Module:
    """A network of a class, untrained. Raises InputError if its class cannot be made with these settings."""
    kind = class_of(config)
    sizes = {"n_inputs": tuple(n_inputs), "n_scores": n_scores, "window": config.window}
    given, named = arguments(config, kind, {name: size for name, size in sizes.items() if size})
    try:
        return kind(*given, **named)
    except Exception as error:
        at = "".join(f"; {frame}" for frame in frames_of(error)[-1:] if "site-packages" not in frame)
        raise InputError(
            f"policy.settings: {config.model}: {kind.__name__} cannot be made: {type(error).__name__}: "
            f"{one_line(error)}{at}"
        ) from None


def weights_in(path: Path) -> tuple[dict[str, Tensor], float | None]:
    """A state_dict from safetensors, or from a ``.pt`` that holds nothing else; and the temperature if it has one.

    Raises:
        InputError: it is not there, damaged, a pickle of something else, or has values that are no numbers.
    """
    if path.suffix == ".safetensors":
        tensors, metadata = read(path)
        vocabularies_in(tensors)
        return tensors, _temperature(metadata) if is_ours(*read(path)) else None
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"policy.weights: {path}: no such file; expected safetensors, or a state_dict") from None
    except Exception as error:
        if "weights_only" in str(error) or "Weights only" in str(error):
            raise InputError(
                f"policy.weights: {path}: holds more than tensors: it {_NO_PICKLE}; expected "
                "torch.save(net.state_dict(), path) or safetensors"
            ) from None
        raise InputError(f"policy.weights: {path}: is damaged or no state_dict: {one_line(error)}") from None
    if not isinstance(loaded, dict) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise InputError(f"policy.weights: {path}: holds a {type(loaded).__name__}; expected a state_dict of tensors")
    check_finite(loaded, path)
    return dict(loaded), None


def _temperature(metadata: dict[str, str]) -> float | None:
    """That of a model that was trained here for one horizon."""
    calibrations = list(json.loads(metadata["extra"])["calibrations"].values())
    return float(calibrations[0]["temperature"]) if len(calibrations) == 1 else None


def put(weights: dict[str, Tensor], module: nn.Module, path: Path) -> None:
    """Give a network its weights. Raises InputError if they are another's."""
    wanted = module.state_dict()
    problems = [f"{name} is missing" for name in wanted if name not in weights]
    problems += [f"{name} is not its" for name in weights if name not in wanted]
    problems += [
        f"{name} is {tuple(weights[name].shape)}, not {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in weights and weights[name].shape != tensor.shape
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise InputError(
            f"policy.weights: {path}: do not fit {type(module).__name__}: {'; '.join(problems[:3])}{more}; expected "
            "weights of this network, with these settings and this encoder"
        )
    module.load_state_dict(weights)


@contextmanager
def _no_pickles() -> Iterator[None]:
    """Whatever torch reads meanwhile, it reads tensors alone."""
    before = os.environ.get(_FORCE)
    os.environ[_FORCE] = "1"
    # It would print tracebacks before it raises.
    logger = logging.getLogger("torch.export")
    is_disabled, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = is_disabled
        if before is None:
            del os.environ[_FORCE]
        else:
            os.environ[_FORCE] = before


def _check_exported(path: Path) -> None:
    """Nothing but tensors and a graph is in it. Raises InputError if there is."""
    archive = torch._C.PyTorchFileReader(str(path))
    for record in archive.get_all_records():
        if _COMPILED_CODE in record:
            raise InputError(f"policy.model: {path}: has compiled code in it, {record}; expected torch.export.save")
        if record.endswith("_config.json"):
            for name, payload in json.loads(archive.get_record(record)).get("config", {}).items():
                if payload.get("use_pickle") or not str(payload.get("path_name", "")).startswith(_TENSORS):
                    raise InputError(f"policy.model: {path}: {name} in it {_NO_PICKLE}; expected tensors alone")


def exported(path: Path, *, is_carried: bool) -> tuple[nn.Module, Any]:
    """What ``torch.export.save`` wrote, and the state that it begins with: zeros, of the shapes of its example's.

    Raises:
        InputError: it is damaged, needs to be unpickled, or takes no state where one is carried.
    """
    try:
        _check_exported(path)
        with _no_pickles():
            program = torch.export.load(path)
            module = program.module()
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"policy.model: {path}: is damaged or was not written by torch.export.save: {type(error).__name__}: "
            f"{one_line(error)}"
        ) from None
    check_finite(program.state_dict, path)
    if not is_carried:
        return module, None
    given: Any = program.example_inputs[0] if program.example_inputs else ()
    if len(given) != 2:
        raise InputError(
            f"policy.model: {path}: was exported with {len(given)} inputs; expected classes and a state, or context: "
            "{window: 16} for a network that carries none"
        )
    return module, tree_map(lambda part: torch.zeros_like(part) if isinstance(part, Tensor) else part, given[1])


def scripted(path: Path) -> nn.Module:
    """TorchScript. Raises InputError if it is damaged, or something else: pickled modules are not read."""
    try:
        with warnings.catch_warnings():
            # torch would rather have torch.export; what is there in this form is read all the same.
            warnings.simplefilter("ignore")
            module: nn.Module = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
    except Exception as error:
        if "constants.pkl" in str(error):
            raise InputError(
                f"policy.model: {path}: {_NO_PICKLE}; expected TorchScript, torch.export.save, or a class with "
                "weights: its state_dict"
            ) from None
        raise InputError(f"policy.model: {path}: is damaged or no TorchScript: {one_line(error)}") from None
    check_finite(module.state_dict(), path)
    return module.eval()
