"""Pictures for another process, read by the reader of the documentation in a process of its own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgefuse.errors import InputError, UsageError
from edgefuse.stream.outputs import OutputThread, create_output

zmq = pytest.importorskip("zmq")


def free_port() -> int:
    """A TCP port that nobody uses now."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def documented_reader(repository: Path, tmp_path: Path) -> Iterator[Any]:
    """Start the reader that docs/stream.md shows; it is killed after the test."""
    blocks = re.findall(r"```python\n(.*?)```", (repository / "docs" / "stream.md").read_text("utf-8"), re.DOTALL)
    (code,) = [block for block in blocks if "import numpy as np, zmq" in block]
    (tmp_path / "reader.py").write_text(code)
    started: list[subprocess.Popen[str]] = []

    def start(endpoint: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(tmp_path / "reader.py"), endpoint]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.parametrize("kind", ["tcp", "ipc"])
def test_the_documented_reader_gets_the_pictures(
    kind: str, documented_reader: Any, fused_frame: Any, tmp_path: Path, wait_for: Any
) -> None:
    """In a second process, each with its own number and content."""
    port = free_port()
    address, endpoint = {
        "tcp": (f"zmq://127.0.0.1:{port}", f"tcp://127.0.0.1:{port}"),
        "ipc": (f"zmq+ipc://{tmp_path}/s", f"ipc://{tmp_path}/s"),
    }[kind]
    output = OutputThread(create_output(address))
    reader = documented_reader(endpoint)
    lines: list[str] = []
    threading.Thread(target=lambda: lines.extend(iter(reader.stdout.readline, "")), daemon=True).start()
    sent = iter(range(10**6))

    def read() -> bool:
        output.offer(fused_frame(next(sent)))
        return reader.poll() is None and len(lines) > 5

    wait_for(read)
    output.close()
    assert output.error is None
    for line in lines:
        sequence, captured, *_, mean = line.split()
        assert (float(captured), float(mean)) == (5.0, int(sequence) % 200 + 1)
        assert "(48, 64, 3)" in line


def test_all_pictures_and_their_times_stand_in_the_message(fused_frame: Any, wait_for: Any) -> None:
    """Raw counts stay 16 bits."""
    port = free_port()
    output = create_output(f"zmq://127.0.0.1:{port}?pictures=raw,ir,fused,vis")
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.set(zmq.SUBSCRIBE, b"edgefuse")
        socket.connect(f"tcp://127.0.0.1:{port}")

        def arrived() -> bool:
            output.write(fused_frame(3))
            return bool(socket.poll(20))

        wait_for(arrived)
        _, text, *parts = socket.recv_multipart()
    output.close()
    header = json.loads(text)
    assert (header["version"], header["sequence"], header["pts_seconds"]) == (1, 3, 0.5)
    assert (header["captured_seconds"], header["ir_captured_seconds"], header["ir_age_seconds"]) == (5.0, 0.1, 0.25)
    assert [item["name"] for item in header["pictures"]] == ["raw", "ir", "fused", "vis"]
    raw, ir, fused, vis = (
        np.frombuffer(part, item["dtype"]).reshape(item["shape"])
        for item, part in zip(header["pictures"], parts, strict=True)
    )
    np.testing.assert_array_equal(raw, fused_frame(3).pair.ir.image)
    np.testing.assert_array_equal(ir, fused_frame(3).ir_unit)
    np.testing.assert_array_equal(fused, vis + 1)


def test_a_reader_that_stops_reading_holds_up_nobody(fused_frame: Any, wait_for: Any) -> None:
    """It loses pictures, sees that by the numbers, and the other reader gets every one."""
    port = free_port()
    output = OutputThread(create_output(f"zmq://127.0.0.1:{port}"))
    with zmq.Context() as context, context.socket(zmq.SUB) as slow, context.socket(zmq.SUB) as quick:
        for socket in (slow, quick):
            socket.set(zmq.RCVHWM, 2)
            socket.set(zmq.RCVBUF, 20_000)
            socket.set(zmq.SUBSCRIBE, b"edgefuse")
            socket.connect(f"tcp://127.0.0.1:{port}")
        numbers: list[int] = []
        sent = iter(range(10**6))

        def next_read() -> bool:
            output.offer(fused_frame(next(sent)))
            if quick.poll(50):
                numbers.append(json.loads(quick.recv_multipart()[1])["sequence"])
            return len(numbers) > 600

        wait_for(next_read)
        held = []
        while slow.poll(500):
            held.append(json.loads(slow.recv_multipart()[1])["sequence"])
    output.close()
    assert output.written + output.dropped == next(sent)
    assert output.error is None
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert 0 < len(held) < 600


@pytest.mark.parametrize(
    "address",
    [
        "zmq://5600",
        "zmq://:5600",
        "zmq://127.0.0.1:65536",
        "drive.webp",
        "zmq+ipc://x",
        "zmq://h:1?pictures=red",
        "zmq://h:1?other=1",
        "zmq:x",
        "ftp://h/x",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    """With what an address looks like."""
    with pytest.raises(UsageError):
        create_output(address)


def test_an_address_that_is_taken_is_refused_by_name() -> None:
    """Before the cameras start."""
    address = f"zmq://127.0.0.1:{free_port()}"
    first = create_output(address)
    with pytest.raises(InputError, match="in use"):
        create_output(address)
    first.close()
    first.close()
    create_output(address).close()
