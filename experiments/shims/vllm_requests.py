"""A plugin of vLLM that writes down which blocks each request asks its prefix cache for.

``tierfetch record vllm`` puts a copy of this file where vLLM looks for plugins (``vllm.general_plugins``), which it
loads in each of its processes, that of the engine included. Each process writes a file of its own, a line at a time. A
request is written down when its prefix is looked up first, and again when it has ended and its answer is known.
"""

import json
import os
import time
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

FOLDER, START = "TIERFETCH_RECORD_FOLDER", "TIERFETCH_RECORD_START"
REQUESTS, PROBLEM = "requests-{}.jsonl", "problem-{}.txt"
KNOWN = (
    "known: vLLM's V1 engine with KVCacheManager.req_to_block_hashes (0.8 to 0.10.0) or Request.block_hashes (later)"
)
_MODULE, _CLASS = "vllm.v1.core.kv_cache_manager", "KVCacheManager"
_LOOK_UPS = ("get_computed_blocks", "get_computed_blocks_for_connector")
"""The second, of later versions, is asked where other machines have blocks, too, and need not ask the first."""
_LOW = 2**64 - 1


def _fail(problem: str) -> NoReturn:
    """Say it to vLLM, which ends with it, and to who records."""
    version = getattr(import_module("vllm"), "__version__", "of no version")
    text = f"vllm {version}: {problem}; {KNOWN}"
    (Path(os.environ[FOLDER]) / PROBLEM.format(os.getpid())).write_text(text)
    raise RuntimeError(f"tierfetch record: {text}")


def number_of(block_hash: Any) -> int:
    """The 64 bits of a block's hash that vLLM's KV events have. Raises TypeError if it is none."""
    value = getattr(block_hash, "hash_value", block_hash)
    if isinstance(value, bytes):
        return int.from_bytes(value, "big") & _LOW
    if isinstance(value, int):
        return value & _LOW
    raise TypeError(f"a block's hash is of type {type(value).__name__}")


def hashes_of(manager: Any, request: Any) -> Any:
    """Of the blocks of a request that was looked up."""
    if hasattr(request, "block_hashes"):
        return request.block_hashes
    if hasattr(manager, "req_to_block_hashes"):
        return manager.req_to_block_hashes[request.request_id]
    _fail("has neither")


class Recorder:
    """Writes requests of this process down, also if it was forked off another one that did."""

    def __init__(self) -> None:
        self._start = float(os.environ[START])
        self._known: set[str] = set()
        self._file: Any = None
        self._process = -1

    def _write(self, row: dict[str, Any]) -> None:
        if self._process != os.getpid():
            self._process = os.getpid()
            path = Path(os.environ[FOLDER]) / REQUESTS.format(self._process)
            self._file = path.open("a", encoding="utf-8")
        self._file.write(json.dumps(row, separators=(",", ":")) + "\n")
        self._file.flush()

    def looked_up(self, manager: Any, request: Any) -> None:
        """A request's prefix was looked up; of several times, as while it waits for room, the first counts."""
        if not getattr(manager, "enable_caching", True):
            _fail("its prefix cache is off, so that blocks have no hashes: expected --enable-prefix-caching")
        if request.request_id in self._known:
            return
        self._known.add(request.request_id)
        try:
            ids = [number_of(one) for one in hashes_of(manager, request)]
        except TypeError as error:
            _fail(str(error))
        since = int((time.time() - self._start) * 1000)
        n_tokens = request.num_prompt_tokens
        self._write({"id": request.request_id, "timestamp": since, "input_length": n_tokens, "hash_ids": ids})

    def freed(self, request: Any) -> None:
        """A request gave back its blocks: it has ended, or makes room and will be looked up again."""
        if request.request_id in self._known and request.is_finished():
            self._known.remove(request.request_id)
            self._write({"id": request.request_id, "output_length": request.num_output_tokens})


def install() -> None:
    """Wrap the look-up; called by vLLM in each process, perhaps several times."""
    try:
        manager = getattr(import_module(_MODULE), _CLASS)
    except (ImportError, AttributeError):
        _fail(f"has no {_MODULE}.{_CLASS}")
    if getattr(manager, "is_recorded", False):
        return
    for name in ("get_computed_blocks", "free"):
        if not callable(getattr(manager, name, None)):
            _fail(f"has no {_CLASS}.{name}")
    recorder, free = Recorder(), manager.free

    def watched(look_up: Any) -> Any:
        def look_up_and_tell(self: Any, request: Any, *rest: Any, **named: Any) -> Any:
            # The hashes may be made in there.
            answer = look_up(self, request, *rest, **named)
            recorder.looked_up(self, request)
            return answer

        return look_up_and_tell

    def free_(self: Any, request: Any, *rest: Any, **named: Any) -> Any:
        recorder.freed(request)
        return free(self, request, *rest, **named)

    for name in _LOOK_UPS:
        if hasattr(manager, name):
            setattr(manager, name, watched(getattr(manager, name)))
    manager.free, manager.is_recorded = free_, True
