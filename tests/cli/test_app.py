"""The command line as a process: locales that lack characters, and outputs that take nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = "from edgefuse.cli import main; main()"


def run(*arguments: str, stdout: int, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, "COLUMNS": "200", **environment},
        check=False,
    )


def test_a_locale_without_a_character_gets_a_question_mark(average_model: Path) -> None:
    """A result is not lost for a multiplication sign."""
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    quick = ("--seconds", "0.02", "--warmup", "0", "--threads", "1", "--imgsz", "64", "64")
    result = run("bench", "--onnx", str(average_model), *quick, stdout=subprocess.PIPE, **ascii_only)
    assert (result.returncode, "64?64" in result.stdout) == (0, True), result.stderr


def test_an_interrupt_while_it_starts_is_no_traceback() -> None:
    """Ctrl-C right after Enter: the imports take a moment."""
    program = (
        "import sys\n"
        "class Interrupted:\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'edgefuse.cli.app': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupted())\n"
    )
    result = subprocess.run([sys.executable, "-c", program + PROGRAM], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (130, "")


def test_a_camera_process_imports_no_command_line() -> None:
    """It imports the program's own file again, before it opens the camera."""
    program = "import sys; from edgefuse.cli import main; sys.exit('typer' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_behind_stdout_is_one_line() -> None:
    """For a table and for JSON."""
    for arguments in (("models",), ("models", "--json")):
        with Path("/dev/full").open("w") as full:
            result = run(*arguments, stdout=full.fileno())
        assert (result.returncode, result.stderr) == (1, "error: No space left on device\n")
