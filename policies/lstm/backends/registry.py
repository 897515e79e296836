"""The backends of the LSTM."""

from policies.lstm.backends.compiled import Compiled
from policies.lstm.backends.cuda_graph import CudaGraph
from policies.lstm.backends.eager import Eager, EagerCuda
from policies.lstm.backends.fused import Fused
from policies.lstm.backends.onnx import Onnx
from policies.models.choice import Backends

BACKENDS = Backends((Compiled, Onnx, Eager, CudaGraph, Fused, EagerCuda))
