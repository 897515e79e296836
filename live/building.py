"""From what somebody has, a line, settings or a policy, to a policy that can be asked."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from policies.base import PolicySettings
from policies.given import Accesses, Built, Given
from policies.registry import POLICIES
from simulator.errors import InputError
from simulator.needs import needs_of
from simulator.policy import AccessRun, Outcome, Policy, Trigger

Trains = npt.ArrayLike | Mapping[int, npt.ArrayLike]
"""Keys to learn from: of all streams together, or of each by its number."""


def builder(policy: Any, train_on: Trains | None, seed: int, n_streams: int, batch_size: int) -> Callable[[], Built]:
    """What makes the policy, a fresh one each time if it is said by its settings.

    Raises:
        InputError: it is no policy, and nothing that says one.
    """
    if isinstance(policy, Built):
        return lambda: policy
    if isinstance(policy, str | Mapping | PolicySettings):
        settings = _settings(policy)
        given = _given(train_on, seed, n_streams, batch_size)
        return lambda: settings.build(given)
    decide = getattr(policy, "decide", None)
    if isinstance(policy, type) or not callable(decide) or not isinstance(getattr(policy, "trigger", None), Trigger):
        raise InputError(
            f"policy: {policy!r}; expected a line such as next_n(n=4), settings, or an object with the members of "
            "simulator.policy.Policy"
        )
    if len(inspect.signature(decide).parameters) != 1:
        raise InputError(f"policy: {type(policy).__name__}.decide{inspect.signature(decide)}; expected decide(runs)")
    return lambda: Built(policy)


def _settings(said: str | Mapping[str, Any] | PolicySettings) -> PolicySettings:
    if isinstance(said, str):
        return POLICIES.parse(said)
    try:
        return POLICIES.validate(dict(said) if isinstance(said, Mapping) else said)
    except ValidationError as error:
        raise InputError(*(f"policy: {problem['msg']}; got {said!r}" for problem in error.errors())) from None


def _given(train_on: Trains | None, seed: int, n_streams: int, batch_size: int) -> Given:
    by_stream = train_on if isinstance(train_on, Mapping) else {} if train_on is None else {0: train_on}
    keys = {stream: _keys(of_stream) for stream, of_stream in by_stream.items()}

    def sequences(per_stream: bool, needs: Sequence[str] = (), /) -> list[Accesses]:
        if not keys:
            raise InputError("train_on: is None; expected keys, for the policy learns before it is asked")
        if missing := set(needs) - {"stream", "op"}:
            raise InputError(f"policy: learns from {', '.join(sorted(missing))}; expected one that learns from keys")
        found = [(np.full(len(mine), stream, np.uint32), mine) for stream, mine in sorted(keys.items())]
        if not per_stream:
            found = [(np.concatenate([part[0] for part in found]), np.concatenate([part[1] for part in found]))]
        return [Accesses(mine, np.zeros(len(mine), np.bool_), _columns(needs, stream)) for stream, mine in found]

    def unknown(*_: object) -> NoReturn:
        raise InputError("policy: goes by accesses that are to come; expected one that goes by those that were")

    return Given(
        sequences, seed, simulated=unknown, future=unknown, n_streams=n_streams, batch_size=batch_size, is_measured=True
    )


def _columns(needs: Sequence[str], stream: npt.NDArray[np.uint32]) -> dict[str, npt.NDArray[Any]]:
    """``op`` and ``stream``: all are reads."""
    return {name: stream if name == "stream" else np.zeros(len(stream), np.uint8) for name in needs}


def _keys(keys: npt.ArrayLike) -> npt.NDArray[np.uint64]:
    found = np.asarray(keys)
    if found.ndim != 1 or (len(found) and found.dtype.kind not in "iu"):
        raise InputError(f"train_on: {found.dtype} of shape {found.shape}; expected keys, one after the other")
    return found.astype(np.uint64)


def next_key(policy: Policy, build: Callable[[], Built] | None, keys: npt.NDArray[np.uint64]) -> tuple[int, float]:
    """The best guess after a sequence of keys, by a policy that has seen nothing else, and its confidence.

    A network is asked as it is, with a context of its own for this; of another policy a fresh one is made. Raises
    InputError if there is neither, and ValueError if nothing can follow.
    """
    predictor = getattr(policy, "predictor", None)
    if predictor is not None and hasattr(predictor, "predict_next_key"):
        found: tuple[int, float] = predictor.predict_next_key(keys.tolist())
        return found
    if build is None:
        raise InputError("predict_next_key: the policy was handed over ready-made; expected its settings, or a network")
    fresh = build().policy
    needs = needs_of(fresh)
    if set(needs) - {"op"}:
        raise InputError(f"predict_next_key: the policy needs {', '.join(needs)}; expected one of keys alone")
    streams, outcomes = np.zeros(1, np.uint32), np.full(1, Outcome.MISS, np.uint8)
    answer = None
    for i in range(len(keys)):
        # One after the other: what a table learns of an access may depend on having been asked before.
        columns = dict.fromkeys(needs, np.zeros(1, np.uint8))
        answer = fresh.decide([AccessRun(keys[i : i + 1], streams, outcomes, columns)]).answers[0]
    if answer is None:
        raise ValueError("predict_next_key: expected at least one key")
    if answer.predicted_key is None:
        raise ValueError("predict_next_key: the policy has no guess")
    return answer.predicted_key, answer.confidence
