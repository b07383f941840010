"""Many runs that differ in a few keys: a grid of settings, each trained, scored and shown beside the others."""

from __future__ import annotations

import itertools
import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from p2pkit import api
from p2pkit.config import Source, load_config, resolve
from p2pkit.engine.check import Checked
from p2pkit.engine.evaluation_files import last_evaluation
from p2pkit.engine.runs import new_folder
from p2pkit.engine.sheet import Row, draw_sheet
from p2pkit.errors import ConfigError, ModelError, P2pkitError, Problem
from p2pkit.registry import Registry, load_registry
from p2pkit.sweep.points import Child, parse_axes, spell_out

STATE = "sweep.json"


@dataclass(frozen=True)
class Sweep:
    """A sweep on disk; `sweep.json` in its folder is rewritten after each run, so that it can go on.

    Args:
        folder: Its folder, in which each run has one of its own.
        config: The keys that all runs share.
        children: The runs, in order.
    """

    folder: Path
    config: Mapping[str, Any]
    children: tuple[Child, ...]

    @property
    def sheet(self) -> Path:
        """The contact sheet."""
        return self.folder / "sheet.png"

    @property
    def complete(self) -> bool:
        """Whether no run is waiting any more."""
        return all(child.state != "waiting" for child in self.children)

    def table(self) -> list[dict[str, Any]]:
        """Return a row for each point: its label, how many runs count, and mean and spread of each metric."""
        rows = []
        for label, group in _by_point(self.children):
            finished = [child for child in group if child.state == "finished"]
            row: dict[str, Any] = {"label": label, "runs": len(finished)}
            for name in finished[0].metrics if finished else ():
                values = [child.metrics[name] for child in finished]
                row[name] = statistics.fmean(values)
                row[f"{name}_spread"] = statistics.stdev(values) if len(values) > 1 else 0.0
            rows.append(row)
        return rows


def sweep(
    config: str | Path | Mapping[str, Any],
    axes: Sequence[str] | Mapping[str, Sequence[Any]] = (),
    *,
    seeds: int | None = None,
    name: str | None = None,
    registry: Registry | None = None,
    progress: bool = False,
    **overrides: Any,
) -> Sweep:
    """Train a run for each point of a sweep.

    All points are checked before the first is trained. A run that fails is recorded, and the sweep goes on.

    Args:
        config: What all runs share; its key `sweep` may say what differs.
        axes: More keys that differ, with their values: `["losses.l1.weight=1,10"]`, or a mapping.
        seeds: Runs of each point; by default what the config says.
        name: The sweep's name; by default the recipe's name and the time.
        registry: The names in force.
        progress: Whether to show how the runs come along.
        **overrides: Keys to change in all runs.

    Returns:
        The sweep; runs still wait in it where a signal stopped it.

    Raises:
        ConfigError: Points can't be run; holds all problems.
    """
    registry = registry or load_registry()
    planned = plan(config, axes, seeds=seeds, registry=registry, **overrides)
    tracking = planned.checked[0].plan.config.tracking
    folder = new_folder(tracking.folder, name or tracking.name, f"sweep-{planned.source.name}")
    return _run(Sweep(folder, planned.shared, planned.children), registry, progress)


@dataclass(frozen=True)
class Planned:
    """A sweep that is known to be possible.

    Args:
        source: The config as written.
        shared: The keys that all runs share.
        children: The runs, in order.
        checked: What the check of each point found.
    """

    source: Source
    shared: Mapping[str, Any]
    children: tuple[Child, ...]
    checked: tuple[Checked, ...]


def plan(
    config: str | Path | Mapping[str, Any],
    axes: Sequence[str] | Mapping[str, Sequence[Any]] = (),
    *,
    seeds: int | None = None,
    registry: Registry | None = None,
    **overrides: Any,
) -> Planned:
    """Look for everything that can be wrong with any point of a sweep, without training; arguments as for `sweep`.

    Raises:
        ConfigError: Points can't be run; holds all problems.
    """
    registry = registry or load_registry()
    given: dict[str, Any] = {"axes": dict(axes) if isinstance(axes, Mapping) else parse_axes(axes)}
    if seeds is not None:
        given["seeds"] = seeds
    source = load_config(config, {**overrides, "sweep": given})
    found = resolve(source, registry)
    wrong = [problem for problem in found.problems if problem.path.partition(".")[0] == "sweep"]
    if wrong:
        raise ConfigError(wrong)
    children = spell_out(found.config.sweep)
    shared = {key: value for key, value in source.raw.items() if key != "sweep"}
    return Planned(source, shared, tuple(children), tuple(_check(shared, children, registry)))


