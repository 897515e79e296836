"""The backends of the LSTM."""

from policies.lstm.backends.compiled import Compiled
from policies.lstm.backends.cuda_graph import CudaGraph
from policies.lstm.backends.eager import Eager, EagerCuda
from policies.lstm.backends.fused import Fused
from policies.lstm.backends.onnx import Onnx
from policies.lstm.config import LstmConfig
from policies.models.choice import Backends

BACKENDS = Backends((Compiled, Onnx, Eager, CudaGraph, Fused, EagerCuda))


def backends_of(config: LstmConfig) -> Backends:
    """Those that can do what a config asks for."""
    return BACKENDS if config.update is None else BACKENDS.that_take_weights()
