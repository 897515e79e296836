"""Everybody may come in."""

from typing import Literal

from simulator.residency.settings import AdmissionSettings


class AdmitAll(AdmissionSettings):
    """Every block that comes is kept."""

    kind: Literal["all"]