def outline(config: str | Path | Mapping[str, Any], *, registry: Registry | None = None, **overrides: Any) -> list[str]:
    """Check a config, and say in a few lines what its run would do, or each of its runs where it is a sweep.

    Raises:
        ConfigError: It can't be run; holds all problems.
    """
    if not load_config(config, overrides).raw.get("sweep"):
        return api.outline(api.check(config, registry=registry, **overrides))
    planned = plan(config, registry=registry, **overrides)
    lines = []
    for checked, (label, group) in zip(planned.checked, _by_point(planned.children), strict=True):
        runs = f"{len(group)} runs" if len(group) > 1 else "1 run"
        lines += [f"{label}: {runs}", *(f"  {line}" for line in api.outline(checked)[:-1])]
    return [*lines, f"{len(planned.children)} runs in all; their configs are in order"]


def _by_point(children: Sequence[Child]) -> list[tuple[str, list[Child]]]:
    return [(label, list(group)) for label, group in itertools.groupby(children, key=lambda child: child.label)]


def resume_sweep(folder: Path, *, registry: Registry | None = None, progress: bool = False) -> Sweep:
    """Go on with a sweep: finished runs stay, an interrupted one goes on where it was, failed ones are tried again.

    Raises:
        ModelError: There is no sweep in this folder.
    """
    try:
        data = json.loads((folder / STATE).read_text(encoding="utf-8"))
        children = tuple(Child(**child) for child in data["children"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(Problem(str(folder), f"there is no sweep to go on with: {error}")) from None
    return _run(Sweep(folder, data["config"], children), registry or load_registry(), progress)


def _check(shared: Mapping[str, Any], children: Sequence[Child], registry: Registry) -> Iterator[Checked]:
    """Check each point; of a problem that several points have, the first is named."""
    problems: dict[str, Problem] = {}
    for label, group in _by_point(children):
        try:
            yield api.check(shared, registry=registry, **group[0].settings)
        except ConfigError as error:
            for problem in error.problems:
                where = f"{label}: {problem.path}" if label else problem.path
                problems.setdefault(str(problem), replace(problem, path=where))
    if problems:
        raise ConfigError(problems.values())


def _run(swept: Sweep, registry: Registry, progress: bool) -> Sweep:
    _save(swept)
    for index, child in enumerate(swept.children):
        if child.state == "finished":
            continue
        if progress:
            print(f"[{index + 1}/{len(swept.children)}] {child.label} seed={child.seed}", flush=True)
        done = _train(swept, child, registry, progress)
        if done is None:
            break
        swept = replace(swept, children=(*swept.children[:index], done, *swept.children[index + 1 :]))
        _save(swept)
    if any(child.state == "finished" for child in swept.children):
        draw_contact_sheet(swept)
    return swept


def _train(swept: Sweep, child: Child, registry: Registry, progress: bool) -> Child | None:
    """Train one run, from its last checkpoint where it was interrupted; None where a signal stopped it."""
    folder = swept.folder / child.name
    own = {"tracking.folder": str(swept.folder), "tracking.name": child.name, "engine.seed": child.seed}
    tag = {"tracking.tags": {"p2pkit.sweep": swept.folder.name, "p2pkit.point": child.label}}
    try:
        if any((folder / "checkpoints").glob("step-*")):
            run = api.resume(folder, registry=registry, progress=progress)
        else:
            options = {**child.settings, **own, **tag}
            run = api.train(swept.config, registry=registry, progress=progress, **options)
    except P2pkitError as error:
        return replace(child, state="failed", error=str(error))
    if run.signal is not None or run.report is None:
        return None
    return replace(child, state="finished", metrics=dict(run.report.metrics), error="")


def _save(swept: Sweep) -> None:
    children = [asdict(child) for child in swept.children]
    data = {"config": swept.config, "children": children}
    partial = swept.folder / f".{STATE}"
    partial.write_text(json.dumps(data, indent=1, default=str), encoding="utf-8")
    partial.rename(swept.folder / STATE)


def draw_contact_sheet(swept: Sweep) -> None:
    """Draw what each point makes of the same held-out sources: a row for each pair, a column for each point."""
    columns = ["source", "target"]
    rows: dict[str, list[Any]] = {}
    for child in _first_of_each_point(swept):
        _, samples = last_evaluation(swept.folder / child.name)
        columns.append(child.label.replace(" ", "\n"))
        for name, picture in zip(samples.names, samples.pictures, strict=True):
            width = picture.shape[1] // 3
            source, fake, target = (picture[:, i * width : (i + 1) * width] for i in range(3))
            rows.setdefault(name, [source, target]).append(fake)
    draw_sheet([Row(name, pictures) for name, pictures in rows.items()], columns, swept.sheet)


def _first_of_each_point(swept: Sweep) -> Iterator[Child]:
    finished = [child for child in swept.children if child.state == "finished"]
    return (group[0] for _, group in _by_point(finished))
