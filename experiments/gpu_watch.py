"""The state of a GPU while it is timed, by NVML: clocks, power state, what holds it back, temperature, who is there.

NVML's Python is the extra ``tierfetch[cuda]``; without it, or without a GPU, nothing is watched, and that is said.
"""

import os
from importlib import import_module
from typing import Any

Sample = dict[str, Any]
NO_GPU = "no GPU is timed"
_REASONS = ("nvmlClocksEventReason", "nvmlClocksThrottleReason")
_NO_REASONS = ("All", "None", "GpuIdle")


class GpuWatch:
    """Samples of one GPU. ``missing`` says why there are none, ``others`` who else was on it, ever."""

    def __init__(self, uuid: str | None, name: str = "") -> None:
        """``uuid`` as torch has it, without ``GPU-``; None: no GPU. ``name`` tells a MIG instance, as torch has it."""
        self.samples: list[Sample] = []
        self.others: set[str] = set()
        self.missing: str | None = None
        self._first: set[int] | None = None
        if uuid is None:
            self.missing = NO_GPU
            return
        try:
            self._nvml: Any = import_module("pynvml")
        except ImportError:
            self.missing = "NVML's Python is not installed; expected the extra tierfetch[cuda]"
            return
        try:
            self._nvml.nvmlInit()
            self._gpu = self._nvml.nvmlDeviceGetHandleByUUID(f"{'MIG' if 'MIG ' in name else 'GPU'}-{uuid}")
        except self._nvml.NVMLError as error:
            self.missing = f"NVML: {error}"

    def take(self, when: str) -> None:
        """How it is now; ``when`` is ``before``, ``after``, or a round's number."""
        if self.missing is not None:
            return
        nvml, gpu = self._nvml, self._gpu
        others = self._others()
        self.others.update(others)
        self.samples.append(
            {
                "when": when,
                "sm_clock_mhz": self._told("nvmlDeviceGetClockInfo", gpu, nvml.NVML_CLOCK_SM),
                "memory_clock_mhz": self._told("nvmlDeviceGetClockInfo", gpu, nvml.NVML_CLOCK_MEM),
                "power_state": self._told("nvmlDeviceGetPerformanceState", gpu),
                "throttle_reasons": self._reasons(),
                "temperature_c": self._told("nvmlDeviceGetTemperature", gpu, nvml.NVML_TEMPERATURE_GPU),
                "n_other_processes": len(others),
            }
        )

    @property
    def is_quiet(self) -> bool | None:
        """Whether no other process was seen on it; None: nobody looked."""
        return None if not self.samples else not self.others

    def _told(self, name: str, *arguments: Any) -> Any:
        """What a function of NVML's says, None if this GPU does not tell, or this NVML does not know it."""
        function = getattr(self._nvml, name, None)
        try:
            return None if function is None else function(*arguments)
        except self._nvml.NVMLError:
            return None

    def _reasons(self) -> str | None:
        """What holds its clocks back, by NVML's names; none: nothing."""
        bits = self._told("nvmlDeviceGetCurrentClocksEventReasons", self._gpu)
        if bits is None:
            bits = self._told("nvmlDeviceGetCurrentClocksThrottleReasons", self._gpu)
        if bits is None:
            return None
        found: dict[int, str] = {}
        for prefix in _REASONS:
            for name in dir(self._nvml):
                short, value = name.removeprefix(prefix), getattr(self._nvml, name)
                if name.startswith(prefix) and isinstance(value, int) and short not in _NO_REASONS:
                    found.setdefault(value, short)
        return ", ".join(name for bit, name in sorted(found.items()) if bits & bit) or "none"

    def _others(self) -> list[str]:
        """Other processes that compute on it, by number and name.

        In a container NVML has numbers of the host's: this process is not among them by its own, and is then the first
        that was not there before CUDA was used.
        """
        running = self._told("nvmlDeviceGetComputeRunningProcesses", self._gpu) or []
        numbers = {int(process.pid) for process in running}
        if self._first is None:
            self._first = numbers
        mine = {os.getpid()} if os.getpid() in numbers else set(sorted(numbers - self._first)[:1])
        return [f"{pid} {self._name(pid)}" for pid in sorted(numbers - mine)]

    def _name(self, pid: int) -> str:
        name = self._told("nvmlSystemGetProcessName", pid)
        return (name.decode(errors="replace") if isinstance(name, bytes) else name) or "unknown"
