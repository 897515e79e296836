"""Checkpoints take a channel of the link between GPU and host, again and again: what does that cost the accesses?"""

from collections.abc import Iterator
from typing import Any

from experiments.prepared import model_of
from simulator.model.links import WRITE_BACK
from simulator.model.model import Model

EVERY_NS, TAKES_NS = 1_000_000_000, 400_000_000


def checkpoints(model: Model) -> Iterator[Any]:
    """Once a second a checkpoint waits, behind all demands and prefetches, for a channel, and holds it for 0.4 s."""
    while True:
        yield model.env.timeout(EVERY_NS - TAKES_NS)
        with model.links["hbm_dram"].request(priority=WRITE_BACK) as channel:
            yield channel
            yield model.env.timeout(TAKES_NS)


def main(config: str = "configs/mixed.yaml", arm: str = "next_n") -> tuple[float, float]:
    """Mean latency without and with checkpoints, in us."""
    means = []
    for has_checkpoints in (False, True):
        # One channel: what a checkpoint holds, nothing else gets.
        model = model_of(config, arm, sets=["system.links.0.channels=1"])
        if has_checkpoints:
            model.env.process(checkpoints(model))
        model.run()
        means.append(model.ledger.books.latency.mean() / 1000)
    return means[0], means[1]


if __name__ == "__main__":
    without, beside = main()
    print(f"mean latency: {without:.0f} us, beside checkpoints {beside:.0f} us")
