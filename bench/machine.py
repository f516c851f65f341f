"""What a number was measured on: without this beside it, no latency can be compared."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

from edgefuse.bench.nvml import Gpu, list_gpus
from edgefuse.errors import UsageError
from edgefuse.wording import counted

__all__ = ["Cpu", "Machine", "choose_cpus", "describe_machine", "physical_cores", "threads_for"]

_PACKAGES = (
    "edgefuse",
    "numpy",
    "opencv-python-headless",
    "opencv-python",
    "onnxruntime",
    "onnxruntime-gpu",
    "onnx",
    "torch",
    "triton",
    "tensorrt",
    "tensorrt-rtx-cu12",
)
_CPUS = Path("/sys/devices/system/cpu")


@dataclass(frozen=True)
class Cpu:
    """The processor and the settings that decide its speed; None where the system does not tell."""

    name: str
    architecture: str
    physical_cores: int
    logical_cores: int
    allowed_cores: int
    quota_cores: float | None = None
    governor: str | None = None
    clock_mhz: int | None = None
    clock_max_mhz: int | None = None
    boost: bool | None = None
    virtual: bool = False


@dataclass(frozen=True)
class Machine:
    """A machine and its software at the time of a measurement.

    Attributes:
        utc: Time, ISO 8601.
        commit: Commit of the EdgeFuse checkout, or None where it runs from an installed package.
        dirty: Whether tracked files differ from that commit.
        system: Operating system and its kernel.
        cpu: The processor.
        memory_bytes: Memory of the machine.
        load_average: Mean number of busy or waiting processes over 1, 5 and 15 minutes.
        gpus: NVIDIA GPUs.
        jetson: Board name, where it is a Jetson.
        power_mode: Its nvpmodel mode.
        versions: Versions of Python and of the packages that matter.
    """

    utc: str
    commit: str | None
    dirty: bool | None
    system: str
    cpu: Cpu
    memory_bytes: int | None
    load_average: tuple[float, ...] | None
    gpus: tuple[Gpu, ...] = ()
    jetson: str | None = None
    power_mode: str | None = None
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """One line for a table's caption."""
        cpu = self.cpu
        parts = [self.jetson] if self.jetson else []
        parts.append(f"{cpu.name} ({counted(cpu.physical_cores, 'core')}{', virtual machine' if cpu.virtual else ''})")
        parts += [gpu.name for gpu in self.gpus]
        if self.power_mode:
            parts.append(f"power mode {self.power_mode}")
        return ", ".join(parts)


def describe_machine() -> Machine:
    """Describe this machine, now.

    Returns:
        The description; nothing in it names the user, the host or the network.
    """
    commit, dirty = _commit()
    jetson = _read(Path("/proc/device-tree/model"))
    return Machine(
        utc=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        commit=commit,
        dirty=dirty,
        system=f"{platform.system()} {platform.release()}",
        cpu=_describe_cpu(),
        memory_bytes=_memory_bytes(),
        load_average=os.getloadavg() if hasattr(os, "getloadavg") else None,
        gpus=tuple(list_gpus()),
        jetson=jetson if jetson and "jetson" in jetson.lower() else None,
        power_mode=_power_mode(),
        versions=_versions(),
    )


