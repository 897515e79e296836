"""How requests are served, where they have a life (rule R45): settings, and what follows from them."""

from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from simulator.quantities import Count, Nanoseconds, Strict
from simulator.units import NS_PER_S

_UNIT = "tokens/s"
_FASTEST = 10**12


def parse_rate(text: object) -> float:
    """Tokens per second from a string such as "20000 tokens/s". Raises ValueError on anything else."""
    number, _, unit = text.strip().partition(" ") if isinstance(text, str) else ("", "", "")
    try:
        rate = Decimal(number)
    except InvalidOperation:
        rate = Decimal("NaN")
    if unit.strip() != _UNIT or not rate.is_finite() or not Decimal("0.001") <= rate <= _FASTEST:
        raise ValueError(
            f"expected tokens a second as a string with a unit, such as '20000 {_UNIT}', from 0.001 to 10^12; "
            f"got {text!r}"
        )
    return float(rate)


TokensPerSecond = Annotated[
    float,
    BeforeValidator(parse_rate),
    PlainSerializer(lambda rate: f"{Decimal(repr(rate)).normalize():f} {_UNIT}"),
    WithJsonSchema(
        {"type": "string", "pattern": rf"^\s*[0-9]+(\.[0-9]+)?\s+{_UNIT}\s*$", "examples": [f"20000 {_UNIT}"]}
    ),
]


class Requests(Strict):
    """A request's life: it waits for one of the running places, is fetched, computed and decoded, and ends."""

    running: Annotated[int, Field(ge=1, le=4096)]
    """Requests that are served at a time; others wait, first come, first served."""
    prefill: TokensPerSecond | None = None
    """Tokens that are computed a second, of all requests together, where the origin computes; null: as that says."""
    decode: TokensPerSecond | None = None
    """Tokens of its answer that a request is given a second; null: at once."""
    block_tokens: Count | None = None
    """Tokens of a block; null: as the workload says."""
    answer: str = "output_tokens"
    """The feature of the trace that says how many tokens a request is answered with; without it, those of the blocks
    that it writes last."""
    storage: str | None = None
    """A tier from which blocks come by prefetches alone, as from those below it: a request that finds a block there
    and nowhere above computes it. Null: what is anywhere is fetched."""
    stop: Literal["wait_complete", "best_effort", "timeout"] = "wait_complete"
    """What a request does whose blocks prefetches are bringing when its turn has come: waits for them, goes on without
    those that are not there, or does so once it has been there for `timeout`."""
    timeout: Nanoseconds | None = None
    """With `stop: timeout`: how long since its arrival it waits for them at most."""

    @model_validator(mode="after")
    def _fits(self) -> "Requests":
        if (self.stop == "timeout") != (self.timeout is not None):
            is_there = "missing" if self.timeout is None else f"{self.timeout} ns"
            raise ValueError(f"timeout: is {is_there}, and stop {self.stop!r}; expected it with stop: timeout, alone")
        return self

    def prefill_ns(self) -> int:
        """What computing the tokens of a block takes, in ns; 0: nothing beside what the origin says."""
        return _tokens_ns(self.block_tokens or 1, self.prefill)

    def decode_ns(self, n_tokens: int) -> int:
        """What an answer of so many tokens takes, in ns."""
        return _tokens_ns(n_tokens, self.decode)


def _tokens_ns(n_tokens: int, rate: float | None) -> int:
    """Rounded up (rule R1)."""
    return 0 if rate is None else -(-n_tokens * NS_PER_S * Fraction(rate).denominator // Fraction(rate).numerator)
