"""ONNX Runtime on one CPU core; needs the extra ``tierfetch[onnx]``."""

from importlib.util import find_spec
from typing import Any


def missing_onnx() -> str | None:
    """Why it cannot be used here, or None."""
    absent = [name for name in ("onnx", "onnxruntime") if find_spec(name) is None]
    return f"{' and '.join(absent)} not installed; install tierfetch[onnx]" if absent else None


def session_of(content: bytes) -> Any:
    """A session for a serialized model. Raises onnxruntime's exceptions if it is none."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
