"""What recording costs a step of the two examples: with and without, in turns, in one process.

``python -m benchmarks.recorder`` prints processor time of a step, of the model's own thread and of all, and the share
that recording adds: medians over pairs, the latter of their ratios, with a 95 % interval from resampling them. What
other threads take, which write the file, a step does not wait for where there are cores to spare.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

import tierfetch
from examples.click_model import ClickModel, Clicks
from examples.moe_language_model import CONTEXT, PROMPT, LanguageModel


def language(recorder: tierfetch.Recorder | None) -> Iterator[int]:
    """Text of two requests, a token each a step."""
    torch.manual_seed(0)
    model = LanguageModel().eval()
    for number, layer in enumerate(model.layers if recorder else ()):
        gate, expert = layer.mixture.gate, layer.mixture.experts[0]
        recorder.experts(gate, top_k=2, layer=number, expert=expert, distinct=True)
    while True:
        yield from (0 for _ in model.generate(torch.randint(256, (2, PROMPT))))


def clicks(recorder: tierfetch.Recorder | None, batch: int) -> Iterator[int]:
    """Requests of some samples, a request a step; what is asked is drawn beforehand."""
    torch.manual_seed(0)
    model, made = ClickModel().eval(), Clicks(0)
    given = [made.batch(batch)[0] for _ in range(100)]
    if recorder:
        recorder.embeddings(model)
    while True:
        for one in given:
            with recorder.request() if recorder else nullcontext():
                model(*one)
            yield 0


def training(recorder: tierfetch.Recorder | None) -> Iterator[int]:
    """The click model, learning from 256 samples a step."""
    torch.manual_seed(0)
    model, made = ClickModel(), Clicks(0)
    given = [made.batch(256) for _ in range(20)]
    optimizer = torch.optim.Adam(model.parameters())
    if recorder:
        recorder.embeddings(model)
    with torch.enable_grad():
        while True:
            for inputs, clicked in given:
                loss = torch.nn.functional.binary_cross_entropy_with_logits(model(*inputs), clicked)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                yield 0


def cpu_ms(steps: Iterator[int], n: int) -> tuple[float, float]:
    """Of a step, in the mean of n: this thread's, and with what other threads took meanwhile."""
    start, of_all = time.thread_time(), time.process_time()
    for _ in range(n):
        next(steps)
    return (time.thread_time() - start) / n * 1000, (time.process_time() - of_all) / n * 1000


def measure(name: str, make: Callable[..., Iterator[int]], pairs: int, n: int, folder: Path, **settings: Any) -> None:
    with torch.no_grad(), tierfetch.Recorder(folder / f"{name}.parquet", force=True) as r:
        plain, recorded = make(None, **settings), make(r, **settings)
        for warm in (plain, recorded):
            cpu_ms(warm, n)
        times = np.empty((pairs, 2, 2))
        for pair in range(pairs):
            # Who is first changes, as the first finds other caches.
            for which in (0, 1) if pair % 2 else (1, 0):
                times[pair, which] = cpu_ms((plain, recorded)[which], n)
    per_step = sum(space.n_accesses for space in r.spaces) / (n * (pairs + 1))
    without, with_it = np.median(times[:, :, 0], axis=0)
    said = " | ".join(added(times[:, 1, of] / times[:, 0, of] - 1) for of in (0, 1))
    print(f"| {name} | {per_step:.1f} | {without:.3f} | {with_it:.3f} | {said} |", flush=True)


def added(ratios: npt.NDArray[np.float64]) -> str:
    """The median and its interval."""
    drawn = np.median(np.random.default_rng(0).choice(ratios, (2000, len(ratios))), axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return f"{np.median(ratios):+.1%} ({low:+.1%} to {high:+.1%})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=40)
    pairs = parser.parse_args().pairs
    torch.set_num_threads(1)
    print("| step | accesses | ms without | ms with | added | by all threads |\n|---|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        into = Path(folder)
        measure("text, 2 requests", language, pairs, CONTEXT - PROMPT, into)
        measure("clicks, 2 samples", clicks, pairs, 500, into, batch=2)
        measure("clicks, 128 samples", clicks, pairs, 200, into, batch=128)
        measure("clicks, training on 256", training, pairs, 20, into)


if __name__ == "__main__":
    main()
