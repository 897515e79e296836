"""The part of a policy that answers within the access that asks (rule R44)."""

from typing import TYPE_CHECKING

import numpy as np

from simulator.policy import AccessRun, Answer, Policy

if TYPE_CHECKING:
    from simulator.model.accesses import Access


def answer_at_once(part: Policy, access: "Access") -> Answer:
    """What it wants at an access that is about to put a question: it is shown that, with its outcome as it is now."""
    shown = AccessRun(
        np.array([access.key], np.uint64), np.array([access.stream], np.uint32), np.array([access.outcome], np.uint8),
        {"op": np.array([access.op], np.uint8)},
    )  # fmt: skip
    return part.decide([shown]).answers[0]
