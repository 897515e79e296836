"""A network that goes on learning while it is asked: trained on the newest accesses, old weights answer meanwhile.

What training takes is charged as an update (rule R43). The policy's codec, its temperature and its threshold stay as
they were after the first training; so do the states that it carries.
"""

import copy
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from policies.given import Accesses
from policies.models.codecs.base import Codec
from policies.models.fitting import Fitting
from policies.models.lanes import encode
from policies.models.network import Network, n_bytes
from policies.models.parts import threads_for
from policies.models.policy import NetworkPolicy
from policies.models.schedule import Recipe
from policies.models.training import UpdateConfig
from simulator.errors import InputError
from simulator.policy import AccessRun, Decision, Told, Update
from simulator.trace import WRITE

_MOMENTUM = 0.9
_COPIES = 4
"""In GPU memory, beside the weights that answer: those that learn, their gradients, and two moments of each."""


def update_bytes(network: torch.nn.Module, update: UpdateConfig | None) -> int:
    """GPU memory that updates on the cache's own device keep. It is kept all the time: moments go on between them."""
    return _COPIES * n_bytes(network) if update is not None and update.where == "shared" else 0


class Learner:
    """The network that learns, apart from the one that answers."""

    def __init__(
        self, network: Network, codec: Codec, recipe: Recipe, update: UpdateConfig, device: torch.device, seed: int,
        own_errors: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:  # fmt: skip
        """``own_errors``: what somebody's network raises as it learns is said to be its own there."""
        self.network = copy.deepcopy(network).to(device)
        self._codec, self._recipe, self._update, self._device = codec, recipe, update, device
        self._seed, self._own_errors = seed, own_errors
        self._fitting: Fitting | None = None
        self._n_updates = 0

    def warmed(self, sequences: Sequence[Accesses]) -> "Learner":
        """Itself, after another one has learnt a little: the first time takes longer than any later one."""
        longest = max(sequences, key=lambda sequence: len(sequence.keys))
        part = slice(None, 2 * self._recipe.schedule.window)
        columns = {name: column[part] for name, column in longest.columns.items()}
        copy.deepcopy(self).learn([Accesses(longest.keys[part], longest.writes[part], columns)])
        return self

    def learn(self, sequences: Sequence[Accesses]) -> float | None:
        """Go over them; the mean loss of the first pass, or None if there is nothing to predict in them."""
        config, rates = self._recipe.schedule, (self._update.learning_rate, _MOMENTUM)
        with self._own_errors(), threads_for(self.network, self._device) as pool:
            streams = encode(sequences, self._codec, config)
            if self._fitting is None:
                rng = np.random.default_rng([self._seed, 1])
                self._fitting = Fitting(self.network, config, self._device, rng, self._seed)
            if not streams or not self._fitting.n_steps(streams):
                return None
            self._n_updates += 1
            torch.manual_seed(self._seed + self._n_updates)
            losses = [
                self._fitting.run_over(streams, lambda: rates, pool).means()[0] for _ in range(self._update.passes)
            ]
        if not all(bool(torch.isfinite(weights).all()) for weights in self.network.parameters()):
            raise InputError(
                f"policy.update: training {self._n_updates} gave weights that are no numbers; expected a smaller "
                f"learning_rate than {self._update.learning_rate:g}"
            )
        self.network.eval()
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return losses[0]


class UpdatedPolicy:
    """Asks ``policy``, and trains ``learner`` on what came; ``adopt`` has the policy answer by what was learnt."""

    recalls = True

    def __init__(
        self, policy: NetworkPolicy, learner: Learner, adopt: Callable[[Network], None], update: UpdateConfig, *,
        per_stream: bool, footprint_bytes: int,
    ) -> None:  # fmt: skip
        self.policy, self.trigger, self.ahead, self.hears = policy, policy.trigger, policy.ahead, policy.hears
        self.footprint_bytes = footprint_bytes
        self.needs = tuple(dict.fromkeys((*policy.needs, "op")))
        self._learner, self._adopt, self._update, self._per_stream = learner, adopt, update, per_stream
        self._recent: deque[AccessRun] = deque()
        self._n_recent = self._n_since = 0
        self._is_learning = False

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        """As the policy does; then, if it is time, the training that begins with that."""
        decision = self.policy.decide([self._as_it_sees(run) for run in runs])
        for run in runs:
            self._remember(run)
        if self._is_learning or self._n_since < self._update.every:
            return decision
        self._n_since = 0
        cpu, start = time.process_time_ns(), time.perf_counter_ns()
        loss = self._learner.learn(self._sequences())
        host_ns, cpu_ns = time.perf_counter_ns() - start, time.process_time_ns() - cpu
        if loss is None:
            return decision
        self._is_learning = True
        charged_ns = host_ns if self._update.takes == "measured" else self._update.takes
        where = self._update.where
        return replace(
            decision,
            update=Update(
                0 if where == "free" else charged_ns, where == "shared", host_ns, cpu_ns,
                min(self._n_recent, self._update.window), loss,
            ),
        )  # fmt: skip

    def _as_it_sees(self, run: AccessRun) -> AccessRun:
        return replace(run, columns={name: run.columns[name] for name in self.policy.needs if len(run)})

    def _remember(self, run: AccessRun) -> None:
        if len(run):
            self._recent.append(run)
            self._n_recent += len(run)
            self._n_since += len(run)
        while self._recent and self._n_recent - len(self._recent[0]) >= self._update.window:
            self._n_recent -= len(self._recent.popleft())

    def _sequences(self) -> list[Accesses]:
        """The newest accesses, a sequence a stream or one of all."""
        newest = slice(-self._update.window, None)

        def column(name: str) -> Any:
            return np.concatenate([run[name] for run in self._recent])[newest]

        columns: Mapping[str, Any] = {name: column(name) for name in ("key", "stream", *self.needs)}

        def part(mine: Any) -> Accesses:
            others = {name: columns[name][mine] for name in self.policy.needs}
            return Accesses(columns["key"][mine], columns["op"][mine] == WRITE, others)

        if not self._per_stream:
            return [part(slice(None))]
        return [part(columns["stream"] == stream) for stream in np.unique(columns["stream"])]

    def told(self, told: Told) -> None:
        """What was learnt answers from now on, if that is over."""
        if told.is_updated:
            self._adopt(self._learner.network)
            self._is_learning = False
        else:
            self.policy.told(told)
