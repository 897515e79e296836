"""The settings of every policy: a union told apart by ``kind``."""

from typing import Annotated, Literal

from pydantic import Field

from policies.lstm.config import LstmConfig
from simulator.config import Count, Strict


class NoneConfig(Strict):
    """No prefetching."""

    kind: Literal["none"]


class NextNConfig(Strict):
    """The N following blocks."""

    kind: Literal["next_n"]
    n: Count = 1
    stride: Annotated[int, Field(ge=-(2**62), le=2**62)] = 1
    trigger: Literal["miss", "tagged", "access"] = "tagged"


PolicyConfig = Annotated[NoneConfig | NextNConfig | LstmConfig, Field(discriminator="kind")]
