"""The description of the machine that stands beside every number."""

from __future__ import annotations

import getpass
import json
import os
import platform
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edgefuse.bench.machine import choose_cpus, describe_machine, physical_cores
from edgefuse.bench.nvml import list_gpus, open_gpu


def test_the_description_tells_what_a_comparison_needs() -> None:
    """Time, processor, memory and versions are there, and all of it is JSON."""
    machine = describe_machine()
    document = json.loads(json.dumps(asdict(machine)))
    assert abs((datetime.now(timezone.utc) - datetime.fromisoformat(document["utc"])).total_seconds()) < 60
    assert document["cpu"]["name"]
    assert document["cpu"]["architecture"] == platform.machine()
    assert 1 <= document["cpu"]["physical_cores"] <= document["cpu"]["allowed_cores"]
    assert document["versions"]["python"] == platform.python_version()
    assert document["versions"]["numpy"]
    assert machine.cpu.name in machine.summary


def leaves(value: Any) -> Iterator[object]:
    """The values in nested dictionaries and lists."""
    if isinstance(value, dict):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def test_the_description_names_neither_user_nor_host() -> None:
    """A record can be published as it is."""
    document = asdict(describe_machine())
    values = set(leaves(document))
    assert not values & {socket.gethostname(), getpass.getuser()}
    assert str(Path.home()) + os.sep not in json.dumps(document)


def test_the_commit_is_that_of_the_checkout(repository: Path) -> None:
    """In a checkout it is the commit that git names; from an installed package there is none."""
    git = ["git", "-C", str(repository)]
    tracked = subprocess.run(
        [*git, "ls-files", "--error-unmatch", "bench/machine.py"], capture_output=True, check=False
    )
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    expected = head.stdout.strip() if tracked.returncode == 0 else None
    assert describe_machine().commit == expected


def test_pinning_takes_allowed_cpus_one_per_core_first() -> None:
    """As many different CPUs as asked for, none that this process may not use."""
    chosen = choose_cpus(physical_cores())
    assert len(set(chosen)) == len(chosen) == physical_cores()
    if hasattr(os, "sched_getaffinity"):
        assert set(chosen) <= os.sched_getaffinity(0)
    assert len(choose_cpus(10_000)) <= (os.cpu_count() or 1)


def test_a_machine_without_a_driver_has_no_gpus() -> None:
    """Without NVIDIA's library the list is empty and the counters are absent; with it both agree."""
    with open_gpu(0) as counters:
        assert (counters is None) == (list_gpus() == [])
