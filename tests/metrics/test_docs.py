"""The page on metrics says what the code does."""

from __future__ import annotations

from pathlib import Path

from edgefuse.metrics import CONVENTIONS
from edgefuse.metrics.corruption import CORRUPTIONS


def test_the_page_lists_every_convention_as_the_code_describes_it(repository: Path) -> None:
    """A formula that changes changes its line in the docs."""
    page = (repository / "docs" / "metrics.md").read_text(encoding="utf-8")
    for convention in CONVENTIONS.values():
        row = f"| `{convention.name}` | {convention.summary}; gray as {convention.gray} | "
        row += "; ".join(f"{name} {formula.says}" for name, formula in convention.formulas.items()) + " |"
        assert row in page, convention.name


def test_the_page_lists_every_disturbance_with_its_defaults(repository: Path) -> None:
    """The spec in the table is the one that the parser takes."""
    page = (repository / "docs" / "metrics.md").read_text(encoding="utf-8")
    for kind, rule in CORRUPTIONS.items():
        start = f"| `{kind}[:{rule.defaults[0]:g}]`" if rule.defaults else f"| `{kind}:"
        assert start in page, kind
