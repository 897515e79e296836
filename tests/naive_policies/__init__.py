"""Prefetch policies again, in plain Python: what the compiled ones must equal.

A block's place is its key, from 0 to 2^64 - 1; the difference of two wraps at 64 bits.
"""

from tests.naive_policies.deltas import Dcpt, Ghb
from tests.naive_policies.learners import Pythia
from tests.naive_policies.mixed import Hybrid
from tests.naive_policies.pages import Sms, Spp
from tests.naive_policies.selecting import Selector
from tests.naive_policies.sequential import Amp, LinuxReadahead, Obl, StreamBuffers
from tests.naive_policies.steps import BestOffset, Leap, NextN, Stride
from tests.naive_policies.successors import Isb, Markov, Mithril, ProbabilityGraph

NAIVE = {
    "next_n": NextN, "obl": Obl, "stride": Stride, "stream_buffers": StreamBuffers, "markov": Markov, "ghb": Ghb,
    "dcpt": Dcpt, "sms": Sms, "isb": Isb, "best_offset": BestOffset, "spp": Spp, "mithril": Mithril,
    "probability_graph": ProbabilityGraph, "amp": Amp, "linux_readahead": LinuxReadahead, "leap": Leap,
    "pythia": Pythia, "hybrid": Hybrid, "selector": Selector,
}  # fmt: skip
Hybrid.twins = Selector.twins = NAIVE
