"""The LSTM as it comes, and its weights as ``kind: model``: what a question costs, backend by backend.

``python -m benchmarks.models``: both are asked the same questions in turn, so that what else the machine does meets
both alike. Ratios of medians; the LSTM's predictions are compared with the model's on the way.
"""

import statistics
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from policies.given import Accesses, Given
from policies.lstm.build import build_lstm
from policies.lstm.config import LstmConfig
from policies.models.build import build_model
from policies.models.config import ModelConfig
from simulator.policy import AccessRun, Policy

N_KEYS, N_QUESTIONS, BLOCK = 1000, 6000, 200


def given_of(keys: Any) -> Given:
    """A training part of one stream."""
    return Given(lambda per_stream, needs=(): [Accesses(keys, np.zeros(len(keys), bool))], seed=0)


def pair(keys: Any, backend: str, **settings: Any) -> tuple[Policy, Policy]:
    """The LSTM trained on these keys, and a model with its weights and vocabulary, on a backend of the same name."""
    lstm = build_lstm(LstmConfig.model_validate({"kind": "lstm", "backend": backend, **settings}), given_of(keys))
    names = ("embedding", "hidden", "layers")
    described = LstmConfig.model_validate({"kind": "lstm", **settings})
    config = ModelConfig.model_validate(
        {
            "kind": "model", "model": "lstm", "weights": str(lstm.model_file), "vocabularies": str(lstm.model_file),
            "settings": {name: getattr(described, name) for name in names}, "backend": backend, "threshold": 0.0,
            "encoder": described.encoding, "degree": described.degree, "device": described.device,
        }
    )  # fmt: skip
    return lstm.policy, build_model(config, given_of(keys)).policy


def medians_ns(policies: tuple[Policy, Policy], keys: Any) -> list[float]:
    """Of what a question is charged, asked access by access, in turn."""
    times: list[list[int]] = [[], []]
    answers: list[list[Any]] = [[], []]
    blocks = range(0, len(keys) + 1, BLOCK)
    for first, end in pairwise(blocks):
        for which, policy in enumerate(policies):
            for at in range(first, end):
                run = AccessRun(keys[at : at + 1], np.zeros(1, np.uint32), np.full(1, 4, np.uint8))
                decision = policy.decide([run])
                times[which].append(decision.host_ns)
                answers[which].append(decision.answers[0].predicted_key)
    n_other = sum(a != b for a, b in zip(*answers, strict=True))
    print(f"  {n_other} of {len(keys)} best guesses differ")
    return [statistics.median(taken) for taken in times]


def main() -> None:
    keys = np.tile(np.random.default_rng(0).permutation(N_KEYS).astype(np.uint64), 12)
    with tempfile.TemporaryDirectory() as folder:
        for backend in ("eager", "onnx"):
            both = pair(keys[: 5 * N_KEYS], backend, epochs=3, device="cpu")
            ours, theirs = medians_ns(both, keys[:N_QUESTIONS])
            print(f"{backend}: lstm {ours / 1000:.1f} us, model {theirs / 1000:.1f} us: {theirs / ours:.3f}")
    assert not Path(folder).exists()


if __name__ == "__main__":
    main()
