"""Runs that differ in nothing but the seed, and their scores by metric and protocol."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field

from p2pkit.compare.records import Record
from p2pkit.compare.settings import label
from p2pkit.types.runs import ARROWS
from p2pkit.untyped import Plain


@dataclass(frozen=True)
class Column:
    """One metric under one protocol.

    Args:
        metric: The metric.
        protocol: The protocol's text.
        title: The metric, with what tells the protocol from the others where there are several.
        higher_is_better: Which direction is good; None where the metric does not say.
    """

    metric: str
    protocol: str
    title: str
    higher_is_better: bool | None

    @property
    def head(self) -> str:
        """The title with an arrow in the direction that is good."""
        return f"{self.title}{ARROWS[self.higher_is_better]}"


@dataclass(frozen=True)
class Summary:
    """A metric over the runs of a point.

    Args:
        values: One value for each run that was scored.
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean."""
        return statistics.fmean(self.values)

    @property
    def spread(self) -> float:
        """The sample's standard deviation; 0 for a single run."""
        return statistics.stdev(self.values) if len(self.values) > 1 else 0.0

    def __str__(self) -> str:
        return f"{self.mean:.4f}" + (f" ± {self.spread:.4f}" if len(self.values) > 1 else "")


@dataclass(frozen=True)
class Point:
    """Runs that differ in nothing but the seed.

    Args:
        settings: The differing keys and their values here.
        runs: The runs.
        name: What the sweep calls it that all runs of the comparison are of; empty where they are not of one.
        costs: What its runs cost in the mean, where they say so.
    """

    settings: Plain
    runs: tuple[Record, ...]
    name: str = ""
    costs: Mapping[str, float] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What differs, in few words."""
        return self.name or label(self.settings) or "all alike"

    def summary(self, column: Column) -> Summary | None:
        """Return a metric's mean and spread; None where no run was scored by it."""
        found = (run.latest.get(column.protocol) for run in self.runs)
        values = tuple(
            scored.report.metrics[column.metric]
            for scored in found
            if scored and column.metric in scored.report.metrics
        )
        return Summary(values) if values else None
