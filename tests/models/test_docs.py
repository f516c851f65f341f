"""docs/models.md agrees with the manifests."""

from __future__ import annotations

from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "models.md"


def test_the_table_of_weights_is_the_one_that_the_command_writes(run_cli):
    """What stands between the markers is the output of `edgefuse models --markdown`."""
    text = DOCUMENT.read_text(encoding="utf-8")
    between = text.split("<!-- models -->\n")[1].split("<!-- /models -->")[0]
    assert between == run_cli("models", "--markdown").out
