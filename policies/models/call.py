"""How a network is called, whatever it is made of, and what it must give."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from policies.models.codecs.base import Classes
from simulator.errors import InputError, frames_of

_LONGER = 3
Run = Callable[[Classes, Any], Any]
"""Inputs (B, T, fields) and a state, as it comes out of the network."""


@dataclass(frozen=True)
class Runnable:
    """A network that is ready to be put on a backend: a module, or the bytes of an ONNX file.

    ``first_state`` is what it is given before anything was seen; ``widest`` are the classes of each field, 0 where an
    encoder does not say.
    """

    name: str
    module: nn.Module | None
    onnx: bytes | None
    window: int | None
    n_fields: int
    widest: tuple[int, ...]
    first_state: Any = None
    takes_one: bool = False
    """Whether it must be given access by access: exported for one alone, it takes no more at once."""

    @property
    def is_carried(self) -> bool:
        """Whether it is given a state and gives one."""
        return self.window is None

    def samples(self, n_steps: int) -> list[Classes]:
        """Inputs (1, T, fields) to try: all unknown, the largest classes, and something between."""
        shape = (1, n_steps, self.n_fields)
        top = np.maximum(np.array(self.widest, np.int64) - 1, 0)
        between = np.random.default_rng(0).integers(0, top + 1, shape)
        return [np.zeros(shape, np.int64), np.broadcast_to(top, shape).copy(), between]


def call(module: nn.Module, inputs: Tensor, state: Any, *, is_carried: bool) -> tuple[Tensor, Any]:
    """Scores (B, C) of what follows the last access, and the state after it."""
    scores, after = parts(module(inputs, state) if is_carried else module(inputs))
    return (scores[:, -1] if scores.dim() == 3 else scores), after if is_carried else None


def parts(given: Any) -> Any:
    """Scores and the state after them: None where there is none. Over a window a state is of no use."""
    return given if isinstance(given, tuple | list) else (given, None)


class OneByOne(nn.Module):
    """A network that is given each access alone."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, classes: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """The scores after the last access, and the state."""
        for at in range(classes.shape[1]):
            scores, state = self.module(classes[:, at : at + 1], state)
        return scores, state


def module_run(runnable: Runnable) -> Run:
    """How its module is tried."""
    module, is_carried = runnable.module, runnable.is_carried
    assert module is not None

    def run(inputs: Classes, state: Any) -> Any:
        given = torch.from_numpy(inputs)
        return module(given, state) if is_carried else module(given)

    return run


def checked(runnable: Runnable, run: Run, n_scores: int | None, encoder: str) -> tuple[bool, int, Any]:
    """Try a network: whether it scores what follows each access, how many scores, and a state that it left.

    Raises:
        InputError: it fails on what its encoder gives, or gives something else than its encoder takes.
    """
    where = f"policy.model: {runnable.name}"
    n_steps = runnable.window or 1
    after = runnable.first_state
    for inputs in runnable.samples(n_steps):
        said = f"inputs int64 {inputs.shape} with classes up to {int(inputs.max())}"
        try:
            with torch.inference_mode():
                given = run(inputs, after)
        except Exception as error:
            at = "".join(f"; {frame}" for frame in frames_of(error)[-1:] if "site-packages" not in frame)
            text = " ".join(str(error).split())[:300]
            raise InputError(
                f"{where}: fails on what encoder {encoder!r} gives, {said}: {type(error).__name__}: {text}{at}"
            ) from None
        if runnable.is_carried:
            if not (isinstance(given, tuple | list) and len(given) == 2):
                raise InputError(
                    f"{where}: gave {_kind(given)}; expected (scores, state), or context: {{window: 16}} for a network "
                    "that carries no state"
                )
            scores, after = given
        else:
            scores = given[0] if isinstance(given, tuple | list) and given else given
        if isinstance(scores, Tensor):
            scores = scores.detach().cpu()
            kind, values = str(scores.dtype).removeprefix("torch."), scores.float().numpy()
        elif isinstance(scores, np.ndarray):
            kind, values = str(scores.dtype), scores
        else:
            raise InputError(f"{where}: gave {_kind(scores)}; expected scores, a float32 tensor (B, C) or (B, T, C)")
        if values.ndim not in (2, 3) or values.shape[0] != 1 or (values.ndim == 3 and values.shape[1] != n_steps):
            raise InputError(
                f"{where}: gave scores of shape {values.shape} for {said}; expected (1, C) or (1, {n_steps}, C)"
            )
        if n_scores is not None and values.shape[-1] != n_scores:
            raise InputError(
                f"{where}: gives {values.shape[-1]} scores, but encoder {encoder!r} has {n_scores} classes; "
                "expected as many of each"
            )
        if kind != "float32":
            raise InputError(f"{where}: gives scores of type {kind}; expected float32")
        if not np.isfinite(values).all():
            raise InputError(f"{where}: gives scores that are no numbers for {said}; expected finite ones")
    return values.ndim == 3, values.shape[-1], after


def takes_one(runnable: Runnable, run: Run) -> bool:
    """Whether a network that carries a state must be given access by access: it cannot take more, or is wrong then."""
    inputs, state = runnable.samples(_LONGER)[2], runnable.first_state
    for at in range(_LONGER):
        scores, state = run(inputs[:, at : at + 1], state)
    try:
        together, _ = run(inputs, runnable.first_state)
    except Exception:
        return True
    expected, found = (np.asarray(part if isinstance(part, np.ndarray) else part.cpu()) for part in (scores, together))
    expected, found = (part[:, -1] if part.ndim == 3 else part for part in (expected, found))
    return not np.allclose(expected, found, atol=1e-3, rtol=1e-3)


def _kind(value: Any) -> str:
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"


def with_zero_state(runnable: Runnable, what: str) -> Runnable:
    """The network with tensors for its first state, for backends that cannot be given None.

    Raises:
        InputError: no state yet is something else to it than zeros.
    """
    if not runnable.is_carried or runnable.first_state is not None:
        return runnable
    assert runnable.module is not None
    # Not in inference mode: what comes out of it cannot be traced, and these zeros are.
    with torch.no_grad():
        inputs = torch.from_numpy(runnable.samples(1)[2])
        scores, after = call(runnable.module, inputs, None, is_carried=True)
        zeros = tree_map(lambda part: torch.zeros_like(part) if isinstance(part, Tensor) else part, after)
        same, _ = call(runnable.module, inputs, zeros, is_carried=True)
    if not tree_leaves(zeros) or not torch.allclose(scores, same, atol=1e-5):
        raise InputError(
            f"policy.backend: {what!r} begins with a state of zeros, which is not what {runnable.name} begins with; "
            "expected eager"
        )
    return replace(runnable, first_state=zeros)
