"""Reading ``tegrastats``, which tells load, clocks, temperatures and power of a Jetson."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType

__all__ = ["TegraSample", "TegrastatsMonitor", "energy_joules", "parse_line"]

_RAM = re.compile(r"\bRAM (\d+)/(\d+)MB")
_GPU = re.compile(r"\bGR3D_FREQ (\d+)%(?:@\[?(\d+))?")
_RAIL = re.compile(r"\b([A-Z][A-Z0-9_]*) (\d+)(?:mW)?/(\d+)(?:mW)?(?= |$)")
_TEMPERATURE = re.compile(r"\b([A-Za-z][A-Za-z0-9]*)@(-?\d+(?:\.\d+)?)C\b")
_CPU = re.compile(r"\bCPU \[([^\]]*)\]")

# A sensor of a powered-down part reads -256.
_LOWEST_CELSIUS = -100.0

_MODULE_INPUT_RAILS = ("VDD_IN", "POM_5V_IN")
"""Rails that carry the whole module: Orin Nano, Orin NX, Xavier NX, TX1 and TX2; Nano."""

_MODULE_RAIL_SETS = (
    ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"),
    ("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"),
)
"""Where no rail carries the whole module, those that add up to it: AGX Orin (VIN_SYS_5V0 feeds VDDQ_VDD2_1V8AO too) and
AGX Xavier."""


@dataclass(frozen=True)
class TegraSample:
    """One line of ``tegrastats``.

    Attributes:
        ram_used_bytes: Memory in use, by the CPU and the GPU together: they share it.
        ram_total_bytes: All of the memory.
        gpu_load_percent: Load of the GPU at its present clock.
        gpu_clock_mhz: Clock of the GPU, where it is told.
        cpu_clocks_mhz: Clock of each core that is on.
        rails_milliwatts: Power of each rail at this moment.
        temperatures_celsius: Temperature of each sensor that reads.
    """

    ram_used_bytes: int
    ram_total_bytes: int
    gpu_load_percent: int | None = None
    gpu_clock_mhz: int | None = None
    cpu_clocks_mhz: tuple[int, ...] = ()
    rails_milliwatts: dict[str, int] = field(default_factory=dict)
    temperatures_celsius: dict[str, float] = field(default_factory=dict)

    @property
    def module_watts(self) -> float | None:
        """Power of the whole module, or None where its rails are not known to add up to it."""
        for rail in _MODULE_INPUT_RAILS:
            if rail in self.rails_milliwatts:
                return self.rails_milliwatts[rail] / 1e3
        for rails in _MODULE_RAIL_SETS:
            if all(rail in self.rails_milliwatts for rail in rails):
                return sum(self.rails_milliwatts[rail] for rail in rails) / 1e3
        return None


def parse_line(line: str) -> TegraSample | None:
    """Read one line of ``tegrastats``, of any JetPack.

    Args:
        line: The line.

    Returns:
        What it says, or None where it is no such line.

    Example:
        >>> parse_line("RAM 613/3964MB GR3D_FREQ 12%@76 POM_5V_IN 900/943").module_watts
        0.9
    """
    ram = _RAM.search(line)
    if ram is None:
        return None
    gpu = _GPU.search(line)
    cpu = _CPU.search(line)
    # RAM and SWAP are written like rails, but in MB, which the pattern does not take.
    rails = {name: int(now) for name, now, _average in _RAIL.findall(line) if name != "NC"}
    temperatures = {name: float(value) for name, value in _TEMPERATURE.findall(line)}
    return TegraSample(
        ram_used_bytes=int(ram.group(1)) << 20,
        ram_total_bytes=int(ram.group(2)) << 20,
        gpu_load_percent=int(gpu.group(1)) if gpu else None,
        gpu_clock_mhz=int(gpu.group(2)) if gpu and gpu.group(2) else None,
        cpu_clocks_mhz=tuple(int(clock) for clock in re.findall(r"@(\d+)", cpu.group(1))) if cpu else (),
        rails_milliwatts=rails,
        temperatures_celsius={name: value for name, value in temperatures.items() if value > _LOWEST_CELSIUS},
    )


def energy_joules(
    samples: list[tuple[float, TegraSample]], *, start_seconds: float, end_seconds: float
) -> float | None:
    """Integrate the module's power over a span of time.

    Args:
        samples: Time on the monotonic clock and sample, in order.
        start_seconds: Start of the span.
        end_seconds: End of the span.

    Returns:
        Energy: the mean power of the samples inside the span times its length; None where there is none inside or the
        module's power is not told.
    """
    watts = [sample.module_watts for when, sample in samples if start_seconds <= when <= end_seconds]
    told = [value for value in watts if value is not None]
    return sum(told) / len(told) * (end_seconds - start_seconds) if told else None


class TegrastatsMonitor:
    """Runs ``tegrastats`` in the background and keeps what it says; a context manager.

    Args:
        interval_ms: Time between two samples.
    """

    def __init__(self, *, interval_ms: int = 100) -> None:
        self.samples: list[tuple[float, TegraSample]] = []
        self._interval_ms = interval_ms
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    @staticmethod
    def is_available() -> bool:
        """Whether this machine has the program."""
        return shutil.which("tegrastats") is not None

    def __enter__(self) -> TegrastatsMonitor:
        self._process = subprocess.Popen(
            ["tegrastats", "--interval", str(self._interval_ms)], stdout=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read, name="tegrastats", daemon=True)
        self._reader.start()
        return self

    def wait_for_sample(self, timeout_seconds: float = 2.0) -> TegraSample | None:
        """The next sample, or None where none comes in time."""
        seen, deadline = len(self.samples), time.monotonic() + timeout_seconds
        while len(self.samples) == seen and time.monotonic() < deadline:
            time.sleep(self._interval_ms / 1e4)
        return self.samples[-1][1] if len(self.samples) > seen else None

    def peak_ram_bytes(self) -> int | None:
        """Most memory in use so far, by every process, on CPU and GPU together."""
        return max((sample.ram_used_bytes for _, sample in self.samples), default=None)

    def _read(self) -> None:
        if self._process is None or self._process.stdout is None:
            return
        for line in self._process.stdout:
            sample = parse_line(line)
            if sample is not None:
                self.samples.append((time.monotonic(), sample))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
        if self._reader is not None:
            self._reader.join()
        if self._process is not None and self._process.stdout is not None:
            self._process.stdout.close()