def allowed_cpus() -> tuple[int, ...]:
    """Numbers of the logical CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def choose_cpus(threads: int) -> tuple[int, ...]:
    """Choose the CPUs to pin a measurement to: one of each physical core first, then their siblings.

    Args:
        threads: Number of CPUs wanted.

    Returns:
        At most that many CPU numbers.
    """
    first_of_core: dict[tuple[str, str], int] = {}
    siblings: list[int] = []
    for cpu in allowed_cpus():
        core = _core_of(cpu)
        if core in first_of_core:
            siblings.append(cpu)
        else:
            first_of_core[core] = cpu
    return tuple([*first_of_core.values(), *siblings][:threads])


def physical_cores() -> int:
    """Number of physical cores that this process may use."""
    return len({_core_of(cpu) for cpu in allowed_cpus()})


def threads_for(wanted: int | None) -> int:
    """Number of CPU threads to measure with.

    Args:
        wanted: As the user says, or None for one a physical core.

    Returns:
        The number.

    Raises:
        UsageError: There are not as many CPUs.
    """
    if wanted is None:
        return physical_cores()
    if not 1 <= wanted <= len(allowed_cpus()):
        raise UsageError(f"--threads must be 1 to {len(allowed_cpus())}, the CPUs that are here, not {wanted}")
    return wanted


def _core_of(cpu: int) -> tuple[str, str]:
    topology = _CPUS / f"cpu{cpu}" / "topology"
    package, core = _read(topology / "physical_package_id"), _read(topology / "core_id")
    return (package or "0", core if core is not None else f"cpu{cpu}")


def _describe_cpu() -> Cpu:
    cpuinfo = _read(Path("/proc/cpuinfo")) or ""
    first = _CPUS / f"cpu{allowed_cpus()[0]}" / "cpufreq"
    clock_mhz = re.search(r"^cpu MHz\s*: ([\d.]+)", cpuinfo, re.MULTILINE)
    current_khz = _read(first / "scaling_cur_freq")
    maximum_khz = _read(first / "cpuinfo_max_freq")
    return Cpu(
        name=_cpu_name(cpuinfo),
        architecture=platform.machine(),
        physical_cores=physical_cores(),
        logical_cores=os.cpu_count() or 1,
        allowed_cores=len(allowed_cpus()),
        quota_cores=_quota_cores(),
        governor=_read(first / "scaling_governor"),
        clock_mhz=int(current_khz) // 1000
        if current_khz
        else (round(float(clock_mhz.group(1))) if clock_mhz else None),
        clock_max_mhz=int(maximum_khz) // 1000 if maximum_khz else None,
        boost=_boost(),
        virtual=bool(re.search(r"^flags\s*:.*\bhypervisor\b", cpuinfo, re.MULTILINE)),
    )


def _cpu_name(cpuinfo: str) -> str:
    for pattern in (r"^model name\s*: (.+)$", r"^Model\s*: (.+)$", r"^Hardware\s*: (.+)$"):
        found = re.search(pattern, cpuinfo, re.MULTILINE)
        if found:
            return found.group(1).strip()
    return platform.processor() or platform.machine()


def _boost() -> bool | None:
    no_turbo = _read(_CPUS / "intel_pstate" / "no_turbo")
    if no_turbo is not None:
        return no_turbo == "0"
    boost = _read(_CPUS / "cpufreq" / "boost")
    return None if boost is None else boost == "1"


def _quota_cores() -> float | None:
    """Cores that a container may use in the mean, where it is limited."""
    quota, _, period = (_read(Path("/sys/fs/cgroup/cpu.max")) or "max").partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() else None


def _memory_bytes() -> int | None:
    found = re.search(r"^MemTotal:\s+(\d+) kB", _read(Path("/proc/meminfo")) or "", re.MULTILINE)
    return int(found.group(1)) << 10 if found else None


def _power_mode() -> str | None:
    found = re.search(r"NV Power Mode: (\S+)", _run("nvpmodel", "-q") or "")
    return found.group(1) if found else None


def _commit() -> tuple[str | None, bool | None]:
    """The commit, if this very file is tracked: a package installed below someone's repository has none."""
    folder = Path(__file__).resolve().parent
    if _run("git", "-C", str(folder), "ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None, None
    commit = _run("git", "-C", str(folder), "rev-parse", "HEAD")
    changes = _run("git", "-C", str(folder), "status", "--porcelain", "--untracked-files=no")
    return commit, None if changes is None else bool(changes)


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _read(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace").strip("\0\n ")
    except OSError:
        return None


def _run(*command: str) -> str | None:
    """Output of a short command, or None where it is missing or fails."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None
