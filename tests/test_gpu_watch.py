"""The GPU's own state while it is timed: by a stand-in for NVML, and a whole command over the double."""

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from experiments import latency, latency_timing
from experiments.gpu_watch import GpuWatch
from tests.cuda_double.double import UUIDS
from tests.cuda_double.fixtures import machine as machine
from tests.cuda_double.machine import Machine
from tests.test_metrics_page import check


class NVMLError(Exception):
    """As NVML's own."""


class Nvml(SimpleNamespace):
    """``pids`` compute on the one GPU that there is; it does not tell its memory clock."""

    NVMLError = NVMLError
    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0
    nvmlClocksEventReasonGpuIdle, nvmlClocksEventReasonSwPowerCap = 1, 4  # noqa: N815
    nvmlClocksThrottleReasonSwPowerCap, nvmlClocksThrottleReasonHwSlowdown = 4, 8  # noqa: N815
    nvmlClocksEventReasonNone = 0  # noqa: N815

    def __init__(self) -> None:
        super().__init__(pids=[], reasons=1, sm_mhz=1980)

    def nvmlInit(self) -> None: ...  # noqa: N802

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        if uuid != f"GPU-{UUIDS[0]}":
            raise NVMLError("Not Found")
        return "gpu"

    def nvmlDeviceGetClockInfo(self, gpu: str, kind: int) -> int:  # noqa: N802
        if kind != self.NVML_CLOCK_SM:
            raise NVMLError("Not Supported")
        return int(self.sm_mhz)

    def nvmlDeviceGetPerformanceState(self, gpu: str) -> int:  # noqa: N802
        return 0

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, gpu: str) -> int:  # noqa: N802
        return int(self.reasons)

    def nvmlDeviceGetTemperature(self, gpu: str, kind: int) -> int:  # noqa: N802
        return 41

    def nvmlDeviceGetComputeRunningProcesses(self, gpu: str) -> list[Any]:  # noqa: N802
        return [SimpleNamespace(pid=pid) for pid in self.pids]

    def nvmlSystemGetProcessName(self, pid: int) -> bytes:  # noqa: N802
        return b"/usr/bin/train"


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Nvml:
    made = Nvml()
    monkeypatch.setitem(sys.modules, "pynvml", made)  # type: ignore[arg-type]
    return made


def test_what_it_sees(nvml: Nvml) -> None:
    """What the GPU does not tell is null; reasons go by their names, idling is none."""
    watch = GpuWatch(UUIDS[0])
    watch.take("before")
    nvml.pids, nvml.reasons, nvml.sm_mhz = [os.getpid()], 4 + 8 + 1, 345
    watch.take("1")
    assert watch.samples == [
        {"when": "before", "sm_clock_mhz": 1980, "memory_clock_mhz": None, "power_state": 0, "throttle_reasons": "none",
         "temperature_c": 41, "n_other_processes": 0},
        {"when": "1", "sm_clock_mhz": 345, "memory_clock_mhz": None, "power_state": 0,
         "throttle_reasons": "SwPowerCap, HwSlowdown", "temperature_c": 41, "n_other_processes": 0},
    ]  # fmt: skip
    assert watch.is_quiet
    nvml.pids = [os.getpid(), 7]
    watch.take("2")
    nvml.pids = [os.getpid()]
    watch.take("after")
    # Once is enough.
    assert (watch.is_quiet, watch.others) == (False, {"7 /usr/bin/train"})


@pytest.mark.parametrize(
    ("before", "during", "others"), [([], [90], set()), ([8], [8, 90], {8}), ([], [90, 91], {91}), ([8], [8], {8})]
)
def test_in_a_container_its_own_number_is_another(
    nvml: Nvml, before: list[int], during: list[int], others: set[int]
) -> None:
    """Numbers of the host's: of those that came since, one is this process."""
    nvml.pids = before
    watch = GpuWatch(UUIDS[0])
    watch.take("before")
    nvml.pids = during
    watch.take("1")
    assert watch.others == {f"{pid} /usr/bin/train" for pid in others}


def test_why_nothing_is_seen_is_said(nvml: Nvml, monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = GpuWatch("somewhere")
    unknown.take("before")
    assert (unknown.missing, unknown.samples, unknown.is_quiet) == ("NVML: Not Found", [], None)
    assert GpuWatch(None).missing == "no GPU is timed"
    assert GpuWatch(UUIDS[0], "Some GPU MIG 1g.10gb").missing == "NVML: Not Found"
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert "tierfetch[cuda]" in (GpuWatch(UUIDS[0]).missing or "")


def test_the_latency_command_on_a_gpu(
    machine: Machine, nvml: Nvml, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over the double: the decomposition, the GPU before, during and after, and that it was not quiet."""
    monkeypatch.setattr(latency_timing, "ROUNDS", 2)
    nvml.pids = [8]
    arguments = ["--out", str(tmp_path), "--windows", "2", "--calls", "100", "--device", "cuda", "--classes", "9"]
    result = CliRunner().invoke(latency.app, arguments)
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert "The GPU was NOT quiet; others computed on it: 8 /usr/bin/train" in said
    samples = pd.read_parquet(tmp_path / "latency_gpu.parquet")
    check("latency_gpu", samples.columns)
    assert samples["when"].tolist() == ["before", "0", "1", "2", "after"]
    parts = pd.read_parquet(tmp_path / "latency_parts.parquet").set_index("backend")
    assert set(parts.index) == {"cuda_graph", "eager"}
    assert (parts.filter(regex="^(python|empty_launch|network|rest)_ns$").sum(axis=1) == parts["total_ns"]).all()
    assert (parts[["python_ns", "empty_launch_ns", "network_ns"]] > 0).all(axis=None)
    metadata = pq.read_metadata(tmp_path / "latency_gpu.parquet").metadata
    assert json.loads(metadata[b"gpu_is_quiet"]) is False
    assert json.loads(metadata[b"other_processes"]) == ["8 /usr/bin/train"]
    assert json.loads(metadata[b"provenance"])["gpu_uuid"] == UUIDS[0]
