"""Runs side by side: what differs, and what came of it."""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from p2pkit.compare.protocols import Protocols, choose_protocols
from p2pkit.compare.records import Record, Scored, read_record
from p2pkit.compare.settings import PROCESSES, differing, label, with_absent_terms
from p2pkit.compare.spending import mean_costs, with_efficiency
from p2pkit.engine.storage.costs import EFFICIENCY, ENERGY, PARAMETERS, PER_PROCESS, SPEED
from p2pkit.errors import ModelError, Problem
from p2pkit.types.runs import ARROWS
from p2pkit.untyped import Json, Plain


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


@dataclass(frozen=True)
class Comparison:
    """Runs, ordered by what differs between them.

    Args:
        runs: The runs.
        protocols: How they were measured.
    """

    runs: tuple[Record, ...]
    protocols: Protocols

    def _repr_html_(self) -> str:
        """Show the scores and the contact sheet in a notebook."""
        from p2pkit.compare.page import tables

        return tables(self)

    @cached_property
    def _differing(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return differing([run.settings for run in self.runs])

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that differ."""
        return self._differing[0]

    @property
    def implied(self) -> tuple[str, ...]:
        """Parameters that differ because a component does."""
        return self._differing[1]

    @property
    def costs(self) -> tuple[str, ...]:
        """What of the points' costs tells them apart: size and speed of networks, use of processes, energy."""
        networks = any(key.startswith(("generator", "discriminator")) for key in self.keys)
        several = PROCESSES in self.keys
        wanted = {PARAMETERS: networks, SPEED: networks or several, PER_PROCESS: several, EFFICIENCY: several}
        wanted[ENERGY] = True
        return tuple(n for n, shown in wanted.items() if shown and any(n in point.costs for point in self.points))

    @cached_property
    def points(self) -> tuple[Point, ...]:
        """The runs, those that differ in nothing but the seed as one point; by numbers, and names as they come."""
        groups: dict[str, list[Record]] = {}
        for run in self.runs:
            groups.setdefault(repr([run.settings.get(key) for key in (*self.keys, *self.implied)]), []).append(run)
        spent = with_efficiency([(runs[0].settings, mean_costs([r.costs for r in runs])) for runs in groups.values()])
        points = [
            Point({key: runs[0].settings.get(key) for key in self.keys}, tuple(runs), self._name(runs), costs)
            for runs, costs in zip(groups.values(), spent, strict=True)
        ]
        return tuple(sorted(points, key=lambda point: [self._rank(key, point.settings[key]) for key in self.keys]))

    def _name(self, runs: Sequence[Record]) -> str:
        names = {run.point for run in runs}
        return names.pop() if len(names) == 1 and len({run.sweep for run in self.runs}) == 1 else ""

    def _rank(self, key: str, value: Json) -> tuple[int, float]:
        """Order numbers before all else, which stands in the order in which it comes."""
        if type(value) in (int, float):
            return 0, value
        return 1, [run.settings.get(key) for run in self.runs].index(value)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Metrics, protocol by protocol."""
        columns: dict[tuple[str, str], Column] = {}
        for protocol in self.protocols.chosen:
            for scored in filter(None, (run.latest.get(protocol) for run in self.runs)):
                for metric in scored.report.metrics:
                    title = f"{metric} {self.protocols.title(protocol)}".strip()
                    better = scored.report.higher_is_better.get(metric)
                    columns.setdefault((protocol, metric), Column(metric, protocol, title, better))
        return tuple(columns.values())

    def best(self, column: Column) -> Point | None:
        """Return the point with the best mean, where there are several and the metric says what is good."""
        scores = [(summary.mean, point) for point in self.points if (summary := point.summary(column)) is not None]
        if column.higher_is_better is None or len(scores) < 2:
            return None
        choose = max if column.higher_is_better else min
        return choose(scores, key=lambda score: score[0])[1]

    def shown(self, run: Record) -> Scored | None:
        """Return the evaluation whose samples are shown: the latest under the first protocol."""
        return next((run.latest[protocol] for protocol in self.protocols.chosen if protocol in run.latest), None)

    def as_dict(self) -> dict[str, Json]:
        """Return all of it as plain data."""
        best = {column.title: point.label for column in self.columns if (point := self.best(column)) is not None}
        return {
            "keys": list(self.keys),
            "implied": list(self.implied),
            "protocols": {title: dict(fields) for title, fields in self.protocols.described().items()},
            "best": best,
            "points": [self._row(point) for point in self.points],
        }

    def _row(self, point: Point) -> dict[str, Json]:
        summaries = {column.title: point.summary(column) for column in self.columns}
        metrics = {
            title: {"mean": summary.mean, "spread": summary.spread, "values": list(summary.values)}
            for title, summary in summaries.items()
            if summary is not None
        }
        runs = [{"folder": str(run.folder), "seed": run.seed} for run in point.runs]
        costs = {name: point.costs.get(name) for name in self.costs}
        about = {"label": point.label, "settings": dict(point.settings), "runs": runs}
        return {**about, "metrics": metrics, **({"costs": costs} if costs else {})}


def compare(
    runs: Sequence[Path], *, by_protocol: bool = False, note: Callable[[Problem], None] | None = None
) -> Comparison:
    """Compare runs; what is damaged is left out.

    Args:
        runs: Their folders.
        by_protocol: Whether scores that were measured differently get a column each; else they are refused.
        note: Hears of each run and report that is left out; by default a warning says so.

    Raises:
        ModelError: No run can be read, none was scored, or no protocol is common to all.
    """
    read = [read_record(folder, note or _warn) for folder in dict.fromkeys(map(Path, runs))]
    found = [record for record in read if record is not None]
    if not found:
        raise ModelError(Problem("", "none of these runs can be read", "name others"))
    settings = with_absent_terms([record.settings for record in found])
    records = tuple(replace(record, settings=own) for record, own in zip(found, settings, strict=True))
    if not any(record.latest for record in records):
        raise ModelError(Problem("", "none of these runs has been scored yet", "train on, or p2pkit evaluate RUN"))
    return Comparison(records, choose_protocols(records, by_protocol=by_protocol))


def _warn(problem: Problem) -> None:
    warnings.warn(f"left out: {problem}", stacklevel=2)
