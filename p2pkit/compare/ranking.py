"""Points by their scores: a table of means and spreads, which one is best, and what each costs."""

from __future__ import annotations

import csv
import itertools
import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from p2pkit.atomic_files import atomic_file
from p2pkit.compare.front import pareto_front
from p2pkit.engine.storage.costs import COSTS_MORE_IS_BETTER
from p2pkit.untyped import Json, Plain


class Result(Protocol):
    """What came of one run of a point."""

    @property
    def label(self) -> str:
        """The point."""
        ...

    @property
    def settings(self) -> Plain:
        """The keys it changes."""
        ...

    @property
    def state(self) -> str:
        """What has become of it: `finished`, `pruned`, or anything else."""
        ...

    @property
    def metrics(self) -> Mapping[str, float]:
        """Its scores."""
        ...

    @property
    def costs(self) -> Mapping[str, float]:
        """What it costs beside."""
        ...


def goal_of(names: Iterable[str], by: str | None) -> str | None:
    """Return which of a run's values a metric's name means: the one called so, or the first of several of its own."""
    return next((name for name in names if by and (name == by or name.startswith(f"{by}/"))), None)


@dataclass(frozen=True)
class Ranking:
    """Points with the runs of each.

    Args:
        children: The runs, in order.
        goals: What says which point is best, the first of them alone, and whether more of it is better.
    """

    children: tuple[Result, ...]
    goals: Mapping[str, bool | None] = field(default_factory=dict, kw_only=True)

    @property
    def points(self) -> dict[str, list[Result]]:
        """The runs of each point, by its label."""
        grouped = itertools.groupby(self.children, key=lambda child: child.label)
        return {label: list(group) for label, group in grouped}

    @property
    def goal(self) -> str | None:
        """The column by which points are ranked; None where no run is finished."""
        first = next(iter(self.goals), None)
        return next((goal for row in self.table() if (goal := goal_of(row, first))), None)

    @property
    def best(self) -> dict[str, Json] | None:
        """The table's row of the best point; None where no run is finished, or the metric does not say what is good."""
        goal = self.goal or ""
        rows = [row for row in self.table() if row["runs"] and math.isfinite(row.get(goal, math.nan))]
        higher = next(iter(self.goals.values()), None)
        if not rows or higher is None:
            return None
        return (max if higher else min)(rows, key=lambda row: row[goal])

    def weighed(self) -> dict[str, tuple[float, float]]:
        """Return both values of each point by which they are weighed; nothing where only one is asked for."""
        costs, found = self.costs(), {}
        for row in self.table() if len(self.goals) == 2 else ():
            values = {**row, **costs.get(row["label"], {})}
            first, second = (values.get(goal_of(values, goal) or "", math.nan) for goal in self.goals)
            if row["runs"] and math.isfinite(first) and math.isfinite(second):
                found[row["label"]] = (first, second)
        return found

    @property
    def front(self) -> list[str]:
        """The points that no other one beats in both values; empty where only one is asked for."""
        points = self.weighed()
        return pareto_front(points, list(map(bool, self.goals.values()))) if points else []

    def costs(self) -> dict[str, dict[str, float]]:
        """Return what each point costs, where networks differ or it is asked for: parameters, and images a second."""
        differ = any(
            key.startswith(("generator", "discriminator")) for child in self.children for key in child.settings
        )
        if not differ and COSTS_MORE_IS_BETTER.keys().isdisjoint(self.goals):
            return {}
        found = {}
        for label, group in self.points.items():
            each = [child.costs for child in group if child.state == "finished"]
            names = dict.fromkeys(name for costs in each for name in costs)
            found[label] = {name: statistics.fmean(costs[name] for costs in each if name in costs) for name in names}
        return found

    def table(self) -> list[dict[str, Json]]:
        """Return a row for each point: its label, how many runs count, and mean and spread of each metric."""
        rows = []
        for label, group in self.points.items():
            finished = [child for child in group if child.state == "finished"]
            row: dict[str, Json] = {"label": label, "runs": len(finished)}
            if pruned := [child for child in group if child.state == "pruned"]:
                row["pruned"] = len(pruned)
            scored = finished or [child for child in pruned if child.metrics]
            for name in scored[0].metrics if scored else ():
                values = [child.metrics[name] for child in scored]
                row[name] = statistics.fmean(values)
                row[f"{name}_spread"] = statistics.stdev(values) if len(values) > 1 else 0.0
            rows.append(row)
        return rows


def write_table(ranking: Ranking, path: Path) -> Path:
    """Write the table of points as CSV, with what each costs and what it changes; return the file."""
    costs, points = ranking.costs(), ranking.points
    rows = [{**row, **costs.get(row["label"], {}), **points[row["label"]][0].settings} for row in ranking.table()]
    with atomic_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(itertools.chain.from_iterable(rows))))
        writer.writeheader()
        writer.writerows(rows)
    return path
