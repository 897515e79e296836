"""What torch does with tensors of the double: late, in the stream that is current, or not at all."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from tests.cuda_double.lstm import lstm
from tests.cuda_double.machine import CAPTURING, Machine, Node, Stream
from tests.cuda_double.tensor import Dev, dev, leaves, raw

VIEWS = {
    "view", "_unsafe_view", "reshape", "select", "slice", "transpose", "t", "unsqueeze", "squeeze", "expand", "permute",
    "detach", "alias", "as_strided", "unbind", "split", "chunk", "narrow", "_reshape_alias", "unfold",
    "split_with_sizes", "numpy_T", "view_as",
}  # fmt: skip
NEED_THE_HOST = {"_local_scalar_dense", "item", "nonzero", "is_nonzero", "equal", "masked_select"}


class OnDevices(TorchDispatchMode):
    """Every operation, below autograd."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self.machine = machine
        # Kept, so that no other memory comes to lie where pinned memory lay.
        self.pinned: dict[int, Any] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: it would import torch's compiler, for seconds."""
        return False

    def pin(self, tensor: Tensor) -> Tensor:
        """Its memory counts as page-locked from now on."""
        self.pinned[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    def is_pinned(self, tensor: Tensor) -> bool:
        """Whether its memory is page-locked."""
        return tensor.untyped_storage().data_ptr() in self.pinned

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = func._schema.name.split("::")[1]
        flat = leaves((args, kwargs))
        devs = [value for value in flat if isinstance(value, Dev)]
        asked = kwargs.get("device")
        to_cuda = asked is not None and torch.device(asked).type == "meta"
        if kwargs.pop("pin_memory", False):
            if to_cuda:
                raise RuntimeError("Only dense CPU tensors can be pinned")
            return self.pin(func(*args, **kwargs))
        if not devs and not to_cuda:
            return func(*args, **kwargs)
        if len({one.index for one in devs}) > 1 and name != "copy_":
            raise RuntimeError(
                "Expected all tensors to be on the same device, but found at least two devices, "
                f"{' and '.join(sorted({str(one.device) for one in devs}))}! ({func})"
            )
        if to_cuda:
            index = self.machine.index if torch.device(asked).index is None else torch.device(asked).index
        else:
            index = devs[0].index
        if name in ("_to_copy", "to"):
            return self._to(func, args, kwargs, index)
        if name == "copy_":
            return self._copy(args[0], args[1], kwargs.get("non_blocking", args[2] if len(args) > 2 else False))
        for value in flat:
            if isinstance(value, Tensor) and not isinstance(value, Dev) and value.dim() > 0:
                raise RuntimeError(
                    f"Expected all tensors to be on the same device, but found {devs[0].device} and cpu! ({func})"
                )
        if to_cuda:
            kwargs["device"] = torch.device("cpu")
        stream = self.machine.current(torch.device("cuda", index))
        mask = name in ("index", "index_put_") and any(one.dtype == torch.bool and one.dim() for one in devs)
        if mask or name in NEED_THE_HOST:
            # The host must know how many are true, or what is there.
            self.machine.synchronize("implicit_sync", stream)
            found = func(*raw(args), **raw(kwargs))
            return Dev(found, index) if isinstance(found, Tensor) else found
        if name in VIEWS and not func._schema.is_mutable:
            out = func(*raw(args), **raw(kwargs))
            mine = devs[0].untyped_storage().data_ptr()
            if all(part.untyped_storage().data_ptr() == mine for part in leaves(out)):
                return dev(out, index)
        if func._schema.is_mutable:
            given, named = raw(args), raw(kwargs)
            self.machine.put(Node("kernel", name, lambda: func(*given, **named)), stream)
            return args[0] if len(func._schema.returns) else None
        return self.late(name, func, args, kwargs, stream)

    def _to(self, func: Any, args: Any, kwargs: Any, index: int) -> Any:
        source, at_once = args[0], not kwargs.pop("non_blocking", False)
        asked = kwargs.pop("device", None)
        stream = self.machine.current(torch.device("cuda", index))
        if asked is None or (isinstance(source, Dev) and torch.device(asked).type == "meta"):
            if asked is not None and source.index != index:
                self.machine.synchronize("blocking_copy", self.machine.current(source.device))
                return self.late("peer", func, (source,), kwargs, stream, "peer")
            return self.late("to", func, (source,), kwargs, stream)
        if isinstance(source, Dev):
            if not at_once:
                raise RuntimeError("a copy to pageable memory that nobody waits for is read before it is there")
            self.machine.count("d2h")
            self.machine.synchronize("blocking_copy", self.machine.current(source.device))
            return func(source.elem, **kwargs).clone()
        if self.machine.capturing is not None and not self.is_pinned(source):
            raise RuntimeError(CAPTURING)
        # Pageable memory is read before the call returns, page-locked memory when the copy's turn comes.
        kept = source if self.is_pinned(source) and not at_once else source.clone()
        out = self.late("to", func, (kept,), kwargs, stream, "h2d")
        if at_once:
            self.machine.synchronize("blocking_copy", stream)
        return out

    def _copy(self, to: Tensor, source: Tensor, non_blocking: bool) -> Tensor:
        stream = self.machine.current((to if isinstance(to, Dev) else source).device)
        if isinstance(to, Dev) and isinstance(source, Dev):
            kind = "d2d" if to.index == source.index else "peer"
            self.machine.put(Node(kind, "copy_", lambda: to.elem.copy_(source.elem)), stream)
            return to
        kind, host = ("h2d", source) if isinstance(to, Dev) else ("d2h", to)
        is_pinned = self.is_pinned(host)
        if self.machine.capturing is not None and not (is_pinned and non_blocking):
            raise RuntimeError(CAPTURING)
        kept = source.clone() if kind == "h2d" and not is_pinned else raw(source)
        self.machine.put(Node(kind, "copy_", lambda: raw(to).copy_(kept)), stream)
        if not (non_blocking and is_pinned):
            self.machine.synchronize("blocking_copy", stream)
        return to

    def late(
        self, name: str, func: Callable[..., Any], args: Any, kwargs: Any, stream: Stream, kind: str = "kernel"
    ) -> Any:
        """Outputs now, what is in them later. A run on what is there now tells their shapes."""
        given, named = raw(args), raw(kwargs)
        with torch._C._DisableTorchDispatch():
            found = func(*given, **named)
        with torch.inference_mode(False):
            outs = _unwritten(found)

        def work() -> None:
            for out, one in zip(leaves(outs), leaves(func(*given, **named)), strict=True):
                if isinstance(out, Tensor):
                    out.copy_(one)

        for out in leaves(outs):
            if isinstance(out, Tensor):
                self.machine.allocated(out.nbytes)
        self.machine.put(Node(kind, name, work), stream)
        return dev(outs, stream.device.index)


def _unwritten(like: Any) -> Any:
    """Memory in which nothing sensible stands, for each tensor."""
    if type(like) in (list, tuple):
        return type(like)([_unwritten(part) for part in like])
    if not isinstance(like, Tensor):
        return like
    return torch.empty_like(like).fill_(float("nan") if like.is_floating_point() else 0)


class Names(TorchFunctionMode):
    """Devices by their names, and LSTMs in one piece, as cuDNN has them."""

    def __init__(self, mode: OnDevices) -> None:
        super().__init__()
        self.mode = mode

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.device:
            return func(*args, **kwargs)
        if getattr(func, "__name__", "") == "lstm" and isinstance(args[0], Dev):
            return lstm(self.mode, *args)
        args = tuple(map(self._on_meta, args))
        return func(*args, **{name: self._on_meta(value) for name, value in kwargs.items()})

    def _on_meta(self, value: Any) -> Any:
        named = isinstance(value, str) and value.partition(":")[0] == "cuda"
        if not (named or (isinstance(value, torch.device) and value.type == "cuda")):
            return value
        index = torch.device(value).index if not isinstance(value, str) or ":" in value else None
        if index is not None and index >= len(self.mode.machine.devices):
            raise RuntimeError("CUDA error: invalid device ordinal")
        return torch.device("meta", self.mode.machine.index if index is None else index)
