"""Fetching a model's files: from a folder and from a real server, whole, cut, wrong and away."""

from __future__ import annotations

import threading
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from edgefuse import zoo
from edgefuse.errors import ArtifactError, TrustError, UsageError
from edgefuse.manifest import Manifest, sha256_file
from edgefuse.pull import pull

GRAPH, WEIGHTS = bytes(range(256)) * 4000, b"weights" * 9000


@pytest.fixture
def published(tmp_path, monkeypatch):
    """The folder that holds the files of ``big``, of which only the manifest ships."""
    source, assets = tmp_path / "source", tmp_path / "assets"
    for folder in (source, assets):
        folder.mkdir()
    (source / "big.onnx").write_bytes(GRAPH)
    (source / "big.safetensors").write_bytes(WEIGHTS)
    weights = {"file": "big.safetensors", "sha256": sha256_file(source / "big.safetensors"), "size_bytes": len(WEIGHTS)}
    manifest = Manifest(
        "big.onnx", sha256_file(source / "big.onnx"), len(GRAPH), "onnx", "rpfnet", weights=weights, min_size=2
    )
    manifest.save(assets / "big.json")
    monkeypatch.setattr(zoo, "ASSETS", assets)
    monkeypatch.setattr("edgefuse.pull.ASSETS", assets)
    monkeypatch.setenv("EDGEFUSE_CACHE", str(tmp_path / "cache"))
    return source


class _Server(ThreadingHTTPServer):
    """Serves a folder; knows ranges where told to, and may cut the first answers short."""

    folder: Path
    ranges = True
    cuts = 0

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.asked = folder, []

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(SimpleHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        """Send a file, from the byte that is asked for."""
        path = self.server.folder / self.path.lstrip("/")
        wanted = self.headers.get("Range")
        self.server.asked.append((self.path, wanted))
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        first = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.server.ranges else 0
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(content) - first))
        self.end_headers()
        rest = content[first:]
        if self.server.cuts > 0:
            self.server.cuts -= 1
            rest = rest[: len(rest) // 2]
        self.wfile.write(rest)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(published):
    """A server of the published files."""
    running = _Server(published)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


def test_a_folder_gives_the_files_and_the_name_then_works(published):
    """Graph, weights and manifest lie together in the cache, and the second time nothing is fetched."""
    with pytest.raises(UsageError, match="edgefuse models pull big"):
        zoo.artifact("big")
    files = pull("big", str(published))
    assert [file.path.read_bytes() for file in files] == [GRAPH, WEIGHTS]
    assert all(file.fetched for file in files)
    assert zoo.artifact("big") == files[0].path
    assert zoo.weights("big") == files[1].path
    assert not any(file.fetched for file in pull("big"))


def test_a_server_gives_the_same(server):
    """Bytes are counted as they arrive."""
    told: list[int] = []
    files = pull("big", server.address + "/", on_bytes=told.append)
    assert [file.path.read_bytes() for file in files] == [GRAPH, WEIGHTS]
    assert sum(told) == len(GRAPH) + len(WEIGHTS)
    assert not list(files[0].path.parent.glob(".*.part"))


@pytest.mark.parametrize("ranges", [True, False])
def test_a_cut_fetch_goes_on_where_it_stopped(server, ranges):
    """With a server that knows ranges only the rest is asked for; without, the file starts anew."""
    server.ranges, server.cuts = ranges, 1
    with pytest.raises(ArtifactError, match="goes on where this stopped"):
        pull("big", server.address)
    with pytest.raises(UsageError, match="models pull"):
        zoo.artifact("big")
    files = pull("big", server.address)
    assert server.asked[1] == ("/big.onnx", f"bytes={len(GRAPH) // 2}-")
    assert files[0].path.read_bytes() == GRAPH


@pytest.mark.parametrize("change", ["one byte", "longer", "shorter"])
def test_another_file_is_refused_in_one_line_and_not_kept(server, change):
    """Whatever the source holds, only the bytes of the manifest get the name."""
    wrong = {"one byte": GRAPH[:-1] + b"?", "longer": GRAPH + b"?" * 999, "shorter": GRAPH[:99]}[change]
    (server.folder / "big.onnx").write_bytes(wrong)
    with pytest.raises(TrustError, match="not the file of the manifest") as caught:
        pull("big", server.address)
    assert "\n" not in str(caught.value)
    folder = zoo.cache_folder(zoo.known_manifest("big"))
    assert not list(folder.iterdir())


def test_a_damaged_file_in_the_cache_is_fetched_again(published):
    """A hash is checked every time, not only the first."""
    files = pull("big", str(published))
    files[0].path.write_bytes(GRAPH[:-1])
    with pytest.raises(UsageError, match="differs from its manifest"):
        pull("big")
    again = pull("big", str(published))
    assert [file.fetched for file in again] == [True, False]
    assert again[0].path.read_bytes() == GRAPH


def test_a_new_manifest_finds_no_old_file(published):
    """The cache has a folder for each content."""
    pull("big", str(published))
    changed = replace(zoo.known_manifest("big"), sha256="0" * 64)
    changed.save(zoo.ASSETS / "big.json")
    assert "big" not in zoo.installed()


def test_what_cannot_be_reached_is_named_without_its_password(server, published):
    """Missing files, closed ports and other kinds of address each say what is wrong."""
    (published / "big.safetensors").unlink()
    with pytest.raises(ArtifactError, match=r"big.safetensors: the server says 404"):
        pull("big", server.address)
    with pytest.raises(ArtifactError, match=r"has no big.safetensors"):
        pull("big", str(published))
    with pytest.raises(UsageError, match="http:// or https://"):
        pull("big", "ftp://user:secret@example.org")
    with pytest.raises(UsageError, match="known are big"):
        pull("small", str(published))
    with pytest.raises(ArtifactError) as caught:
        pull("big", "http://user:secret@127.0.0.1:9/models")
    assert "secret" not in str(caught.value)
