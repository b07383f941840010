"""The scores of a comparison as they are shown, whether on a page or on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ScoreRow:
    """One point.

    Args:
        label: What differs, in few words.
        settings: The value of each key that differs.
        seeds: The seed of each run.
        scores: Mean and spread of each metric, and whether it is the best of its column.
        costs: What its runs cost.
    """

    label: str
    settings: tuple[str, ...]
    seeds: tuple[str, ...]
    scores: tuple[tuple[str, bool], ...]
    costs: tuple[str, ...]


@dataclass(frozen=True)
class ScoreTable:
    """All points.

    Args:
        settings: The keys that differ.
        metrics: The metrics, each with an arrow in the direction that is good.
        costs: What is told of the costs.
        rows: The points.
        measured: How the metrics were measured, under each protocol's title.
    """

    settings: tuple[str, ...]
    metrics: tuple[str, ...]
    costs: tuple[str, ...]
    rows: tuple[ScoreRow, ...]
    measured: Mapping[str, str]
