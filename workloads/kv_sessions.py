"""Conversations with a language model, as its KV cache sees them: blocks of tokens, chained by what is before them.

What is modelled (docs/gpu_workloads.md): conversations that arrive at random; turns that come after a time of reading
and writing, and have all that was said before as their prefix; prompts and answers with heavy tails; system prompts and
documents that conversations share; turns that go back and are answered anew; answers, whose blocks are written as they
fill. A block's key is its number in the order in which blocks came to be; what has the same tokens before it has the
same key. Not modelled: hours of the day, prompts that are shared by chance, and that a slower answer
delays the next turn: times are those of a model that decodes at ``decode`` tokens a second.
"""

from collections.abc import Iterator
from functools import cache, cached_property
from heapq import heappop, heappush
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from simulator.config import Count, Nanoseconds, Ratio
from simulator.errors import InputError
from simulator.trace import READ, WRITE, Batch, make_batch
from simulator.units import LATEST_NS
from workloads.base import BATCH, BlockBytes, Generated, Reuse, SourceSettings
from workloads.catalogue import catalogue, model_named

_FEATURES = ("session", "turn", "tokens", "output_tokens")
_S = 1e9


class Tokens(NamedTuple):
    """A log-normal number of tokens."""

    median: int
    sigma: float

    def drawn(self, rng: np.random.Generator) -> int:
        """One; at least 1."""
        return max(1, round(self.median * float(np.exp(self.sigma * rng.standard_normal()))))


Heavy = Annotated[tuple[Count, Annotated[float, Field(ge=0, le=4)]], Field(strict=False)]
"""Median and sigma of a log-normal law."""


class KvSessionsConfig(SourceSettings):
    """Conversations with a language model: blocks of its KV cache, chained by prefix; as Mooncake's by default."""

    kind: Literal["kv_sessions"]
    requests: Count
    """Turns of all conversations together; each reads the blocks of its prompt."""
    model: str = "llama-3.1-8b"
    """A model of the catalogue, which says how large a token's keys and values are."""
    kv: Literal["bf16", "fp16", "fp8", "int8", "int4"] = "bf16"
    """How these are kept."""
    tensor_parallel: Annotated[int, Field(ge=1, le=1024)] = 1
    """Devices that heads are divided over; blocks are those of one."""
    block_tokens: Annotated[int, Field(ge=1, le=65536)] = 512
    """Tokens of a block."""
    block: BlockBytes | None = None
    """The size of a block, in place of what the model says."""
    session_gap: Nanoseconds = Field("485 ms", validate_default=True)
    """Between new conversations, on the average: they come by a Poisson process."""
    more_turns: Annotated[float, Field(ge=0, lt=1)] = 0.39
    """How likely another turn follows each."""
    think: Nanoseconds = Field("120 s", validate_default=True)
    """From an answer to the next turn: the median of a log-normal law, ..."""
    think_sigma: Annotated[float, Field(ge=0, le=4)] = 1.26
    """... and its sigma."""
    first_prompt: Heavy = (4650, 1.2)
    """Tokens of a conversation's first prompt, behind what is shared: median and sigma of a log-normal law."""
    prompt: Heavy = (780, 1.7)
    """The same of later turns."""
    answer: Heavy = (280, 0.75)
    """The same of answers."""
    decode: Annotated[float, Field(ge=1e-3)] = 40.0
    """Tokens of an answer a second."""
    most_tokens: Count = 131072
    """Tokens that a conversation can have: what would be longer is cut, and has no further turn."""
    systems: Count = 1
    """System prompts; a conversation begins with one, the first of them most often (1 / rank)."""
    system_tokens: Annotated[int, Field(ge=0)] = 512
    """Tokens of each."""
    documents: Annotated[int, Field(ge=0)] = 0
    """Documents and tools that come behind the system prompt, the first most often (1 / rank)."""
    document_tokens: Heavy = (4000, 1.0)
    """Tokens of one: median and sigma."""
    document_ratio: Ratio = 0.3
    """Share of the conversations that have one, if there are any."""
    retry_ratio: Ratio = 0.0
    """Share of the later turns that answer the turn before anew, from another prompt in its place."""
    writes: bool = True
    """Whether blocks of answers are written as they fill; else they first come as part of the next prompt."""

    answers: Literal["apart", "whole"] = "apart"
    """Whether blocks of answers come at times of their own, ``decode`` tokens a second after the prompt, or belong to
    its request, behind the prompt: whole, for systems whose requests have a life (`system.requests`), which decode."""

    features: ClassVar[tuple[str, ...]] = _FEATURES
    lives_by_times: ClassVar[bool] = True

    @classmethod
    def choices(cls) -> dict[str, list[str]]:
        """The models."""
        return {"model": list(catalogue())}

    @model_validator(mode="after")
    def _fits(self) -> Self:
        model_named(self.model)
        if self.system_tokens >= self.most_tokens:
            raise ValueError(f"system_tokens: {self.system_tokens}; expected less than most_tokens, {self.most_tokens}")
        return self

    @property
    def block_bytes(self) -> int:
        """How large a block is."""
        return self.block or model_named(self.model).kv_bytes(self.block_tokens, self.kv, self.tensor_parallel)

    @property
    def tokens_of_block(self) -> int:
        """Of each."""
        return self.block_tokens

    @property
    def has_whole_requests(self) -> bool:
        """Where they are not apart."""
        return self.answers == "whole"

    @property
    def has_times(self) -> bool:
        """Arrivals."""
        return True

    @property
    def reuse(self) -> Reuse:
        """Nothing behind a missing block is of use."""
        return "prefix"

    def build(self, seed: int, name: str = "source") -> "KvSessions":
        """The workload of a seed."""
        return KvSessions(self, seed, name)


