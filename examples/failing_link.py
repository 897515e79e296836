"""The link to the host fails and comes back: how long do accesses wait, and when is all as it was?"""

from collections.abc import Iterator
from typing import Any

from experiments.prepared import model_of
from simulator.model.model import Model

FAILS_NS, IS_BACK_NS = 2_000_000_000, 3_000_000_000


def failure(model: Model, name: str) -> Iterator[Any]:
    """Take every channel, before all transfers that wait; calls that are under way still end."""
    link = model.links[name]
    yield model.env.timeout(FAILS_NS)
    channels = [link.request(priority=-1) for _ in range(int(link.capacity))]
    yield model.env.all_of(channels)
    yield model.env.timeout(IS_BACK_NS - model.now)
    for channel in channels:
        link.release(channel)


def main(config: str = "configs/mixed.yaml", arm: str = "none") -> tuple[int, int]:
    """The longest latency of an access, and of those that were issued after the link was back, in ns."""
    model, longest, afterwards = model_of(config, arm), 0, 0

    def served(access: Any) -> None:
        nonlocal longest, afterwards
        latency_ns = access.end_ns - access.issued_ns
        longest = max(longest, latency_ns)
        afterwards = max(afterwards, latency_ns * (access.issued_ns > IS_BACK_NS))

    model.on("served", served)
    model.env.process(failure(model, "hbm_dram"))
    model.run()
    return longest, afterwards


if __name__ == "__main__":
    print("the longest access: {} ns; once the link was back: {} ns".format(*main()))
