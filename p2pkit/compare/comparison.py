"""Runs side by side: what differs, and what came of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from p2pkit.compare import html
from p2pkit.compare.points import Column, Point
from p2pkit.compare.protocols import Protocols, choose_protocols
from p2pkit.compare.records import Record, Scored, read_record
from p2pkit.compare.samples import sample_rows
from p2pkit.compare.score_table import ScoreRow, ScoreTable
from p2pkit.compare.settings import PROCESSES, differing, short_names, shown, with_absent_terms
from p2pkit.compare.spending import mean_costs, with_efficiency
from p2pkit.engine.storage.costs import EFFICIENCY, ENERGY, PARAMETERS, PER_PROCESS, SPEED, cost
from p2pkit.errors import ModelError, Problem
from p2pkit.untyped import Json


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
        return html.scores(self.table) + html.samples(*sample_rows(self.sheets))

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

    @property
    def sheets(self) -> tuple[tuple[str, Path], ...]:
        """The picture of each point's samples, under the point's label: of its first run that has been scored."""
        scored = ((point, next(filter(None, map(self.shown, point.runs)), None)) for point in self.points)
        return tuple((point.label, found.sheet) for point, found in scored if found is not None)

    @property
    def table(self) -> ScoreTable:
        """The scores as they are shown, whether on a page or on a terminal."""
        best = {column: self.best(column) for column in self.columns}
        return ScoreTable(
            tuple(short_names(self.keys).values()),
            tuple(column.head for column in self.columns),
            self.costs,
            tuple(self._shown_row(point, best) for point in self.points),
            {
                title: ", ".join(f"{name} {value}" for name, value in fields.items())
                for title, fields in self.protocols.described().items()
            },
        )

    def _shown_row(self, point: Point, best: Mapping[Column, Point | None]) -> ScoreRow:
        spent = [(name, point.costs.get(name)) for name in self.costs]
        return ScoreRow(
            point.label,
            tuple(shown(value) for value in point.settings.values()),
            tuple(str(run.seed) for run in point.runs),
            tuple((str(point.summary(column) or ""), best[column] is point) for column in self.columns),
            tuple("" if value is None else cost(name, value) for name, value in spent),
        )

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