class Session:
    """A conversation as it is so far: its blocks' keys, how many tokens there are, and where the last turn began."""

    __slots__ = ("keys", "n_tokens", "number", "turn", "turn_began")

    def __init__(self, number: int) -> None:
        self.number, self.turn = number, 0
        self.keys: list[int] = []
        self.n_tokens = self.turn_began = 0


class KvSessions(Generated[KvSessionsConfig]):
    """One stream; a request is the prompt of a turn, or a block of an answer, or both. A key is a block's number.

    Features: ``session``, ``turn`` (from 0 on), ``tokens`` (of the prompt so far; of a block of an answer up to it),
    ``output_tokens`` (of the turn's answer).
    """

    def length(self) -> int:
        """How many accesses there are."""
        return self._length

    @cached_property
    def _length(self) -> int:
        return sum(len(batch) for batch in self.batches())

    def batches(self) -> Iterator[Batch]:
        """The trace, from its start."""
        rows: list[tuple[int, ...]] = []
        for row in self._rows():
            rows.append(row)
            if len(rows) >= BATCH:
                yield self._batch(rows)
                rows = []
        if rows:
            yield self._batch(rows)

    def _batch(self, rows: list[tuple[int, ...]]) -> Batch:
        time, key, op, request, *features = (np.array(column) for column in zip(*rows, strict=True))
        columns: dict[str, Any] = {"time_ns": time, "op": op, "request": request, "size_bytes": self.config.block_bytes}
        return make_batch(key, **columns, features=dict(zip(_FEATURES, features, strict=True)))

    def _rows(self) -> Iterator[tuple[int, ...]]:
        """Time, key, op, request, and the features of each access, in the order of time."""
        config, rng = self.config, self.rng("sessions")
        shared = _Shared(config, self.rng("shared"))
        waiting: list[tuple[int, int, Session]] = []
        written: list[tuple[int, int, tuple[int, ...]]] = []
        next_ns, n_sessions, n_asked, n_put, request = 0, 0, 0, 0, 0
        while n_asked < config.requests:
            if waiting and waiting[0][0] <= next_ns:
                now, _, session = heappop(waiting)
            else:
                now, session = next_ns, Session(n_sessions)
                n_sessions += 1
                next_ns += round(rng.exponential(config.session_gap))
            if now > LATEST_NS:
                raise InputError(
                    f"kv_sessions: request {n_asked} would come after {LATEST_NS / _S:,.0f} s, the last time that "
                    "there is; expected fewer requests or a smaller session_gap"
                )
            while written and written[0][0] <= now:
                ns, _, (key, *said) = heappop(written)
                yield ns, key, WRITE, request, *said
                request += 1
            prompt = self._prompt(session, shared, rng)
            n_asked += 1
            answer = min(Tokens(*config.answer).drawn(rng), config.most_tokens - prompt)
            for key in session.keys[: prompt // config.block_tokens]:
                yield now, key, READ, request, session.number, session.turn, prompt, answer
            request += prompt >= config.block_tokens
            self._extend(session, answer, shared)
            n_whole = prompt // config.block_tokens
            for i in range(n_whole, session.n_tokens // config.block_tokens if config.writes else n_whole):
                full = (i + 1) * config.block_tokens
                key, of_turn = session.keys[i], (session.number, session.turn, full, answer)
                if config.answers == "whole":
                    yield now, key, WRITE, request - (n_whole > 0), *of_turn
                else:
                    ns = now + round((full - prompt) / config.decode * _S)
                    heappush(written, (ns, n_put, (key, *of_turn)))
                    n_put += 1
            request += config.answers == "whole" and n_whole == 0
            think = config.think * float(np.exp(config.think_sigma * rng.standard_normal()))
            if rng.random() < config.more_turns and session.n_tokens < config.most_tokens:
                session.turn += 1
                n_put += 1
                heappush(waiting, (now + round(answer / config.decode * _S + think), n_put, session))

    def _prompt(self, session: Session, shared: "_Shared", rng: np.random.Generator) -> int:
        """Say something; how many tokens that is with all before it."""
        config = self.config
        if session.turn == 0:
            shared.begin(session, rng)
            n = Tokens(*config.first_prompt).drawn(rng)
        else:
            if rng.random() < config.retry_ratio:
                # What is behind the turn before is cut off; a block that it began in is another one now.
                session.n_tokens = session.turn_began
                del session.keys[session.n_tokens // config.block_tokens :]
            n = Tokens(*config.prompt).drawn(rng)
        session.turn_began = session.n_tokens
        self._extend(session, min(n, config.most_tokens - session.n_tokens), shared)
        return session.n_tokens

    def _extend(self, session: Session, n_tokens: int, shared: "_Shared") -> None:
        session.n_tokens += n_tokens
        for _ in range(len(session.keys), session.n_tokens // self.config.block_tokens):
            session.keys.append(shared.new())


class _Shared:
    """Numbers blocks, and knows those of system prompts and documents."""

    def __init__(self, config: KvSessionsConfig, rng: np.random.Generator) -> None:
        self._config, self._n = config, 0
        self._documents = [Tokens(*config.document_tokens).drawn(rng) for _ in range(config.documents)]
        self._known: dict[tuple[int, int, int], int] = {}

    def new(self) -> int:
        """A block that nobody else has."""
        self._n += 1
        return self._n - 1

    def begin(self, session: Session, rng: np.random.Generator) -> None:
        """The system prompt, and a document behind it."""
        config, size = self._config, self._config.block_tokens
        system, document = _by_rank(config.systems, rng), -1
        n_tokens = config.system_tokens
        if self._documents and rng.random() < config.document_ratio:
            document = _by_rank(config.documents, rng)
            n_tokens = min(n_tokens + self._documents[document], config.most_tokens - 1)
        for i in range(n_tokens // size):
            # A block in which the document begins is that of both.
            of = (system, document if (i + 1) * size > config.system_tokens else -1, i)
            if of not in self._known:
                self._known[of] = self.new()
            session.keys.append(self._known[of])
        session.n_tokens = n_tokens


def _by_rank(n: int, rng: np.random.Generator) -> int:
    """One of ``n``, that of rank r in proportion to 1 / r."""
    if n == 1:
        return 0
    return int(np.searchsorted(_up_to_rank(n), rng.random(), side="right").clip(0, n - 1))


@cache
def _up_to_rank(n: int) -> npt.NDArray[np.float64]:
    """Shares of all up to each rank (n,)."""
    shares = 1 / np.arange(1, n + 1)
    found: npt.NDArray[np.float64] = np.cumsum(shares / shares.sum())
    return found
