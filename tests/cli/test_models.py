"""``edgefuse models`` and ``edgefuse models pull`` as a user types them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from edgefuse.zoo import ASSETS, manifests


def test_every_published_model_states_size_cost_quality_training_and_licence(run_cli):
    """What the list shows is what the manifests say."""
    rows = {row["name"]: row for row in json.loads(run_cli("models", "--json").out)["models"]}
    for name, manifest in manifests().items():
        row = rows[name]
        assert row["size_bytes"] == manifest.size_bytes
        assert row["licence"]
        assert row["training"]["minutes"] > 0
        assert row["training"]["steps"] > 0


def test_pull_checks_what_is_here_already(run_cli):
    """The default ships with the package: its hash is checked and nothing is fetched."""
    document = json.loads(run_cli("models", "pull", "lite", "--json").out)
    assert document["command"] == "models pull"
    assert [file["fetched"] for file in document["files"]] == [False, False]
    assert document["files"][0]["path"] == str(ASSETS / "lite.onnx")


def test_pull_of_an_unknown_model_lists_what_there_is(run_cli):
    """Wrong usage, in one line."""
    result = run_cli("models", "pull", "liter")
    assert result.code == 2
    assert "lite" in result.err
    assert len(result.err.strip().splitlines()) == 1


@pytest.mark.skipif(not hasattr(signal, "SIGPIPE"), reason="pipes that signal are POSIX's")
def test_a_reader_that_leaves_early_ends_the_command_quietly(run_cli):
    """As `edgefuse models | head` does. SIGPIPE stays ignored: it would end a stream whose camera or viewer goes."""
    run_cli("--version")
    assert signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-c", "from edgefuse.cli import main; main()", "models"]
    try:
        ended = subprocess.run(command, check=False, stdout=write, stderr=subprocess.PIPE)
    finally:
        os.close(write)
    assert ended.returncode != 0
    assert ended.stderr == b""
