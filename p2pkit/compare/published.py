"""Scores beside the figures that others published for the same comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from p2pkit.config import PublishedConfig
from p2pkit.engine.storage.evaluations import last_evaluation
from p2pkit.untyped import Plain

GROUND_TRUTH = "ground truth"


@dataclass(frozen=True)
class Beside:
    """A row of the table.

    Args:
        label: The point, or `ground truth` for what the targets themselves score.
        own: Scores of one's own, in the order of the published metrics; None where there is none.
        published: The published figures, in the same order.
    """

    label: str
    own: tuple[float | None, ...]
    published: tuple[float | None, ...]


def beside_published(published: PublishedConfig, table: Sequence[Plain], runs: Sequence[Path]) -> list[Beside]:
    """Return a row for each point, and for the targets where a metric can judge them; none without figures.

    Args:
        published: The figures.
        table: For each point its label and its scores.
        runs: The folders of finished runs, of which the first says what the targets score.
    """
    rows = {row["label"]: row for row in table}
    if runs and published.metrics and (truth := last_evaluation(runs[0])[0].ground_truth):
        rows[GROUND_TRUTH] = truth
    missing = [None] * len(published.metrics)
    return [
        Beside(label, tuple(map(row.get, published.metrics)), tuple(published.points.get(label, missing)))
        for label, row in rows.items()
        if published.metrics
    ]


def table_beside_published(published: PublishedConfig, rows: Sequence[Beside]) -> str:
    """Write these rows as a table in Markdown, and say whose figures they are; empty where there are none."""
    if not rows:
        return ""
    titles = list(published.metrics.values())
    lines = [["", *titles, *(f"published {title}" for title in titles)], ["---", *["--:"] * 2 * len(titles)]]
    lines += [[row.label, *map(_figure, (*row.own, *row.published))] for row in rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    warning = "Other data than here: compare the order of the rows, and not the values."
    return f"{table}\n\nPublished: {published.source}. {warning}\n"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
