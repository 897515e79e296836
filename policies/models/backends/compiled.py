"""torch.compile: takes tens of seconds to make, so it is taken by its name alone."""

import shutil
import warnings
from typing import Any

import torch

from policies.models.backends.eager import Eager, EagerCuda
from policies.models.call import Runnable
from simulator.errors import InputError

_COMPILERS = ("c++", "g++", "clang++")


def _compiled(network: Runnable, backend: Eager) -> Any:
    """The network's module, compiled, and run once. Raises InputError if it cannot be."""
    assert network.module is not None
    try:
        with warnings.catch_warnings():
            # Torch's own, about its own code.
            warnings.simplefilter("ignore")
            module = torch.compile(network.module)
            backend._module = module
            for inputs in network.samples(network.window or 1):
                backend.advance(inputs, [backend.new_state()])
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        raise InputError(
            f"policy.backend: 'compile' cannot compile {network.name}: {type(error).__name__}: {text}; expected eager"
        ) from None
    return module


class Compile(Eager):
    """On the CPU."""

    name = "compile"
    is_tried = False

    def __init__(self, network: Runnable, place: torch.device | None = None) -> None:
        super().__init__(network, place)
        self._module = _compiled(network, self)

    @classmethod
    def missing(cls) -> str | None:
        """A C++ compiler."""
        found = any(shutil.which(name) for name in _COMPILERS)
        return None if found else f"torch.compile needs a C++ compiler, and none of {', '.join(_COMPILERS)} is here"


class CompileCuda(EagerCuda):
    """On a CUDA device."""

    name = "compile"
    is_tried = False

    def __init__(self, network: Runnable, place: torch.device | None = None) -> None:
        super().__init__(network, place)
        self._module = _compiled(network, self)
