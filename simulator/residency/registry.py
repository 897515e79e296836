"""The eviction policies and the admissions by name: a file each, a line each."""

from simulator.plugins import Registry
from simulator.residency.settings import AdmissionSettings, EvictionSettings

_HERE = "simulator.residency"
EVICTIONS = Registry(
    "eviction policy",
    EvictionSettings,
    {
        "lru": f"{_HERE}.lru:Lru",
        "fifo": f"{_HERE}.fifo:Fifo",
        "random": f"{_HERE}.rand:Random",
        "clock": f"{_HERE}.clock:Clock",
        "sieve": f"{_HERE}.sieve:Sieve",
        "s3fifo": f"{_HERE}.s3fifo:S3Fifo",
        "lfu": f"{_HERE}.lfu:Lfu",
        "lfuda": f"{_HERE}.lfuda:Lfuda",
        "arc": f"{_HERE}.arc:Arc",
        "2q": f"{_HERE}.two_q:TwoQ",
        "slru": f"{_HERE}.slru:Slru",
        "lirs": f"{_HERE}.lirs:Lirs",
        "wtinylfu": f"{_HERE}.wtinylfu:WTinyLfu",
        "gdsf": f"{_HERE}.gdsf:Gdsf",
        "hyperbolic": f"{_HERE}.hyperbolic:Hyperbolic",
        "leaf_lru": f"{_HERE}.leaf_lru:LeafLru",
        "belady": f"{_HERE}.belady:Belady",
        "pinned": f"{_HERE}.pinned:Pinned",
        "python": "simulator.evictions.outside:PythonEviction",
    },
    {"tierfetch.evictions": "simulator.evictions.outside:settings_of"},
)
ADMISSIONS = Registry(
    "admission",
    AdmissionSettings,
    {
        "all": f"{_HERE}.admit_all:AdmitAll",
        "size": f"{_HERE}.admit_size:AdmitSize",
        "probabilistic": f"{_HERE}.admit_probabilistic:AdmitProbabilistic",
        "tinylfu": f"{_HERE}.admit_tinylfu:AdmitTinyLfu",
    },
)
