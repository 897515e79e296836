"""Every policy: one line each. What a policy needs of torch it imports when it is built."""

from typing import Annotated

from pydantic import Field

from policies.amp import AmpConfig
from policies.base import PolicySettings
from policies.best_offset import BestOffsetConfig
from policies.dcpt import DcptConfig
from policies.fdp import FdpConfig
from policies.gate import GateConfig
from policies.ghb import GhbConfig
from policies.isb import IsbConfig
from policies.leap import LeapConfig
from policies.linux_readahead import LinuxReadaheadConfig
from policies.lstm.config import LstmConfig
from policies.markov import MarkovConfig
from policies.mithril import MithrilConfig
from policies.next_n import NextNConfig
from policies.none import NoneConfig
from policies.obl import OblConfig
from policies.oracle import OracleConfig
from policies.probability_graph import ProbabilityGraphConfig
from policies.sms import SmsConfig
from policies.spp import SppConfig
from policies.stream_buffers import StreamBuffersConfig
from policies.stride import StrideConfig

PolicyConfig = Annotated[
    NoneConfig
    | NextNConfig
    | OblConfig
    | StrideConfig
    | StreamBuffersConfig
    | MarkovConfig
    | GhbConfig
    | DcptConfig
    | SmsConfig
    | IsbConfig
    | BestOffsetConfig
    | SppConfig
    | MithrilConfig
    | ProbabilityGraphConfig
    | AmpConfig
    | LinuxReadaheadConfig
    | LeapConfig
    | LstmConfig
    | OracleConfig
    | FdpConfig
    | GateConfig,
    Field(discriminator="kind"),
]
"""The settings of any policy, told apart by ``kind``."""

for _wrapper in (FdpConfig, GateConfig):
    # They hold a policy that may itself be one of them.
    _wrapper.model_rebuild(_types_namespace={"PolicyConfig": PolicyConfig})


def policies() -> dict[str, type[PolicySettings]]:
    """The settings of each policy by its ``kind``, in the order above."""
    union = PolicyConfig.__origin__  # type: ignore[attr-defined]
    return {config.model_fields["kind"].annotation.__args__[0]: config for config in union.__args__}
