"""ONNX Runtime: a file, or a class that is exported when the backend is made.

The first input are the classes, the first output the scores; further ones, as many of each and in the same order, are
the state, which begins with zeros.
"""

import io
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

from policies.models.backend import Backend
from policies.models.call import Runnable, call, with_zero_state
from policies.models.codecs.base import Classes, Floats
from policies.models.onnx_runtime import missing_onnx, session_of
from simulator.errors import InputError

_TOLERANCE = 1e-3
_STEPS = 3


class _Flat(nn.Module):
    """The network with the parts of its state as arguments, and the last scores alone."""

    def __init__(self, module: nn.Module, spec: TreeSpec | None) -> None:
        super().__init__()
        self.module = module
        self._spec = spec

    def forward(self, classes: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
        state = None if self._spec is None else tree_unflatten(list(parts), self._spec)
        scores, after = call(self.module, classes, state, is_carried=self._spec is not None)
        return (scores, *tree_flatten(after)[0])


def exported(network: Runnable) -> bytes:
    """A module as an ONNX model, checked against it.

    Raises:
        InputError: it cannot be exported, or what comes out computes something else.
    """
    network = with_zero_state(network, "onnx")
    assert network.module is not None
    spec = None
    parts: list[Tensor] = []
    if network.is_carried:
        parts, spec = tree_flatten(network.first_state)
    inputs = torch.from_numpy(network.samples(network.window or 1)[2])
    states = [f"state{i}" for i in range(len(parts))]
    into: Any = io.BytesIO()
    module = _Flat(network.module.to("cpu"), spec).eval()
    try:
        with warnings.catch_warnings():
            # torch would have it done by packages that are not needed otherwise.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module, (inputs, *parts), into, dynamo=False, input_names=["classes", *states],
                output_names=["scores", *(f"{state}_after" for state in states)],
                dynamic_axes={"classes": {1: "T"} if network.is_carried else {0: "B"}},
            )  # fmt: skip
        content = into.getvalue()
        session = session_of(content)
        # A network that asks how many accesses there are may be exported for one alone.
        longer = network.samples(_STEPS if network.is_carried else network.window or 1)[2]
        found = session.run(None, _feeds(session, longer, [part.numpy() for part in parts]))[0]
        with torch.inference_mode():
            expected = module(torch.from_numpy(longer), *parts)[0].numpy()
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        raise InputError(
            f"policy.backend: 'onnx' cannot export {network.name}: {type(error).__name__}: {text}; expected eager"
        ) from None
    if not np.allclose(found, expected, atol=_TOLERANCE, rtol=_TOLERANCE):
        raise InputError(
            f"policy.backend: 'onnx' exports {network.name} as something else: scores differ by up to "
            f"{float(np.abs(found - expected).max()):.3g} over {longer.shape[1]} accesses; expected eager"
        )
    return content


def _feeds(session: Any, classes: Classes, state: Sequence[Floats]) -> dict[str, Any]:
    names = [value.name for value in session.get_inputs()]
    return dict(zip(names, [classes, *state], strict=True))


class Onnx(Backend):
    """On one CPU core. A state is a list of arrays, one for each further input."""

    name = "onnx"
    device = "cpu"

    def __init__(self, network: Runnable, place: torch.device | None = None) -> None:
        content = exported(network) if network.onnx is None else network.onnx
        try:
            self._session = session_of(content)
        except Exception as error:
            text = " ".join(str(error).split())[:300]
            raise InputError(f"policy.model: {network.name}: is damaged or no ONNX model: {text}") from None
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        self._is_carried, self._takes_one = network.is_carried, network.takes_one
        if len(inputs) != len(outputs) or (len(inputs) > 1) != self._is_carried:
            expected = "one input and one output" if network.window else "classes and state in, scores and state out"
            raise InputError(
                f"policy.model: {network.name}: has inputs {', '.join(i.name for i in inputs)} and outputs "
                f"{', '.join(o.name for o in outputs)}; expected {expected}, for context: "
                f"{'{window: ' + str(network.window) + '}' if network.window else 'carried'}"
            )
        if inputs[0].type != "tensor(int64)":
            raise InputError(f"policy.model: {network.name}: takes {inputs[0].type}; expected classes, tensor(int64)")
        self._names = [value.name for value in inputs]
        self._outputs = [value.name for value in outputs]
        self._first = [
            np.zeros([n if isinstance(n, int) else 1 for n in value.shape], _dtype(value.type)) for value in inputs[1:]
        ]

    @classmethod
    def missing(cls) -> str | None:
        """The extra."""
        return missing_onnx()

    def new_state(self) -> list[Floats]:
        """Zero."""
        return list(self._first)

    def copy(self, state: list[Floats]) -> list[Floats]:
        """The arrays are never written to: a new list will do."""
        return list(state)

    def raw(self, classes: Classes, state: Any) -> Any:
        """As ``call.Run``."""
        scores, *after = self._session.run(self._outputs, dict(zip(self._names, [classes, *state], strict=True)))
        return (scores, after) if self._is_carried else scores

    def advance(self, classes: Classes, states: Sequence[list[Floats]]) -> Floats:
        """See the base."""
        if not self._is_carried:
            scores = self._session.run(self._outputs, {self._names[0]: np.ascontiguousarray(classes)})[0]
            return scores if scores.ndim == 2 else scores[:, -1]
        found = []
        for i, state in enumerate(states):
            row = np.ascontiguousarray(classes[i : i + 1])
            for part in np.split(row, row.shape[1], axis=1) if self._takes_one else (row,):
                feeds = dict(zip(self._names, (part, *state), strict=True))
                scores, *state[:] = self._session.run(self._outputs, feeds)
            found.append(scores if scores.ndim == 2 else scores[:, -1])
        return found[0] if len(found) == 1 else np.concatenate(found)


def _dtype(name: str) -> Any:
    return np.int64 if name == "tensor(int64)" else np.float32
