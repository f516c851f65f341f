"""Two records side by side: how much faster each row became, and whether that is more than noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgefuse.bench.formatting import NOTHING, markdown_table, with_spread
from edgefuse.bench.record import Record, Row
from edgefuse.bench.summary import Ratio, compare

__all__ = ["ComparedRow", "compare_records", "comparison_dict", "comparison_markdown"]


@dataclass(frozen=True)
class ComparedRow:
    """One row in both records.

    Attributes:
        old: The row of the older record.
        new: The row of the newer one.
        ratio: Old median over new median, or None where one of them has no numbers.
    """

    old: Row
    new: Row
    ratio: Ratio | None

    @property
    def verdict(self) -> str:
        """What happened, in a word or two."""
        if self.ratio is None:
            return "failed" if self.new.failed is not None else "failed before"
        if not self.ratio.is_significant:
            return "same within the spread"
        return "faster" if self.ratio.value > 1 else "slower"


def compare_records(old: Record, new: Record) -> list[ComparedRow]:
    """Pair the rows of two records by model, runtime, device, precision, batch and size.

    Args:
        old: The record to compare with.
        new: The record in question.

    Returns:
        The rows that both have, in the order of the new record.
    """
    before = {row.key: row for row in old.rows}
    pairs = []
    for row in new.rows:
        earlier = before.get(row.key)
        if earlier is None:
            continue
        ratio = None
        if earlier.inference is not None and row.inference is not None:
            ratio = compare(earlier.inference.summary, row.inference.summary)
        pairs.append(ComparedRow(old=earlier, new=row, ratio=ratio))
    return pairs


def comparison_dict(old: Record, new: Record) -> list[dict[str, Any]]:
    """The comparison of two records as JSON.

    Args:
        old: The record to compare with.
        new: The record in question.

    Returns:
        One object a row that both have.
    """
    return [
        {
            "model": pair.new.model,
            "runtime": pair.new.runtime,
            "device": pair.new.device,
            "precision": pair.new.precision,
            "batch": pair.new.batch,
            "imgsz": list(pair.new.imgsz),
            "ratio": None if pair.ratio is None else pair.ratio.value,
            "spread": None if pair.ratio is None else pair.ratio.spread,
            "verdict": pair.verdict,
        }
        for pair in compare_records(old, new)
    ]


def comparison_markdown(old: Record, new: Record) -> str:
    """Write the comparison of two records as a table.

    Args:
        old: The record to compare with.
        new: The record in question.

    Returns:
        Markdown, ending in a newline.
    """
    headings = ["model", "runtime", "image", "old p50 ms", "new p50 ms", "old / new", "verdict"]
    cells = [
        [
            pair.new.model,
            f"{pair.new.runtime} {pair.new.precision}",
            f"{pair.new.imgsz[1]}×{pair.new.imgsz[0]}",
            _median(pair.old),
            _median(pair.new),
            NOTHING if pair.ratio is None else with_spread(pair.ratio.value, pair.ratio.spread),
            pair.verdict,
        ]
        for pair in compare_records(old, new)
    ]
    lines = [markdown_table(headings, cells) if cells else "No row is in both records.", "", *_differences(old, new)]
    return "\n".join(lines).rstrip("\n") + "\n"


def _median(row: Row) -> str:
    if row.inference is None:
        return NOTHING
    summary = row.inference.summary
    return with_spread(summary.p50_ms, summary.spread_ms)


def _differences(old: Record, new: Record) -> list[str]:
    """What else changed between the records, and rows that only one of them has."""
    facts, now = _facts(old), _facts(new)
    lines = [f"Another {name}: {fact}, now {now[name]}." for name, fact in facts.items() if fact != now[name]]
    before, after = old.machine["versions"], new.machine["versions"]
    changed = [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
    if changed:
        versions = (f"{name} {before.get(name, 'absent')}, now {after.get(name, 'absent')}" for name in changed)
        lines.append(f"Other versions: {'; '.join(versions)}.")
    for record, other, when in ((old, new, "before"), (new, old, "now")):
        keys = {row.key for row in other.rows}
        alone = [row for row in record.rows if row.key not in keys]
        if alone:
            names = ", ".join(f"{row.model} {row.runtime} {row.imgsz[1]}×{row.imgsz[0]}" for row in alone)
            lines.append(f"Only {when}: {names}.")
    return lines


def _facts(record: Record) -> dict[str, str]:
    """What two records must share to be comparable at all."""
    machine = record.machine
    return {
        "processor": machine["cpu"]["name"],
        "list of GPUs": ", ".join(gpu["name"] for gpu in machine["gpus"]) or "none",
        "power mode": str(machine["power_mode"] or "none"),
        "number of threads": str(record.settings["threads"]),
    }
