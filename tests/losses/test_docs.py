"""The page on losses lists what the package has."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from edgefuse.losses import create, names


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    """The text of docs/losses.md."""
    return (repository / "docs" / "losses.md").read_text(encoding="utf-8")


def test_the_table_has_every_loss_with_its_options_and_needs(page):
    """Names, defaults and needed context in the table are those of the code."""
    listed = {}
    for line in page.splitlines():
        row = re.fullmatch(r"\| `(\w+)` \|.*\| ([^|]*)\| ([^|]*)\|", line)
        if row:
            listed[row[1]] = (set(re.findall(r"`([^`]+)`", row[2])), set(re.findall(r"`([^`]+)`", row[3])))
    expected = {}
    for name in names():
        loss = create(name)
        options = inspect.signature(type(loss)).parameters.values()
        shown = {f"{option.name}={option.default!r}".replace("'", '"') for option in options}
        expected[name] = (shown, set(loss.needs))
    assert listed == expected


def test_the_example_runs(page):
    """The first Python block does what it says."""
    (example, *_) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    namespace: dict[str, object] = {}
    exec(compile(example, "docs/losses.md", "exec"), namespace)  # noqa: S102  # the page is ours
    assert list(namespace["report"].terms) == ["gradient", "max_intensity", "ssim"]
    assert namespace["fused"].grad is not None
