"""Reading tegrastats: lines as boards of several generations print them."""

from __future__ import annotations

import stat
import time
from pathlib import Path

import pytest

from edgefuse.bench.tegrastats import TegrastatsMonitor, energy_joules, parse_line

ORIN_NANO = (
    "05-15-2025 18:30:28 RAM 6982/7620MB (lfb 5x1MB) SWAP 2640/16384MB (cached 202MB) CPU "
    "[97%@1984,95%@1984,95%@1984,91%@1984,88%@1984,93%@247] EMC_FREQ 18%@3199 GR3D_FREQ 84%@[713] NVENC 1%@115 "
    "NVDEC 40%@115 NVJPG off NVJPG1 off VIC 31%@115 OFA off NVDLA0 off PVA0_FREQ off APE 174 cv0@63.031C cpu@65.562C "
    "soc2@64.156C soc0@63.031C cv1@62.937C gpu@63.5C tj@65.562C soc1@64.718C cv2@60.875C VDD_IN 17946mW/15710mW "
    "VDD_CPU_GPU_CV 8896mW/7585mW VDD_SOC 3923mW/3515mW"
)
AGX_ORIN = (
    "04-11-2025 10:36:27 RAM 4321/62801MB (lfb 1759x4MB) SWAP 19/31400MB (cached 0MB) CPU [0%@729,0%@729,off,off] "
    "EMC_FREQ 0%@2133 GR3D_FREQ 0%@[0,0] VIC_FREQ 729 APE 174 CV0@-256C CPU@44.562C Tboard@32C SOC2@40.093C "
    "Tdiode@33C GPU@-256C tj@44.343C VDD_GPU_SOC 2340mW/2340mW VDD_CPU_CV 390mW/390mW VIN_SYS_5V0 4025mW/4025mW "
    "NC 0mW/0mW VDDQ_VDD2_1V8AO 301mW/301mW NC 0mW/0mW"
)
AGX_XAVIER = (
    "RAM 1903/15692MB (lfb 3251x4MB) CPU [1%@1190,1%@1190,2%@1190,0%@1190] EMC_FREQ 0% GR3D_FREQ 0% AO@32.5C GPU@32C "
    "PMIC@100C GPU 0/0 CPU 216/216 SOC 864/864 CV 0/0 VDDRQ 144/144 SYS5V 1889/1889"
)
NANO = (
    "RAM 613/3964MB (lfb 634x4MB) SWAP 0/1982MB (cached 0MB) CPU [2%@102,1%@102,0%@102,0%@102] EMC_FREQ 0% "
    "GR3D_FREQ 0% PLL@39C CPU@40.5C PMIC@100C GPU@41C AO@46C thermal@41C POM_5V_IN 900/943 POM_5V_GPU 0/0 "
    "POM_5V_CPU 123/123"
)
TX2 = (
    "RAM 1345/7829MB (lfb 1290x4MB) SWAP 0/512MB (cached 0MB) CPU [2%@345,off,off,off,off,off] EMC_FREQ 13%@40 "
    "GR3D_FREQ 0%@114 APE 150 GPU@41C thermal@35.5C VDD_IN 2003/2658 VDD_CPU 320/518 VDD_GPU 400/735 VDD_SOC 400/415"
)


@pytest.mark.parametrize(
    ("line", "used_mib", "load", "clock", "watts"),
    [
        pytest.param(ORIN_NANO, 6982, 84, 713, 17.946, id="orin-nano"),
        pytest.param(AGX_ORIN, 4321, 0, 0, 2.340 + 0.390 + 4.025, id="agx-orin"),
        pytest.param(AGX_XAVIER, 1903, 0, None, 0.216 + 0.864 + 0.144 + 1.889, id="agx-xavier"),
        pytest.param(NANO, 613, 0, None, 0.900, id="nano"),
        pytest.param(TX2, 1345, 0, 114, 2.003, id="tx2"),
    ],
)
def test_a_line_of_every_board_is_read(line: str, used_mib: int, load: int, clock: int | None, watts: float) -> None:
    """Memory, GPU load and clock, and the power of the whole module, on five boards."""
    sample = parse_line(line)
    assert sample is not None
    assert sample.ram_used_bytes == used_mib << 20
    assert (sample.gpu_load_percent, sample.gpu_clock_mhz) == (load, clock)
    assert sample.module_watts == pytest.approx(watts)


def test_memory_swap_and_unconnected_pins_are_no_rails() -> None:
    """Only named power rails are kept."""
    sample = parse_line(AGX_ORIN)
    assert sample is not None
    assert set(sample.rails_milliwatts) == {"VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0", "VDDQ_VDD2_1V8AO"}


def test_sensors_and_cores_that_are_off_are_left_out() -> None:
    """A reading of -256 °C means powered down, and an off core has no clock."""
    sample = parse_line(AGX_ORIN)
    assert sample is not None
    assert sample.temperatures_celsius == {"CPU": 44.562, "Tboard": 32, "SOC2": 40.093, "Tdiode": 33, "tj": 44.343}
    assert sample.cpu_clocks_mhz == (729, 729)


@pytest.mark.parametrize("line", ["", "tegrastats: command not found", "WARNING: run with sudo"])
def test_other_text_is_no_sample(line: str) -> None:
    """Messages between the samples are skipped."""
    assert parse_line(line) is None


def test_power_without_known_rails_is_unknown() -> None:
    """Some rails of a module are not its sum."""
    sample = parse_line("RAM 1/2MB VDD_CPU 320/518 VDD_GPU 400/735")
    assert sample is not None
    assert sample.module_watts is None
    assert energy_joules([(1.0, sample)], start_seconds=0.0, end_seconds=2.0) is None


def test_energy_is_mean_power_times_time() -> None:
    """Samples at 1 W and 3 W inside 4 s give 8 J; one outside does not matter."""
    lines = [f"RAM 1/2MB VDD_IN {milliwatts}mW/0mW" for milliwatts in (9000, 1000, 3000)]
    samples = [(float(second), sample) for second, line in enumerate(lines) if (sample := parse_line(line))]
    assert energy_joules(samples, start_seconds=0.5, end_seconds=4.5) == pytest.approx(8.0)


def test_the_monitor_reads_a_running_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaying a recorded line through a program of that name gives samples with times."""
    program = tmp_path / "tegrastats"
    program.write_text(f"#!/bin/sh\nwhile :; do echo '{ORIN_NANO}'; sleep 0.02; done\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert TegrastatsMonitor.is_available()
    with TegrastatsMonitor() as monitor:
        start_seconds = time.monotonic()
        while len(monitor.samples) < 3:
            time.sleep(0.01)
        end_seconds = time.monotonic()
    joules = energy_joules(monitor.samples, start_seconds=start_seconds, end_seconds=end_seconds)
    assert joules == pytest.approx(17.946 * (end_seconds - start_seconds))
