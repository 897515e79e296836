"""``with Recorder("trace.parquet") as r``: what a model asks for inside is a trace afterwards."""

import os
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy.typing as npt

from simulator.errors import InputError
from tierfetch.record.blocks import Caches, tokens_of
from tierfetch.record.marks import Mark, Marked, Marks, checked
from tierfetch.record.rows import Call
from tierfetch.record.spaces import LEGEND, Space, Spaces

if TYPE_CHECKING:
    from torch import nn

    from tierfetch.record.calls import Lookups
    from tierfetch.record.writing import Writer

# Torch and Arrow are imported when a recording begins.


class Recorder:
    """Records what PyTorch models look up while a ``with`` block runs, as a compact trace.

    ``path`` is the file, ``force`` replaces one that is there. With ``functional`` tables are known by their weights,
    not by their modules: look-ups by ``F.embedding`` and ``F.embedding_bag`` in the thread of the block count as well,
    at a cost for every operation of the model. The file is whole, under its name, when the block has ended, however it
    ends; ``spaces`` says then what was recorded.
    """

    def __init__(self, path: str | os.PathLike[str], *, functional: bool = False, force: bool = False) -> None:
        self.path = Path(path)
        self._functional, self._force = functional, force
        self._spaces, self._marks = Spaces(), Marks()
        self._caches = Caches(self._spaces)
        self._hooked: dict[int, Any] = {}
        self._tables: Any = None
        self._lookups: Lookups | None = None
        self._writer: Writer | None = None
        self._is_open = False
        self._at_end = ExitStack()

    def __enter__(self) -> Self:
        if self._writer is not None:
            raise RuntimeError(f"{self.path}: has been recorded already; expected a new Recorder for another recording")
        if self.path.suffix != ".parquet":
            raise InputError(f"{self.path}: expected a name that ends in .parquet")
        if not self.path.parent.is_dir():
            raise InputError(f"{self.path}: no such folder; expected one that is there")
        if self.path.is_dir():
            raise InputError(f"{self.path}: is a folder; expected the name of a file")
        if self.path.exists() and not self._force:
            raise InputError(f"{self.path}: is there already; expected another name, or force=True")
        if self._functional:
            from tierfetch.record.calls import Lookups
            from tierfetch.record.modules import Tables

            self._tables = Tables(self._spaces)
            self._lookups = Lookups(self._tables, self._put)
        from tierfetch.record.writing import Writer

        self._writer = Writer(self.path, self._marks)
        self._is_open = True
        if self._lookups is not None:
            self._at_end.enter_context(self._lookups)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_open = False
        try:
            self._at_end.close()
        finally:
            # Also where PyTorch fails at taking back hooks, as after Ctrl-C while it was being imported.
            self._finish(error)

    def _finish(self, error: BaseException | None) -> None:
        writer = self._the_writer()
        try:
            writer.drain()
            only_blocks = {space.kind for space in self._spaces.all if space.n_accesses} == {"kv"}
            ended_by = None if error is None else type(error).__name__
            legend = {LEGEND: self._spaces.legend(ended_by)}
            writer.finish(f"recording {self.path.stem}", legend, "prefix" if only_blocks else "block")
        except Exception as lost:
            if error is None:
                raise
            if lost is not error:
                error.add_note(f"and what was recorded is lost: {type(lost).__name__}: {lost}")
            return
        if error is None:
            self._warn()

    def _warn(self) -> None:
        # A cache without a whole block is none of these.
        silent = [space.name for space in self._spaces.all if space.n_accesses == 0 and space.kind != "kv"]
        if silent:
            warnings.warn(
                f"{self.path}: nothing was recorded of {', '.join(silent[:8])}{' and others' * (len(silent) > 8)}: not "
                "called, or not as modules (replayed CUDA graphs, fused code, functional calls)",
                stacklevel=4,
            )
        if self._lookups is not None and self._lookups.n_unknown:
            warnings.warn(
                f"{self.path}: left out, as in weights of no recorded model: {self._lookups.n_unknown} look-ups",
                stacklevel=4,
            )

    @property
    def spaces(self) -> list[Space]:
        """The tables, layers and caches: number, name, kind, size of an id, and how many accesses there were."""
        return list(self._spaces.all)

    def embeddings(self, model: "nn.Module", *, name: str = "") -> None:
        """Record the rows that all ``nn.Embedding`` and ``nn.EmbeddingBag`` in a model look up.

        ``name`` is put before what the model calls them. A row has the bytes that it is stored in.

        Raises:
            TypeError: it is no module.
            ValueError: it has no such module, or one is recorded already.
        """
        self._check(model, "model")
        from tierfetch.record import modules

        if self._lookups is not None:
            self._lookups.add(f"{name}." if name else "", model)
            return
        self._tables = self._tables or modules.Tables(self._spaces)
        found = modules.named_embeddings(model)
        self._check_new(found)
        for called, module in found.items():
            space = self._tables.of(f"{name}.{called}" if name else called, module.weight, module.num_embeddings)
            self._hook(module, modules.hook_of(module, space, self._put))

    def experts(
        self,
        router: "nn.Module",
        *,
        layer: int,
        top_k: int | None = None,
        bytes: int | None = None,  # noqa: A002 - as it is said: bytes=4096
        expert: "nn.Module | None" = None,
        output: int | None = None,
        select: Callable[[Any], Any] | None = None,
        distinct: bool = False,
        name: str | None = None,
    ) -> None:
        """Record the experts that a layer's router chooses: the ``top_k`` of its scores.

        Args:
            router: gives the scores, of shape [..., experts], before or after a softmax.
            layer: the layer's number, a feature of the accesses.
            top_k: experts of a token.
            bytes: size of an expert, if not that of ``expert``.
            expert: one of them: as large as all its weights, as they are stored.
            output: which of the router's outputs the scores are, if it gives several tensors of them.
            select: a function from what the router gives to the ids of experts, [..., k], in place of ``top_k``.
            distinct: each expert once a call, for all its tokens, as a batch has to have it; else once a token.
            name: what the layer is called.

        Raises:
            TypeError, ValueError: what is given does not fit, or the router is recorded already.
        """
        self._check(router, "router")
        from tierfetch.record import routers

        checked("layer", layer)
        routers.check_choice(top_k, output, select)
        size = routers.size_of(bytes, expert)
        self._check_new({name or type(router).__name__: router})
        space = self._spaces.add(name or f"layer {layer}", "experts", size, layer=layer)
        self._hook(router, routers.hook_of(space, top_k, output, select, distinct, self._put))

    def kv(
        self,
        prompt: Sequence[int] | npt.ArrayLike,
        answer: Sequence[int] | npt.ArrayLike = (),
        *,
        bytes_per_token: int,
        block_tokens: int = 16,
        reads: bool = True,
        answers: Literal["apart", "whole"] = "apart",
        request: int | None = None,
        stream: int | None = None,
        name: str = "kv",
    ) -> None:
        """Record the KV blocks of a request: reads of its prompt's whole blocks, writes of those that its answer fills.

        The reads are one request, each write one of its own. To have their times right, say it twice: the prompt as
        it comes, and with ``reads=False`` prompt and answer once the answer is there. ``request`` and ``stream`` are
        those of the mark unless said. With ``answers="whole"`` the writes are of the same request, behind its reads, as
        systems want it whose requests have a life.

        Raises:
            TypeError, ValueError: these are no tokens, or other blocks than those of ``name`` before.
        """
        self._check_open()
        before, filled = tokens_of("prompt", prompt), tokens_of("answer", answer)
        mark = self._marks.other(request, stream)
        if answers not in ("apart", "whole") or (answers == "whole" and not reads):
            raise ValueError(f"answers={answers!r}, reads={reads!r}; expected 'apart', or 'whole' with the reads")
        is_whole = answers == "whole"
        read, written = self._caches.calls(name, before, filled, block_tokens, bytes_per_token, is_whole=is_whole)
        if reads and read is not None:
            with self._marks.set(mark):
                self._put(read)
        with self._marks.set(Mark(None, mark.stream)):
            for call in written:
                self._put(call)

    def request(self, number: int | None = None, *, stream: int | None = None) -> Marked:
        """What this thread does from now on, or inside a ``with``, is one request, of this number or a new one.

        Accesses of a request are issued together. Unless said, each call of a module is one by itself, and ``stream``
        is what it was.
        """
        self._check_open()
        mark = self._marks.other(number, stream)
        return self._marks.set(Mark(self._marks.new_request(), mark.stream) if number is None else mark)

    def stream(self, number: int) -> Marked:
        """What this thread does from now on, or inside a ``with``, is of this stream; each call is its own request."""
        self._check_open()
        return self._marks.set(Mark(None, checked("stream", number)))

    def _put(self, call: Call) -> None:
        # A hook may be called once more by a thread that was on its way when the block ended.
        if self._is_open:
            self._the_writer().put(call)

    def _hook(self, module: Any, hook: Any) -> None:
        from tierfetch.record import modules

        self._hooked[id(module)] = module
        if len(self._hooked) == 1:
            # At the end behind all of them, as hooks are removed in the order of a stack.
            self._at_end.callback(modules.forget_compiled)
        self._at_end.callback(modules.hooked(module, hook).remove)
        modules.forget_compiled()

    def _the_writer(self) -> "Writer":
        assert self._writer is not None
        return self._writer

    def _check_open(self) -> None:
        if not self._is_open:
            raise RuntimeError(f"{self.path}: is not being recorded; expected this inside `with Recorder(...) as r:`")

    def _check(self, module: Any, name: str) -> None:
        self._check_open()
        from torch import nn

        if not isinstance(module, nn.Module):
            raise TypeError(f"{name}={type(module).__name__}; expected a torch.nn.Module")

    def _check_new(self, modules: dict[str, Any]) -> None:
        for name, module in modules.items():
            if id(module) in self._hooked:
                raise ValueError(f"{name}: is recorded already; expected each module once")
