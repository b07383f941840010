"""A sweep's scores beside the figures that others published for the same comparison."""

from __future__ import annotations

from dataclasses import dataclass

from p2pkit.engine.storage.evaluations import last_evaluation
from p2pkit.sweep.result import Sweep
from p2pkit.untyped import Plain

GROUND_TRUTH = "ground truth"


@dataclass(frozen=True)
class Beside:
    """A row of the table.

    Args:
        label: The point, or `ground truth` for what the targets themselves score.
        own: This sweep's scores, in the order of the published metrics; None where there is none.
        published: The published figures, in the same order.
    """

    label: str
    own: tuple[float | None, ...]
    published: tuple[float | None, ...]


def beside_published(swept: Sweep) -> list[Beside]:
    """Return a row for each point, and for the targets where a metric can judge them; none without figures."""
    published = swept.published
    rows: dict[str, Plain] = {row["label"]: row for row in swept.table()}
    if swept.finished:
        truth = last_evaluation(swept.finished[0])[0].ground_truth
        rows |= {GROUND_TRUTH: truth} if truth else {}
    missing = [None] * len(published.metrics)
    return [
        Beside(label, tuple(map(row.get, published.metrics)), tuple(published.points.get(label, missing)))
        for label, row in rows.items()
        if published.metrics
    ]


def table_beside_published(swept: Sweep) -> str:
    """Write these rows as a table in Markdown, and say whose figures they are; empty where there are none."""
    rows = beside_published(swept)
    if not rows:
        return ""
    titles = list(swept.published.metrics.values())
    lines = [["", *titles, *(f"published {title}" for title in titles)], ["---", *["--:"] * 2 * len(titles)]]
    lines += [[row.label, *map(_figure, (*row.own, *row.published))] for row in rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    warning = "Other data than here: compare the order of the rows, and not the values."
    return f"{table}\n\nPublished: {swept.published.source}. {warning}\n"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
