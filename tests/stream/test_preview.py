"""The preview page and its server: who is let in, what they see, what they may change."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

from edgefuse.errors import UsageError
from edgefuse.fuser import load
from edgefuse.manifest import manifest_path
from edgefuse.stream.config import CameraConfig, PairConfig
from edgefuse.stream.preview import PreviewServer, parse_address
from edgefuse.stream.session import Session
from edgefuse.stream.uri import parse_uri

Ask = Callable[..., tuple[int, bytes]]


@pytest.fixture
def session(http_camera: Any, average_model: Path, wait_for: Any) -> Iterator[Session]:
    """A stream of two cameras that runs."""
    pair = PairConfig(
        CameraConfig("ir", parse_uri(http_camera().url + "?password=hunter2"), profile_name="generic16"),
        CameraConfig("vis", parse_uri(http_camera().url)),
    )
    with Session(pair, load(average_model)) as running:
        thread = threading.Thread(target=running.run, daemon=True)
        thread.start()
        wait_for(lambda: running.frames > 2)
        yield running
        running.stop()
        thread.join()


@pytest.fixture
def serve(session: Session) -> Iterator[Callable[..., PreviewServer]]:
    """Serve the stream."""
    started: list[PreviewServer] = []

    def start(**options: Any) -> PreviewServer:
        started.append(PreviewServer(session, port=0, **options))
        return started[-1]

    yield start
    for server in started:
        server.close()
        server.close()


def ask(server: PreviewServer, path: str, *, body: Any = None, **headers: str) -> tuple[int, bytes]:
    """One request to the server."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    data = None if body is None else json.dumps(body).encode()
    if data is not None:
        named.setdefault("Content-Type", "application/json")
    connection.request("GET" if body is None else "POST", path, data, named)
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def test_addresses_are_parsed_and_default_to_this_machine() -> None:
    """Nothing is opened to others unless their address is named."""
    assert parse_address("8000") == ("127.0.0.1", 8000)
    assert parse_address("0.0.0.0:81") == ("0.0.0.0", 81)  # noqa: S104
    assert parse_address("[::1]:9000") == ("::1", 9000)
    assert parse_address("camera.local") == ("camera.local", 8600)
    for text in ("", "host:", "host:x", "1.2.3.4:99999"):
        with pytest.raises(UsageError):
            parse_address(text)


def test_the_page_the_pictures_and_the_numbers_are_served(serve: Any, session: Session) -> None:
    """Every picture of the size of the visible frame, no credentials in any answer."""
    server = serve()
    code, page = ask(server, "/")
    assert (code, b"<title>EdgeFuse" in page) == (200, True)
    for name in ("ir", "vis", "fused", "overlay", "raw"):
        code, data = ask(server, f"/frame/{name}.jpg")
        assert code == 200
        assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape == (48, 64, 3)
    code, data = ask(server, "/status")
    status = json.loads(data)
    assert (code, status["healthy"], status["cameras"]["ir"]["state"] in ("running", "held")) == (200, True, True)
    code, metrics = ask(server, "/metrics")
    assert code == 200
    assert b"hunter2" not in data + metrics + page
    assert ask(server, "/healthz") == (200, b"ok\n")
    assert ask(server, "/nothing")[0] == 404
    assert ask(server, "/frame/../secret.jpg")[0] == 404


def test_metrics_are_what_prometheus_reads(serve: Any, session: Session) -> None:
    """Each line is a comment or a sample; each family is announced once, and its samples stand together."""
    _, data = ask(serve(), "/metrics")
    families: list[str] = []
    for line in data.decode().splitlines():
        if line.startswith("# TYPE"):
            families.append(line.split()[2])
            continue
        if line.startswith("#"):
            continue
        name, value = line.split("{")[0].split(" ")[0], float(line.rsplit(" ", 1)[1])
        assert np.isfinite(value)
        assert name.removesuffix("_count") == families[-1]
    assert len(families) == len(set(families))
    assert {"edgefuse_frames_total", "edgefuse_stage_milliseconds", "edgefuse_camera_up"} <= set(families)


def test_a_foreign_name_is_refused(serve: Any) -> None:
    """A site that points its own name here gets nothing, unless the user allows the name."""
    assert ask(serve(), "/status", Host="evil.example")[0] == 403
    assert ask(serve(), "/healthz", Host="evil.example")[0] == 403
    assert ask(serve(allowed_hosts=["camera.local"]), "/status", Host="camera.local:8600")[0] == 200


def test_another_address_wants_the_token(serve: Any) -> None:
    """Beyond this machine nothing but health is answered without it."""
    server = serve(host="0.0.0.0")  # noqa: S104
    assert server.token
    assert len(server.token) > 20
    for path in ("/", "/status", "/metrics", "/frame/fused.jpg", "/status?token=wrong"):
        assert ask(server, path)[0] == 401
    assert ask(server, "/model", body={"model": "lite"})[0] == 401
    assert ask(server, "/healthz")[0] == 200
    assert ask(server, f"/status?token={server.token}")[0] == 200
    assert ask(server, "/metrics", Authorization=f"Bearer {server.token}")[0] == 200
    assert urlsplit(server.url).query == f"token={server.token}"


