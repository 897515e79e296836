"""What was decided, question by question: kept beside the latencies, and taken in a replay in place of deciding anew.

On another machine a network's scores differ in the last digits, and of two blocks that are as good as equal the other
may come first there. A replay that computes is refused then; one that takes what was decided is not.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from experiments.charges import AnyCharge, Measured
from experiments.recording import Recording
from experiments.updates import DIGEST as UPDATES_DIGEST
from policies.given import Built
from simulator.charge import Charge, Cost
from simulator.errors import InputError
from simulator.policy import AccessRun, Answer, Decision, Parts, Policy, Told, recalls

TABLE = "decisions"
DIGEST = "decisions_sha256"
"""Under this name the metadata of ``inferences``, which is sealed, has their checksum."""
_COLUMNS = ("batch", "question", "predicted_key", "confidence", "keys", "confidences")
_ROWS = 4096


def _row(batch: int, question: int, answer: Answer) -> tuple[Any, ...]:
    """As it is kept: plain numbers, and None for what there is not."""
    guess, confidence = answer.predicted_key, float(answer.confidence)
    return (
        batch, question, None if guess is None else int(guess), None if math.isnan(confidence) else confidence,
        [int(key) for key in answer.keys], [float(sure) for sure in answer.confidences],
    )  # fmt: skip


def keeps_decisions(charge: AnyCharge, built: Built) -> bool:
    """Whether what a network decides is kept: whoever replays it may do without the network.

    Not where the engine measures it without Python: there nobody sees a decision. Another CPU comes to the same.
    """
    if "model_hash" not in built.details:
        return False
    if isinstance(charge, Measured):
        is_timed = getattr(getattr(built.policy, "table", None), "is_timed", False)
        return charge.pace != "back_to_back" or not is_timed
    return charge.kind == "replay"


class Recorder:
    """Charges as ``charge`` does, and keeps what each decision was: ``write`` takes a table's name and columns."""

    def __init__(self, charge: Charge, write: Callable[[str, dict[str, Any]], None]) -> None:
        self.charge = charge
        self.before = getattr(charge, "before", None)
        """Of a charge that has a pace of its own."""
        self.of_update = getattr(charge, "of_update", None)
        self._write = write
        self._rows: list[tuple[Any, ...]] = []
        self._n_batches = 0
        self._digest = hashlib.sha256()

    def __call__(self, decision: Decision) -> Cost:
        """The cost of a decision."""
        cost = self.charge(decision)
        self._rows += [_row(self._n_batches, i, answer) for i, answer in enumerate(decision.answers)]
        self._n_batches += 1
        if len(self._rows) >= _ROWS:
            self._flush()
        return cost

    def _flush(self) -> None:
        rows, self._rows = self._rows, []
        if rows:
            _add(self._digest, rows)
            self._write(TABLE, dict(zip(_COLUMNS, map(list, zip(*rows, strict=True)), strict=True)))

    def finish(self) -> str:
        """Write what is left; the checksum of all."""
        self._flush()
        return self._digest.hexdigest()


def _add(digest: Any, rows: Sequence[tuple[Any, ...]]) -> None:
    for row in rows:
        digest.update(repr(row).encode())


class _Decided:
    """In the place of a policy: what it decided when it was recorded, batch by batch. It looks at nothing."""

    hears = False

    def __init__(self, policy: Policy, batches: Sequence[Sequence[Answer]], source: str) -> None:
        self.trigger, self.ahead, self.footprint_bytes = policy.trigger, policy.ahead, policy.footprint_bytes
        self.recalls = recalls(policy)
        # What answers at once is in no recording: it needs no network, and answers the same.
        its_parts: Parts | None = getattr(policy, "parts", None)
        self.parts = Parts(its_parts.at_once, self) if its_parts is not None else None
        self._batches = batches
        self._source = source
        self._n_used = 0

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        """The next recorded answers. Raises InputError if there are none, or to other questions."""
        answers = self._batches[self._n_used] if self._n_used < len(self._batches) else ()
        if len(answers) != len(runs):
            raise InputError(
                f"{self._source}: has {len(answers)} answers in batch {self._n_used}, but the run asks {len(runs)} "
                "questions: it was recorded from another run"
            )
        self._n_used += 1
        return Decision(answers)

    def told(self, told: Told) -> None:
        """Learns nothing."""


def recorded_answers(recording: Recording) -> list[list[Answer]]:
    """What was decided, batch by batch.

    Raises:
        InputError: the recording has none, or they were changed.
    """
    if UPDATES_DIGEST in recording.metadata:
        raise InputError(
            f"{recording.file}: is of a policy that goes on learning, which a replay without it would not do; expected "
            "decisions: recomputed"
        )
    file = recording.file.parent.parent / TABLE / recording.file.name
    expected = recording.metadata.get(DIGEST)
    if expected is None:
        raise InputError(
            f"{recording.file}: was recorded without decisions, which are kept where a network is measured through "
            "Python, as on a GPU; expected such a recording, or decisions: recomputed"
        )
    try:
        table = pq.read_table(file, columns=list(_COLUMNS), page_checksum_verification=True)
    except FileNotFoundError:
        raise InputError(
            f"{file}: no such file; expected the whole folder of results, or decisions: recomputed"
        ) from None
    except (pa.ArrowException, OSError, KeyError) as error:
        raise InputError(f"{file}: is no table of decisions: {error}") from None
    rows = list(zip(*(table[name].to_pylist() for name in _COLUMNS), strict=True))
    digest = hashlib.sha256()
    _add(digest, rows)
    if digest.hexdigest() != expected:
        raise InputError(f"{file}: was changed after it was recorded (its checksum differs); expected it as written")
    batches: list[list[Answer]] = []
    for _, question, guess, confidence, keys, sure in rows:
        if question == 0:
            batches.append([])
        batches[-1].append(Answer(keys, sure, guess, math.nan if confidence is None else confidence))
    return batches


def as_recorded(built: Built, recording: Recording) -> Built:
    """What is built, with the recording's decisions in place of its own. Raises InputError as ``recorded_answers``."""
    file = recording.file.parent.parent / TABLE / recording.file.name
    return replace(built, policy=_Decided(built.policy, recorded_answers(recording), str(file)))
