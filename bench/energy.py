"""Energy of a span of work, where the machine counts it: RAPL (CPU package), NVML (GPU board), tegrastats (Jetson)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgefuse.bench.nvml import open_gpu
from edgefuse.bench.tegrastats import TegrastatsMonitor, energy_joules

__all__ = ["Energy", "RaplDomain", "find_rapl_domains", "metered", "monitored"]

_POWERCAP = Path("/sys/class/powercap")


@dataclass
class Energy:
    """Energy of one span, by source; all of the device's energy, idle power and other processes included.

    Attributes:
        joules: Energy by source: ``"rapl"``, ``"nvml"`` or ``"tegrastats"``.
        note: Why a source that should be there tells nothing.
    """

    joules: dict[str, float]
    note: str | None = None


@dataclass(frozen=True)
class RaplDomain:
    """A package's energy counter, which wraps around.

    Attributes:
        folder: Its folder below ``/sys/class/powercap``.
        range_microjoules: Value at which the counter starts again from zero.
    """

    folder: Path
    range_microjoules: int

    def read_microjoules(self) -> int:
        """The counter's present value."""
        return int((self.folder / "energy_uj").read_text())

    def since_microjoules(self, before: int) -> int:
        """Energy since an earlier value, at most one wrap ago."""
        return (self.read_microjoules() - before) % self.range_microjoules


def find_rapl_domains(root: Path = _POWERCAP) -> tuple[list[RaplDomain], str | None]:
    """Find the packages that count their energy.

    Args:
        root: Folder of the power capping interface.

    Returns:
        The domains that can be read, and the reason why others cannot.
    """
    domains: list[RaplDomain] = []
    note = None
    # The name of a package has one colon (intel-rapl:0, also on AMD); those with two are parts of it.
    for folder in sorted(root.glob("*-rapl:*")):
        if folder.name.count(":") != 1:
            continue
        try:
            domain = RaplDomain(folder, int((folder / "max_energy_range_uj").read_text()) + 1)
            domain.read_microjoules()
        except PermissionError:
            note = f"{folder}/energy_uj is readable by root alone"
        except (OSError, ValueError):
            continue
        else:
            domains.append(domain)
    return domains, note


@contextmanager
def metered(*, gpu_index: int | None, monitor: TegrastatsMonitor | None = None) -> Iterator[Energy]:
    """Count the energy of the block.

    Args:
        gpu_index: The GPU that works, or None where the CPU does.
        monitor: A running monitor, on a Jetson; its samples then tell the energy of the whole module.

    Yields:
        The result, filled when the block ends.
    """
    energy = Energy(joules={})
    if monitor is not None:
        start_seconds = time.monotonic()
        yield energy
        joules = energy_joules(monitor.samples, start_seconds=start_seconds, end_seconds=time.monotonic())
        if joules is None:
            energy.note = "tegrastats told no power of the module meanwhile"
        else:
            energy.joules["tegrastats"] = joules
        return
    domains, energy.note = find_rapl_domains()
    before = [domain.read_microjoules() for domain in domains]
    with open_gpu(gpu_index or 0) as gpu:
        board_before = gpu.energy_joules() if gpu is not None and gpu_index is not None else None
        yield energy
        if gpu is not None and board_before is not None:
            energy.joules["nvml"] = (gpu.energy_joules() or board_before) - board_before
    if domains:
        spent = sum(domain.since_microjoules(start) for domain, start in zip(domains, before, strict=True))
        energy.joules["rapl"] = spent / 1e6


@contextmanager
def monitored() -> Iterator[TegrastatsMonitor | None]:
    """Run ``tegrastats`` during the block, on a machine that has it.

    Yields:
        The running monitor, or None elsewhere.
    """
    if not TegrastatsMonitor.is_available():
        yield None
        return
    with TegrastatsMonitor() as monitor:
        yield monitor
