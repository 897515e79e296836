"""A measurement of one's own: how many transfers wait at each link, over time, and a plot of it."""

from collections.abc import Iterator
from typing import Any

from matplotlib.figure import Figure

from experiments.prepared import model_of
from simulator.model.model import Model

EVERY_NS = 1_000_000


def monitor(model: Model, found: dict[str, list[int]]) -> Iterator[Any]:
    """Look at the queues every millisecond."""
    while True:
        for name, link in model.links.items():
            found[name].append(len(link.queue))
        yield model.env.timeout(EVERY_NS)


def main(config: str = "configs/mixed.yaml", arm: str = "next_n", picture: str = "queues.png") -> dict[str, list[int]]:
    """The number of waiting transfers by link, one for each millisecond; draws them into a file."""
    # Degree 24 asks for more than the links can carry at once.
    model = model_of(config, arm, sets=["arms.next_n.policy.n=24"])
    found: dict[str, list[int]] = {name: [] for name in model.links}
    model.env.process(monitor(model, found))
    model.run()
    figure = Figure(figsize=(8, 3), layout="constrained")
    axes = figure.subplots()
    for name, lengths in found.items():
        axes.plot([i * EVERY_NS / 1e9 for i in range(len(lengths))], lengths, label=name)
    axes.set(xlabel="simulated time, s", ylabel="transfers waiting")
    axes.legend()
    figure.savefig(picture)
    return found


if __name__ == "__main__":
    print({name: f"at most {max(lengths)} waiting" for name, lengths in main().items()})
