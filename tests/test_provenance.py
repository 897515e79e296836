"""Where times come from: what is found of a machine, and that it is sealed with them and shapes nothing."""

from pathlib import Path

import pytest
import torch

from experiments.provenance import provenance
from experiments.seal import SEALED_METADATA, Seal, of_rows
from policies.models.provenance import of_device
from tests.cuda_double.fixtures import machine as machine
from tests.cuda_double.machine import Machine

FILES = {
    "proc/cpuinfo": "processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\nprocessor\t: 1\nmodel name\t: Some CPU @ 3 GHz\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave\n",
    "proc/1/cgroup": "0::/kubepods/burstable/pod1\n",
    "proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX Kernel Module  580.95.05  Tue Sep 23\nGCC version: 13\n",
    "sys/bus/pci/devices/0000:1b:00.0/current_link_speed": "2.5 GT/s PCIe\n",
    "sys/bus/pci/devices/0000:1b:00.0/current_link_width": "16\n",
    "sys/bus/pci/devices/0000:1b:00.0/max_link_speed": "32.0 GT/s PCIe\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine's own files."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_of_a_gpu_machine(root: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as the system tells: one file is missing."""
    properties = torch.cuda.get_device_properties(0)
    for name, value in (("pci_domain_id", 0), ("pci_bus_id", 0x1B), ("pci_device_id", 0)):
        monkeypatch.setattr(properties, name, value, raising=False)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda *_: properties)
    found = provenance(of_device(torch.device("cuda", 0)), root)
    expected = {
        "cpu": "Some CPU @ 3 GHz", "governor": "powersave", "container": "kubepods", "driver": "580.95.05",
        "pci": "0000:1b:00.0", "pci_current_link_speed": "2.5 GT/s PCIe", "pci_current_link_width": "16",
        "pci_max_link_speed": "32.0 GT/s PCIe", "pci_max_link_width": None, "gpu": machine.names[0],
        "gpu_uuid": machine.uuids[0], "gpu_capability": "9.0", "cublas_workspace_config": ":16:8",
        "cublaslt_workspace_size": "128", "tf32_matmul": False, "tf32_cudnn": False, "torch": str(torch.__version__),
        "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version(),
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected
    assert len(found["load_average"]) == 3


def test_of_a_machine_that_tells_nothing(tmp_path: Path) -> None:
    found = provenance(of_device(torch.device("cpu")), tmp_path)
    assert (found["governor"], found["container"]) == (None, "none")
    assert not [name for name in found if name.startswith(("gpu", "pci", "driver", "cuda"))]
    (tmp_path / ".dockerenv").touch()
    assert provenance({}, tmp_path)["container"] == "docker"


def test_it_is_sealed() -> None:
    assert "provenance" in SEALED_METADATA
    digests = {Seal().digest({"provenance": text}) for text in ("{}", '{"governor": "powersave"}')} | {
        Seal().digest({})
    }
    assert len(digests) == 3
    rows = [{"p50_ns": 5}]
    assert of_rows(rows, {"provenance": "a"}) == of_rows(rows, {"provenance": "a"})
    assert of_rows(rows, {"provenance": "a"}) != of_rows(rows, {"provenance": "b"})
    assert of_rows(rows, {}) != of_rows([{"p50_ns": 6}], {})
