"""Every policy by its ``kind``: one line each. What a builder needs of torch it imports when it is called."""

from collections.abc import Callable
from typing import Any

from policies.config import NextNConfig, NoneConfig
from policies.given import Built, Given
from policies.lstm.config import LstmConfig
from policies.next_n import NextNPolicy
from policies.none import NonePolicy
from simulator.policy import Trigger


def _none(config: NoneConfig, given: Given) -> Built:
    return Built(NonePolicy())


def _next_n(config: NextNConfig, given: Given) -> Built:
    return Built(NextNPolicy(config.n, Trigger[config.trigger.upper()], config.stride))


def _lstm(config: LstmConfig, given: Given) -> Built:
    from policies.lstm.build import build_lstm

    return build_lstm(config, given)


BUILDERS: dict[str, Callable[[Any, Given], Built]] = {"none": _none, "next_n": _next_n, "lstm": _lstm}


def check(config: NoneConfig | NextNConfig | LstmConfig) -> None:
    """Find out before any run what a policy needs of the machine. Raises InputError if it is not there."""
    if config.kind == "lstm" and (config.device == "cuda" or config.backend != "auto"):
        from policies.lstm.backends.registry import named
        from policies.lstm.model import pick_device

        device = pick_device(config.device)
        if config.backend != "auto":
            named(config.backend, device.type)


def build(config: NoneConfig | NextNConfig | LstmConfig, given: Given) -> Built:
    """A fresh policy for one run."""
    return BUILDERS[config.kind](config, given)
