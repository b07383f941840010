"""Many runs that differ in a few keys: a grid of settings, each trained, scored and shown beside the others."""

from __future__ import annotations

import itertools
import json
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import yaml

from p2pkit import api
from p2pkit.engine.evaluation_files import last_evaluation
from p2pkit.engine.runs import new_folder
from p2pkit.engine.sheet import Row, draw_sheet
from p2pkit.errors import ConfigError, ModelError, P2pkitError, Problem
from p2pkit.registry import Registry, load_registry

STATE = "sweep.json"


@dataclass(frozen=True)
class Child:
    """One run of a sweep.

    Args:
        label: What differs from the other runs; also the name of its folder.
        settings: The keys it changes.
        seed: Its seed.
        state: What has become of it.
        metrics: Its scores, once it is finished.
        error: Why it failed.
    """

    label: str
    settings: Mapping[str, Any]
    seed: int
    state: Literal["waiting", "finished", "failed"] = "waiting"
    metrics: Mapping[str, float] = field(default_factory=dict)
    error: str = ""

    @property
    def name(self) -> str:
        """Its folder's name."""
        return re.sub(r"[^\w.=+-]+", "_", f"{self.label} seed={self.seed}")


@dataclass(frozen=True)
class Sweep:
    """A sweep on disk; `sweep.json` in its folder is rewritten after each run, so that it can go on.

    Args:
        folder: Its folder, in which each run has one of its own.
        config: The recipe or file that all runs share, or its keys.
        overrides: Keys changed in all of them.
        children: The runs, in order.
    """

    folder: Path
    config: str | Mapping[str, Any]
    overrides: Mapping[str, Any]
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
        for label, group in itertools.groupby(self.children, key=lambda child: child.label):
            finished = [child for child in group if child.state == "finished"]
            row: dict[str, Any] = {"label": label, "runs": len(finished)}
            for name in finished[0].metrics if finished else ():
                values = [child.metrics[name] for child in finished]
                row[name] = statistics.fmean(values)
                row[f"{name}_spread"] = statistics.stdev(values) if len(values) > 1 else 0.0
            rows.append(row)
        return rows


def points(axes: Sequence[str], seeds: int = 1) -> list[Child]:
    """Spell out a grid.

    Args:
        axes: `losses.l1.weight=1,10,100` and the like; values are YAML.
        seeds: Runs of each point, with seeds 0, 1, ...

    Raises:
        ConfigError: An axis is not of the form key=value,value.
    """
    problems = [
        Problem(axis, "not of the form key=value,value", "e.g. losses.l1.weight=1,10,100")
        for axis in axes
        if not re.fullmatch(r"[^=\s]+=.+", axis)
    ]
    if problems or not axes:
        raise ConfigError(problems or Problem("", "a sweep needs at least one key with its values"))
    keys = [axis.partition("=")[0] for axis in axes]
    values = [_values(axis) for axis in axes]
    children = []
    for chosen in itertools.product(*values):
        settings = dict(zip(keys, chosen, strict=True))
        label = " ".join(f"{_short(key)}={value}" for key, value in settings.items())
        children += [Child(label, settings, seed) for seed in range(seeds)]
    return children


def _values(axis: str) -> list[Any]:
    key, _, written = axis.partition("=")
    try:
        values = yaml.safe_load(f"[{written}]")
    except yaml.YAMLError:
        raise ConfigError(Problem(key, f"the values are not YAML: {written}")) from None
    assert isinstance(values, list)
    return values


def _short(key: str) -> str:
    """Shorten a key to what tells it apart: `losses.l1.weight` to `l1.weight`, `generator.params.depth` to `depth`."""
    return re.sub(r"^(losses|.*\.params)\.", "", key)


def sweep(
    config: str | Path | Mapping[str, Any],
    axes: Sequence[str],
    *,
    seeds: int = 1,
    name: str | None = None,
    registry: Registry | None = None,
    progress: bool = False,
    **overrides: Any,
) -> Sweep:
    """Train a run for each point of a grid.

    All points are checked before the first is trained. A run that fails is recorded, and the sweep goes on.

    Args:
        config: What all runs share.
        axes: The keys that differ, with their values.
        seeds: Runs of each point.
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
    children = points(axes, seeds)
    tracking = _check(config, children, registry, overrides)
    folder = new_folder(tracking, name, f"sweep-{'run' if isinstance(config, Mapping) else Path(config).stem}")
    shared = config if isinstance(config, Mapping) else str(config)
    return _run(Sweep(folder, shared, overrides, tuple(children)), registry, progress)


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
    return _run(Sweep(folder, data["config"], data["overrides"], children), registry or load_registry(), progress)


def _check(
    config: str | Path | Mapping[str, Any], children: Sequence[Child], registry: Registry, overrides: Mapping[str, Any]
) -> Path:
    problems: dict[str, Problem] = {}
    tracking = Path()
    for label, group in itertools.groupby(children, key=lambda child: child.label):
        try:
            checked = api.check(config, registry=registry, **{**overrides, **next(iter(group)).settings})
            tracking = checked.plan.config.tracking.folder
        except ConfigError as error:
            for problem in error.problems:
                problems.setdefault(str(problem), replace(problem, path=f"{label}: {problem.path}"))
    if problems:
        raise ConfigError(problems.values())
    return tracking


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
            options = {**swept.overrides, **child.settings, **own, **tag}
            run = api.train(swept.config, registry=registry, progress=progress, **options)
    except P2pkitError as error:
        return replace(child, state="failed", error=str(error))
    if run.signal is not None or run.report is None:
        return None
    return replace(child, state="finished", metrics=dict(run.report.metrics), error="")


def _save(swept: Sweep) -> None:
    children = [asdict(child) for child in swept.children]
    data = {"config": swept.config, "overrides": dict(swept.overrides), "children": children}
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
    finished = (child for child in swept.children if child.state == "finished")
    for _, group in itertools.groupby(finished, key=lambda child: child.label):
        yield next(iter(group))
