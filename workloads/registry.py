"""Every workload: one line each, which says where its settings are. A file is imported when it is first named.

A trace file whose format is not said has the first whose ``recognises`` says so, in this order.
"""

from typing import Annotated

from simulator.plugins import Registry
from workloads.base import SourceSettings

SOURCES: Registry[SourceSettings] = Registry(
    "source",
    SourceSettings,
    {
        "sequential": "workloads.strided:SequentialConfig",
        "strided": "workloads.strided:StridedConfig",
        "periodic": "workloads.periodic:PeriodicConfig",
        "mixed": "workloads.mixed:MixedConfig",
        "random": "workloads.random:RandomConfig",
        "zipf": "workloads.random:ZipfConfig",
        "pointer_chase": "workloads.pointer_chase:PointerChaseConfig",
        "embedding_rows": "workloads.embedding_rows:EmbeddingRowsConfig",
        "kv_sessions": "workloads.kv_sessions:KvSessionsConfig",
        "moe_experts": "workloads.moe_experts:MoeExpertsConfig",
        "phases": "workloads.combine:PhasesConfig",
        "interleave": "workloads.combine:InterleaveConfig",
        "slice": "workloads.combine:SliceConfig",
        "resized": "workloads.resized:ResizedConfig",
        "compact": "workloads.readers.compact:CompactConfig",
        "oracle_general": "workloads.readers.presets.binary:OracleGeneralConfig",
        "vscsi": "workloads.readers.presets.binary:VscsiConfig",
        "mooncake": "workloads.readers.presets.kv_cache:MooncakeConfig",
        "msr": "workloads.readers.presets.block:MsrConfig",
        "systor": "workloads.readers.presets.block:SystorConfig",
        "spc": "workloads.readers.presets.block:SpcConfig",
        "alibaba_block": "workloads.readers.presets.block:AlibabaBlockConfig",
        "tencent_block": "workloads.readers.presets.block:TencentBlockConfig",
        "cachelib_block": "workloads.readers.presets.block:CachelibBlockConfig",
        "arc": "workloads.readers.presets.block:ArcConfig",
        "fio": "workloads.readers.presets.devices:FioConfig",
        "blkparse": "workloads.readers.presets.devices:BlkparseConfig",
        "biosnoop": "workloads.readers.presets.devices:BiosnoopConfig",
        "lackey": "workloads.readers.presets.memory:LackeyConfig",
        "pinatrace": "workloads.readers.presets.memory:PinatraceConfig",
        "memtrace": "workloads.readers.presets.memory:MemtraceConfig",
        "ml_dpc": "workloads.readers.presets.memory:MlDpcConfig",
        "champsim": "workloads.readers.presets.memory:ChampsimConfig",
        "twitter": "workloads.readers.presets.keyvalue:TwitterConfig",
        "cachelib_kv": "workloads.readers.presets.keyvalue:CachelibKvConfig",
        "cachelib_cdn": "workloads.readers.presets.keyvalue:CachelibCdnConfig",
        "libcachesim_csv": "workloads.readers.presets.keyvalue:LibcachesimCsvConfig",
        "lcs": "workloads.readers.presets.lcs:LcsConfig",
        "ibm_object_store": "workloads.readers.presets.objects:IbmObjectStoreConfig",
        "lrb": "workloads.readers.presets.objects:LrbConfig",
        "wiki": "workloads.readers.presets.objects:WikiConfig",
        "redis_monitor": "workloads.readers.presets.redis:RedisMonitorConfig",
        "bailian": "workloads.readers.presets.kv_cache:BailianConfig",
        "aiperf": "workloads.readers.presets.kv_cache:AiperfConfig",
        "hash_ids": "workloads.readers.presets.kv_cache:HashIdsConfig",
        "azure_llm": "workloads.readers.presets.tokens:AzureLlmConfig",
        "burstgpt": "workloads.readers.presets.tokens:BurstGptConfig",
        "vidur": "workloads.readers.presets.tokens:VidurConfig",
        "dlrm": "workloads.readers.presets.embeddings:DlrmConfig",
        "moe": "workloads.readers.presets.experts:MoeConfig",
        "table": "workloads.readers.tabular:TableConfig",
        "binary_ids": "workloads.readers.binary_ids:BinaryIdsConfig",
        "addresses": "workloads.readers.addresses:AddressesConfig",
        "ids": "workloads.readers.ids:IdsConfig",
        "python": "workloads.outside.config:PythonSource",
    },
    {
        "tierfetch.workloads": "workloads.outside.config:workload_of",
        "tierfetch.formats": "workloads.outside.config:format_of",
    },
)

Source = Annotated[SourceSettings, SOURCES]
"""The settings of any workload, told apart by ``kind``."""