def test_the_model_is_switched_while_running(serve: Any, session: Session, average_model: Path, wait_for: Any) -> None:
    """Pictures go on; a wrong name is refused and the old model stays."""
    server, before = serve(), session.fuser
    code, answer = ask(server, "/model", body={"model": "nothing"})
    assert (code, b"unknown model" in answer, session.fuser is before) == (400, True, True)
    assert ask(server, "/model", body={"model": str(average_model)})[0] == 200
    assert session.fuser is not before
    seen = session.frames
    wait_for(lambda: session.frames > seen + 3)


def test_models_of_every_precision_are_offered(
    serve: Any, session: Session, average_model: Path, tmp_path: Path
) -> None:
    """What is installed, and files with a manifest beside the model; other files and lost ones are left out."""
    half = Path(shutil.copy(average_model, tmp_path / "average-fp16.onnx"))
    manifest = json.loads(manifest_path(average_model).read_text())
    for name, file in (("average-fp16", half.name), ("lost", "lost.onnx")):
        (tmp_path / f"{name}.json").write_text(json.dumps(manifest | {"file": file, "precision": "fp16"}))
    (tmp_path / "settings.json").write_text('{"a": 1}')
    server = serve(models_folder=tmp_path)
    offered = json.loads(ask(server, "/models")[1])["models"]
    labels = {one["model"]: one["label"] for one in offered}
    assert labels["lite"] == "lite, fp32, onnx"
    assert [name for name in labels if "average" in name or "lost" in name] == [str(half)]
    assert labels[str(half)].endswith(", fp16, onnx")
    code, answer = ask(server, "/model", body={"model": str(half)})
    assert (code, b"fp16" in answer, "fp16" in session.fuser.model) == (200, True, True)


def test_a_model_is_switched_on_the_device_of_the_stream(serve: Any, session: Session, average_model: Path) -> None:
    """A stream on the GPU does not go on, on the CPU; where that fails, the old model stays."""
    before = session.fuser
    code, answer = ask(serve(device="cuda"), "/model", body={"model": str(average_model)})
    assert (code, b"CUDA" in answer, session.fuser is before) == (400, True, True)


def test_a_model_for_smaller_pictures_does_not_end_the_stream(
    serve: Any, session: Session, average_model: Path, tmp_path: Path, wait_for: Any
) -> None:
    """It is tried on this stream's size before it takes over, and refused with the way out."""
    before, small = session.fuser, Path(shutil.copy(average_model, tmp_path))
    manifest = json.loads(manifest_path(average_model).read_text()) | {"imgsz": [16, 32]}
    manifest_path(small).write_text(json.dumps(manifest))
    code, answer = ask(serve(), "/model", body={"model": str(small)})
    assert (code, b"64x48, the model takes at most 32x16" in answer, session.fuser is before) == (400, True, True)
    seen = session.frames
    wait_for(lambda: session.frames > seen + 3)


def test_four_clicked_points_register_the_stream(serve: Any, session: Session, wait_for: Any) -> None:
    """A shift by (3, 2) is found and applied; points on a line are refused."""
    server = serve()
    ir = [[5, 5], [50, 6], [52, 40], [6, 41]]
    vis = [[x + 3, y + 2] for x, y in ir]
    code, answer = ask(server, "/calibration", body={"ir": ir, "vis": vis, "distance_metres": 12})
    assert code == 200
    assert "distance_metres = 12.0" in json.loads(answer)["toml"]
    seen = session.frames
    wait_for(lambda: session.frames > seen + 2)
    frame = session.latest
    assert frame is not None
    raw = frame.pair.ir.image.astype(np.float32)
    assert frame.ir_unit.shape == (48, 64)
    assert raw.shape == (48, 64)
    line = [[5, 5], [10, 10], [20, 20], [30, 31]]
    code, answer = ask(server, "/calibration", body={"ir": line, "vis": line})
    assert (code, b"on a line" in answer) == (400, True)
    assert ask(server, "/calibration", body={"ir": 3})[0] == 400


@pytest.mark.parametrize(
    ("headers", "code"),
    [({"Origin": "http://evil.example"}, 403), ({"Content_Type": "text/plain"}, 400), ({"Host": "evil.example"}, 403)],
)
def test_another_site_cannot_change_anything(serve: Any, session: Session, headers: dict[str, str], code: int) -> None:
    """Not by a form, not by a script, not by another name."""
    before = session.fuser
    assert ask(serve(), "/model", body={"model": "lite"}, **headers)[0] == code
    assert session.fuser is before


def test_the_page_runs_in_a_browser(serve: Any, tmp_path: Path) -> None:
    """Headless Chromium shows four pictures that are not blank, at the widths of a desk and of a phone."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        reason = "no Chromium on this machine: apt install chromium"
        if os.environ.get("EDGEFUSE_REQUIRE_STREAM_TOOLS") == "1":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    server = serve()
    for width in (1280, 390):
        picture = tmp_path / f"{width}.png"
        command = [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
        ]
        command += [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},1400", f"--screenshot={picture}"]
        process = subprocess.Popen(
            [*command, "--virtual-time-budget=4000", server.url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        process.kill()
        process.wait()
        shown = cv2.imread(str(picture))
        assert shown is not None
        # The cameras of this test are bright and flat: their pictures are the only large areas that are not dark.
        assert (shown.min(axis=2) > 38).mean() > 0.25
