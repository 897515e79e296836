"""A run's questions to a policy in Python, and what the answers cost, on behalf of the compiled engine."""

from collections.abc import Sequence

import numpy as np

from simulator.accounting import Books
from simulator.arrays import NONE, Ints
from simulator.charge import Charge, put
from simulator.compiled import address_of
from simulator.errors import OutsideError
from simulator.handing import Asked, hand_back, hand_over
from simulator.needs import ToShow
from simulator.policy import AccessRun, Answer, Fate, Policy, Told, Update
from simulator.records import checked
from simulator.state import Machine
from simulator.updating import begin

_FIRST_ROOM = 256


class Talk:
    """Puts each batch of questions that is due to the policy, and hands the answers back."""

    def __init__(
        self, machine: Machine, policy: Policy, charge: Charge, to_show: ToShow | None, books: Books, *, hears: bool
    ) -> None:  # fmt: skip
        """``hears``: the policy is to be told of fates."""
        self._machine, self._policy, self._charge, self._to_show = machine, policy, charge, to_show
        self._books, self._hears = books, hears
        self._update: tuple[int, Update] | None = None
        n_questions = machine.run.settings.batch_size
        self._asked: Ints = np.zeros(n_questions * Asked.words, np.int64)
        checked.declare(self._asked, Asked, 0, n_questions)
        self._rows = Asked.as_rows(self._asked)
        self._at = address_of(self._asked)
        self._make_room(_FIRST_ROOM)
        self._answer_in(_FIRST_ROOM)

    def _make_room(self, n: int) -> None:
        """For so many accesses that are shown."""
        self._room = n
        self._keys = np.zeros(n, np.uint64)
        self._streams, self._outcomes, self._accesses = (np.zeros(n, np.int64) for _ in range(3))
        self._shown_in = (
            address_of(self._keys), address_of(self._streams), address_of(self._outcomes), address_of(self._accesses),
        )  # fmt: skip

    def _answer_in(self, n: int) -> None:
        """For so many blocks that are wanted."""
        self._wanted, self._sure, self._experts = np.zeros(n, np.uint64), np.zeros(n), np.full(n, NONE)
        self._answers_in = address_of(self._wanted), address_of(self._sure), address_of(self._experts)

    def ask(self) -> bool:
        """Put the next batch; whether the run's memory has moved for its answers."""
        machine = self._machine
        if self._hears:
            self._tell()
        if machine.run.updating.is_news:
            machine.run.updating.is_news = 0
            self.keep_update()
            self._policy.told(Told(is_updated=True))
        n_questions = hand_over(machine.address, self._at, *self._shown_in, self._room)
        if n_questions < 0:
            self._make_room(-2 * n_questions)
            n_questions = hand_over(machine.address, self._at, *self._shown_in, self._room)
        runs, first = [], 0
        for i in range(n_questions):
            end = int(self._asked[i * _WORDS + _END])
            streams = self._streams[first:end].astype(np.uint32)
            columns = self._to_show.take(self._accesses[first:end]) if self._to_show is not None else {}
            outcomes = self._outcomes[first:end].astype(np.uint8)
            about = None
            if self._asked[i * _WORDS + _IS_RECALLED]:
                row = self._rows[i]
                about = int(row["key"]) % 2**64, int(row["stream"])
            runs.append(AccessRun(self._keys[first:end].copy(), streams, outcomes, columns, about))
            first = end
        try:
            decision, cost = put(self._policy, self._charge, runs, machine.run.now)
        except OutsideError as error:
            error.access = int(self._rows["access"][error.nth_question])
            raise
        self._write(decision.answers, n_questions)
        # What is in the arrays by now is handed over by their addresses.
        answers = self._at, *self._answers_in, *cost
        n_lacking = hand_back(machine.address, n_questions, *answers)
        if n_lacking:
            machine.reserve("chunks", n_lacking)
            hand_back(machine.address, n_questions, *answers)
        if decision.update is not None:
            self._begin(decision.update, int(self._rows["access"][n_questions - 1]))
        return bool(n_lacking)

    def _begin(self, update: Update, access: int) -> None:
        if self._update is not None:
            raise ValueError(f"the policy begins an update at access {access}, but one is not over; expected one")
        self._update = access, update
        begin(self._machine.address, update.charged_ns, update.shares)

    def keep_update(self) -> None:
        """Of the update that was begun last, over or not, keep what came of it."""
        if self._update is not None:
            (access, update), it = self._update, self._machine.run.updating
            self._books.add_update(access, update, it.begun_ns, it.started_ns, it.ended_ns, it.n_preempted)
            self._update = None

    def _tell(self) -> None:
        """Tell the policy what came since it was asked last, if anything did."""
        machine, run = self._machine, self._machine.run
        told = machine.rows("told")
        if len(told) or run.n_polluted_told:
            fates = list(map(Fate, told["fate"].tolist()))
            news = Told(told["key"].view(np.uint64).tolist(), fates, run.n_polluted_told)
            machine.drop("told", len(told))
            run.n_polluted_told = 0
            self._policy.told(news)

    def _write(self, answers: Sequence[Answer], n_questions: int) -> None:
        """The answers, one behind the other: what is wanted, and then the best guess."""
        if len(answers) != n_questions:
            raise ValueError(
                f"the policy gave {len(answers)} answers; expected one for each of {n_questions} questions"
            )
        n = n_questions
        for answer in answers:
            n += len(answer.keys)
        if n > len(self._wanted):
            self._answer_in(2 * n)
        wanted, sure, asked = self._wanted, self._sure, self._asked
        at = 0
        for i, answer in enumerate(answers):
            n_wanted, guess = len(answer.keys), answer.predicted_key
            behind = at + n_wanted
            if n_wanted == 1:
                wanted[at], sure[at] = answer.keys[0], answer.confidences[0]
            elif n_wanted:
                # Assigned as they are: an array of their own would have the type of floats, were one beyond 2**63.
                wanted[at:behind], sure[at:behind] = answer.keys, answer.confidences
            self._experts[at:behind] = answer.experts if answer.experts else NONE
            wanted[behind], sure[behind] = 0 if guess is None else guess, answer.confidence
            asked[i * _WORDS + _N_WANTED], asked[i * _WORDS + _HAS_GUESS] = n_wanted, guess is not None
            at = behind + 1


_WORDS = Asked.words
_END, _IS_RECALLED, _N_WANTED, _HAS_GUESS = (
    Asked.word(name) for name in ("end", "is_recalled", "n_wanted", "has_guess")
)
