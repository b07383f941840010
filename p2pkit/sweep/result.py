"""What came of a sweep: a table, and with it a contact sheet, plots and a page."""

from __future__ import annotations

import csv
import itertools
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from p2pkit.atomic_files import atomic_file
from p2pkit.compare import compare, draw_contact_sheet, draw_front, pareto_front, save_plots, write_page
from p2pkit.compare.records import read_record
from p2pkit.config import PublishedConfig
from p2pkit.engine.storage.costs import COSTS_MORE_IS_BETTER
from p2pkit.sweep.points import Child, goal_of
from p2pkit.untyped import Json

TABLE = "table.csv"
PLOTS = "plots"


@dataclass(frozen=True)
class Sweep:
    """A sweep as it stands.

    Args:
        folder: Its folder, in which each run has one of its own.
        children: The runs, in order.
        open: How many points Optuna has still to choose.
        experiment: The experiment that trackers keep its runs in.
        goals: What says which point is best, the first of them alone, and whether more of it is better.
        busy: Whether other processes work on it.
        published: Figures of others for the same points.
        signal: The signal that stopped this process's part, if one did.
    """

    folder: Path
    children: tuple[Child, ...]
    open: int = 0
    experiment: str = ""
    goals: Mapping[str, bool | None] = field(default_factory=dict)
    busy: bool = False
    published: PublishedConfig = field(default_factory=PublishedConfig)
    signal: int | None = None

    @property
    def sheet(self) -> Path:
        """The contact sheet."""
        return self.folder / "sheet.png"

    @property
    def page(self) -> Path:
        """Everything in one page."""
        return self.folder / "page.html"

    @property
    def finished(self) -> list[Path]:
        """The folders of the finished runs that can be reached from here."""
        done = [child for child in self.children if child.state == "finished"]
        places = ((Path(child.home, child.folder), self.folder / child.folder) for child in done)
        found = (next((place for place in each if place.is_dir()), None) for each in places)
        return [folder for folder in found if folder is not None]

    @property
    def complete(self) -> bool:
        """Whether no run is waiting any more."""
        return not self.open and all(child.state != "waiting" for child in self.children)

    @property
    def points(self) -> dict[str, list[Child]]:
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

    def directions(self) -> dict[str, bool | None]:
        """Return for each metric whether higher is better, as the reports of the runs say."""
        records = (read_record(folder, lambda _: None) for folder in self.finished)
        reports = (scored.report for record in records if record for scored in record.history[-1:])
        return {name: higher for report in reports for name, higher in report.higher_is_better.items()}

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


def write_results(swept: Sweep) -> list[Path]:
    """Write the table, and where a run is finished the contact sheet, the plots and a page; return the files."""
    files = [_write_table(swept)]
    if swept.finished:
        compared = compare(swept.finished, by_protocol=True)
        draw_contact_sheet(compared, swept.sheet)
        files += [swept.sheet, *save_plots(compared, swept.folder / PLOTS), swept.page]
        write_page(compared, swept.page, title=swept.folder.name)
    if points := swept.weighed():
        files.append(swept.folder / PLOTS / "front.png")
        draw_front(points, {goal: bool(higher) for goal, higher in swept.goals.items()}, files[-1])
    return files


def _write_table(swept: Sweep) -> Path:
    costs = swept.costs()
    rows = [{**row, **costs.get(row["label"], {}), **swept.points[row["label"]][0].settings} for row in swept.table()]
    path = swept.folder / TABLE
    with atomic_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(itertools.chain.from_iterable(rows))))
        writer.writeheader()
        writer.writerows(rows)
    return path
