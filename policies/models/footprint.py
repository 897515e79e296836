"""GPU memory that a network keeps, and that tier 0 has not (rule R7)."""

from policies.given import Given
from policies.models.backend import Backend


def footprint(backend: Backend, weights_bytes: int, more_bytes: int, given: Given) -> int:
    """Of a backend on a GPU what it holds there, else of its weights, and what else there is, as the states of lines.

    A replay takes the recorded one, wherever it is computed: another would be another tier 0.
    """
    if given.recorded is not None and given.recorded.footprint_bytes is not None:
        return given.recorded.footprint_bytes
    return (weights_bytes if backend.place.type == "cpu" else backend.held_bytes()) + more_bytes
