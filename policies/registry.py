"""Every policy: one line each, which says where its settings are. A file is imported when its policy is first named."""

from typing import Annotated

from policies.base import PolicySettings
from simulator.plugins import Registry

POLICIES: Registry[PolicySettings] = Registry(
    "policy",
    PolicySettings,
    {
        "none": "policies.none:NoneConfig",
        "next_n": "policies.next_n:NextNConfig",
        "obl": "policies.obl:OblConfig",
        "static_deltas": "policies.static_deltas:StaticDeltasConfig",
        "stride": "policies.stride:StrideConfig",
        "stream_buffers": "policies.stream_buffers:StreamBuffersConfig",
        "markov": "policies.markov:MarkovConfig",
        "ghb": "policies.ghb:GhbConfig",
        "dcpt": "policies.dcpt:DcptConfig",
        "sms": "policies.sms:SmsConfig",
        "isb": "policies.isb:IsbConfig",
        "best_offset": "policies.best_offset:BestOffsetConfig",
        "spp": "policies.spp:SppConfig",
        "pythia": "policies.pythia:PythiaConfig",
        "mithril": "policies.mithril:MithrilConfig",
        "probability_graph": "policies.probability_graph:ProbabilityGraphConfig",
        "amp": "policies.amp:AmpConfig",
        "linux_readahead": "policies.linux_readahead:LinuxReadaheadConfig",
        "leap": "policies.leap:LeapConfig",
        "lstm": "policies.lstm.config:LstmConfig",
        "model": "policies.models.config:ModelConfig",
        "lookahead": "policies.foretold:LookaheadConfig",
        "next_turn": "policies.next_turn:NextTurnConfig",
        "expert_gate": "policies.foretold:ExpertGateConfig",
        "queue_time": "policies.queue_time:QueueTimeConfig",
        "oracle": "policies.oracle:OracleConfig",
        "hybrid": "policies.hybrid:HybridConfig",
        "selector": "policies.selector:SelectorConfig",
        "fdp": "policies.fdp:FdpConfig",
        "gate": "policies.gate:GateConfig",
        "python": "policies.outside.config:PythonConfig",
        "file": "policies.outside.answers:FileConfig",
    },
    {"tierfetch.policies": "policies.outside.config:settings_of"},
)

PolicyConfig = Annotated[PolicySettings, POLICIES]
"""The settings of any policy, told apart by ``kind``."""
