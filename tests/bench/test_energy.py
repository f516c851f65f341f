"""Energy counters of the CPU package, as the power capping interface shows them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgefuse.bench.energy import find_rapl_domains, metered


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
