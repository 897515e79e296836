"""The backends by what the network is made of."""

from policies.models.backends.compiled import Compile, CompileCuda
from policies.models.backends.cuda_graph import CudaGraph
from policies.models.backends.eager import Eager, EagerCuda
from policies.models.backends.onnx import Onnx
from policies.models.choice import Backends
from policies.models.config import EXPORTED, ONNX, ModelConfig

OF_CLASSES = Backends((Eager, Onnx, Compile, CudaGraph, EagerCuda, CompileCuda))
OF_EXPORTED = Backends((Eager, Compile, CudaGraph, EagerCuda, CompileCuda))
OF_SCRIPTS = Backends((Eager, CudaGraph, EagerCuda))
OF_ONNX = Backends((Onnx,))


def backends_of(config: ModelConfig) -> Backends:
    """Those that can run the network that a config names."""
    if config.update is not None:
        return OF_CLASSES.that_take_weights()
    if not config.is_file:
        return OF_CLASSES
    if config.model.endswith(ONNX):
        return OF_ONNX
    return OF_EXPORTED if config.model.endswith(EXPORTED) else OF_SCRIPTS
