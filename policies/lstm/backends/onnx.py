"""ONNX Runtime on one CPU core; needs the extra ``tierfetch[onnx]``."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from policies.lstm.model import Weights
from policies.models.backend import Backend
from policies.models.codecs.base import Classes, Floats
from policies.models.onnx_runtime import missing_onnx, session_of

_OPSET, _IR_VERSION = 17, 8


def _gates(weights: Floats) -> Floats:
    """From torch's order of gates, i f g o, to ONNX's, i o f g."""
    i, f, g, o = np.split(weights, 4)
    return np.concatenate([i, o, f, g])


def _graph(weights: Weights) -> bytes:
    """The network as an ONNX model: classes (T, B, fields), h and c (layers, B, H) -> scores (B, C), h, c."""
    from onnx import TensorProto, helper, numpy_helper

    nodes: list[Any] = []
    constants: list[Any] = []

    def constant(name: str, value: Any) -> str:
        constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(kind: str, inputs: list[str], outputs: list[str], **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, outputs, **attributes))
        return outputs[-1]

    parts = []
    for i, embedding in enumerate(weights.embeddings):
        column = node("Gather", ["classes", constant(f"field{i}", np.int64(i))], [f"classes{i}"], axis=2)
        parts.append(node("Gather", [constant(f"embedding{i}", embedding), column], [f"embedded{i}"], axis=0))
    x = node("Concat", parts, ["embedded"], axis=2)  # (T, B, E)
    axis = constant("directions", np.array([1], np.int64))
    hs, cs = [], []
    for layer in range(weights.n_layers):
        index = constant(f"layer{layer}", np.array([layer], np.int64))
        h = node("Gather", ["h", index], [f"h{layer}"], axis=0)  # (1, B, H)
        c = node("Gather", ["c", index], [f"c{layer}"], axis=0)
        bias = np.concatenate([_gates(weights.biases[layer]), np.zeros_like(weights.biases[layer])])
        node(
            "LSTM",
            [
                x,
                constant(f"w{layer}", _gates(weights.input_weights[layer])[None]),
                constant(f"r{layer}", _gates(weights.hidden_weights[layer])[None]),
                constant(f"b{layer}", bias[None]),
                "",
                h,
                c,
            ],
            [f"y{layer}", f"h{layer}_after", f"c{layer}_after"],
            hidden_size=weights.n_hidden,
        )
        x = node("Squeeze", [f"y{layer}", axis], [f"output{layer}"])  # (T, B, H)
        hs.append(f"h{layer}_after")
        cs.append(f"c{layer}_after")
    node("Concat", hs, ["h_after"], axis=0)
    node("Concat", cs, ["c_after"], axis=0)
    top = node("Squeeze", [hs[-1], constant("first", np.array([0], np.int64))], ["top"])
    node("Gemm", [top, constant("head", weights.head), constant("head_bias", weights.head_bias)], ["scores"], transB=1)

    def value(name: str, kind: int, shape: list[Any]) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    state = [weights.n_layers, "B", weights.n_hidden]
    graph = helper.make_graph(
        nodes,
        "lstm",
        [
            value("classes", TensorProto.INT64, ["T", "B", len(weights.embeddings)]),
            value("h", TensorProto.FLOAT, state),
            value("c", TensorProto.FLOAT, state),
        ],
        [
            value("scores", TensorProto.FLOAT, ["B", len(weights.head_bias)]),
            value("h_after", TensorProto.FLOAT, state),
            value("c_after", TensorProto.FLOAT, state),
        ],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    serialized: bytes = model.SerializeToString()
    return serialized


class Onnx(Backend):
    """A state is [h, c], each (layers, 1, H)."""

    name = "onnx"
    device = "cpu"

    def __init__(self, weights: Weights, place: torch.device | None = None) -> None:
        self._session = session_of(_graph(weights))
        self._shape = (weights.n_layers, 1, weights.n_hidden)

    @classmethod
    def missing(cls) -> str | None:
        """The extra."""
        return missing_onnx()

    def new_state(self) -> list[Floats]:
        """Zero."""
        return [np.zeros(self._shape, np.float32), np.zeros(self._shape, np.float32)]

    def copy(self, state: list[Floats]) -> list[Floats]:
        """The arrays are never written to: a new list will do."""
        return list(state)

    def advance(self, classes: Classes, states: Sequence[list[Floats]]) -> Floats:
        """See the base."""
        h, c = states[0] if len(states) == 1 else (np.concatenate([s[i] for s in states], axis=1) for i in range(2))
        inputs = {"classes": np.ascontiguousarray(classes.swapaxes(0, 1)), "h": h, "c": c}
        scores, h, c = self._session.run(None, inputs)
        for i, state in enumerate(states):
            state[0], state[1] = h[:, i : i + 1], c[:, i : i + 1]
        found: Floats = scores
        return found
