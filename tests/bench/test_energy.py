"""Energy counters of the CPU package, as the power capping interface shows them."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from edgefuse.bench.energy import find_rapl_domains, metered, monitored


def make_domain(root: Path, name: str, energy: int, *, maximum: int = 999) -> Path:
    """A folder as the kernel makes it for one domain."""
    folder = root / name
    folder.mkdir()
    (folder / "max_energy_range_uj").write_text(f"{maximum}\n")
    (folder / "energy_uj").write_text(f"{energy}\n")
    return folder


def test_packages_are_found_and_their_parts_are_not(tmp_path: Path) -> None:
    """Cores and memory controllers below a package are part of its energy already."""
    make_domain(tmp_path, "intel-rapl:0", 5)
    make_domain(tmp_path, "intel-rapl:0:0", 3)
    make_domain(tmp_path, "intel-rapl:1", 7)
    domains, note = find_rapl_domains(tmp_path)
    assert [domain.read_microjoules() for domain in domains] == [5, 7]
    assert note is None


def test_a_counter_that_wrapped_still_gives_the_difference(tmp_path: Path) -> None:
    """From 990 over 999 to 20 are 30 steps."""
    folder = make_domain(tmp_path, "intel-rapl:0", 990)
    (domain,), _ = find_rapl_domains(tmp_path)
    before = domain.read_microjoules()
    (folder / "energy_uj").write_text("20\n")
    assert domain.since_microjoules(before) == 30


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_an_unreadable_counter_says_why(tmp_path: Path) -> None:
    """Kernels let root alone read the counter: the note says so."""
    folder = make_domain(tmp_path, "intel-rapl:0", 5)
    (folder / "energy_uj").chmod(0)
    domains, note = find_rapl_domains(tmp_path)
    assert domains == []
    assert note is not None
    assert "root" in note


def test_a_machine_without_counters_gives_no_energy(tmp_path: Path) -> None:
    """An empty interface has no domains and no complaint."""
    assert find_rapl_domains(tmp_path) == ([], None)


def test_metering_gives_positive_energy_or_none() -> None:
    """On this machine, whichever it is, a source tells more than nothing or is absent."""
    with metered(gpu_index=None) as energy:
        sum(range(200_000))
    assert all(joules >= 0.0 for joules in energy.joules.values())


def test_a_jetson_counts_the_energy_of_its_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With tegrastats running, its mean power times the time is the energy, and its memory is the module's."""
    program = tmp_path / "tegrastats"
    program.write_text("#!/bin/sh\nwhile :; do echo 'RAM 100/7620MB VDD_IN 5000mW/5000mW'; sleep 0.02; done\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with monitored() as monitor:
        assert monitor is not None
        assert monitor.wait_for_sample() is not None
        started = time.monotonic()
        with metered(gpu_index=0, monitor=monitor) as energy:
            monitor.wait_for_sample()
            monitor.wait_for_sample()
        assert 0 < energy.joules["tegrastats"] <= 5.0 * (time.monotonic() - started)
        assert monitor.peak_ram_bytes() == 100 << 20


def test_other_machines_run_no_monitor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the program there is nothing to start."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with monitored() as monitor:
        assert monitor is None
