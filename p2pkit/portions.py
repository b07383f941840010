"""Many files translated in portions, each of them a piece of work that an executor has done somewhere."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path

from p2pkit.config import load_config, resolve
from p2pkit.config.executor import EXECUTOR, split_overrides
from p2pkit.engine.storage.find import find_checkpoint
from p2pkit.errors import ConfigError, DataError, Problem
from p2pkit.executing import perform_all
from p2pkit.inference.addresses import StandIns, is_address
from p2pkit.inference.flow import Translated
from p2pkit.inference.jobs import Job
from p2pkit.inference.names import fetch_model
from p2pkit.inference.translate import Translator
from p2pkit.parts import ExecutorPart
from p2pkit.programs.exported import is_exported
from p2pkit.programs.runtimes import Runtime
from p2pkit.progress import ProgressReporter, reporter
from p2pkit.registry import Registry, names_in_force
from p2pkit.translation import load
from p2pkit.types import Tell, Work, WorkExecutor, optional
from p2pkit.untyped import Json, Plain, Untyped

_LARGEST = 256
_EACH = 4
"""Portions for each worker, where there are enough files: so that none waits long for the last one."""
_WORKERS = 16
"""As many are reckoned with where an executor can't say how many it has."""
CALL = "p2pkit.portions:translate_portion"
_WHICH = ("samples", "vary", "extras", "skip_existing", "overwrite")
"""The options that say which files become which; the others say how."""


_TILES = ("tile", "overlap")


def split_executor(
    overrides: Plain, registry: Registry | None, device: str = "auto"
) -> tuple[ExecutorPart | None, dict[str, Json]]:
    """Return where work is to run, as some overrides say, and the others, which are a model's.

    Args:
        overrides: Keys to change, those of `executor` among them.
        registry: The names in force.
        device: Where each worker computes.

    Raises:
        ConfigError: There is no such executor, or its parameters are wrong; holds all problems.
    """
    own, others = split_overrides(overrides)
    found = resolve(load_config({}, {**own, "engine.device": device}), names_in_force(registry))
    wrong = [problem for problem in found.problems if problem.path.partition(".")[0] == EXECUTOR]
    if wrong:
        raise ConfigError(wrong)
    return found.executor, others


def without_precision(overrides: Plain) -> dict[str, Json]:
    """Return keys to change of a model that is loaded only to look at it, on a CPU, which may lack the precision."""
    return {key: value for key, value in overrides.items() if key != "engine.precision"}


def translate_on(
    part: ExecutorPart,
    translator: Translator,
    model: str | Path,
    inputs: Sequence[str | Path],
    output: str | Path,
    *,
    device: str = "auto",
    runtime: Runtime | None = None,
    registry: Registry | None = None,
    overrides: Plain | None = None,
    progress: bool = False,
    **options: Untyped,
) -> list[Path | str]:
    """Translate files and folders where an executor says; the fakes are those that one process would make.

    Args:
        part: Where.
        translator: The model as it is loaded here, which says what it takes and makes.
        model: Its name, as for `load`; the workers have to reach it, and all files, by the same paths.
        inputs: Files and folders, or their addresses: `s3://bucket/folder`.
        output: The folder that fakes are written to, or its address; or the file, if there is one input.
        device: Where each worker computes.
        runtime: What computes there, as for `load`.
        registry: The names in force.
        overrides: Keys to change, as for `load`.
        progress: Whether to show how it comes along.
        **options: Those of `Translator.translate_files`.

    Returns:
        The files that were written, in the order of the inputs.

    Raises:
        DataError: As for `Translator.translate_files`; or a portion was lost, and given up.
    """
    place = Path(fetch_model(model))
    way: dict[str, Json] = {"model": str((place if is_exported(place) else find_checkpoint(place)).absolute())}
    way |= {"device": device, "runtime": runtime, "overrides": overrides or {}}
    way["registry"] = names_in_force(registry).plain()
    which = {key: value for key, value in options.items() if key in _WHICH}
    how = {key: value for key, value in options.items() if key not in _WHICH}
    with tempfile.TemporaryDirectory(prefix="p2pkit-") as folder:
        stand_ins = StandIns(Path(folder))
        try:
            sources = [stand_ins.mirror(str(each)) if is_address(each) else each for each in inputs]
            fakes = stand_ins.mirror(str(output), needed=False) if is_address(output) else output
            jobs = translator.jobs(sources, fakes, **which)
            with part.ready() as executor:
                made = _translated(executor, part, jobs, {**way, "stand_ins": folder}, how, reporter(progress))
            written = made.files(len(jobs))
        except DataError as error:
            raise DataError(map(stand_ins.said, error.problems)) from None
        return [stand_ins.address(path) or path for path in written]


def _translated(
    executor: WorkExecutor, part: ExecutorPart, jobs: Sequence[Job], way: Plain, how: Plain, shown: ProgressReporter
) -> Translated:
    size = _portion(len(jobs), optional.workers(executor) or _WORKERS, int(how.get("batch", 1)))
    starts = range(0, len(jobs), size)
    portions = {f"the portion from file {start + 1} on": jobs[start : start + size] for start in starts}
    works = [Work(CALL, {**way, "how": how, "jobs": [*map(Job.plain, each)]}, name) for name, each in portions.items()]
    come = dict.fromkeys(portions, 0)

    def told(work: Work, said: Plain) -> None:
        if "note" in said:
            shown.note(said["note"])
        else:
            come[work.name] = said["done"]
            shown.working("translating", sum(come.values()), len(jobs))

    try:
        done = perform_all(executor, works, part.resources, part.retries, told=told, warn=shown.warn)
    finally:
        shown.close()
    came = {each.work.name: each for each in done}
    given = {str(path.absolute()): path for job in jobs for path in (*job.sources, job.out)}
    values = [came[name].value or {} for name in portions]
    written = [given.get(file, Path(file)) for value in values for file in value.get("written", ())]
    failed = [Problem(**each) for value in values for each in value.get("problems", ())]
    failed = [replace(problem, path=str(given.get(problem.path, problem.path))) for problem in failed]
    return Translated(written, failed + [problem for done in came.values() for problem in done.problems])


def _portion(files: int, workers: int, batch: int) -> int:
    return max(1, batch, min(_LARGEST, math.ceil(files / (_EACH * workers))))


def translate_portion(
    tell: Tell,
    *,
    model: str,
    device: str,
    runtime: Runtime | None,
    registry: Plain,
    overrides: Plain,
    stand_ins: str,
    how: Plain,
    jobs: Sequence[Plain],
) -> dict[str, Json]:
    """Translate some files: the work of an executor. A process that is given several portions loads its model once.

    Args:
        tell: Hears how many files are done, and notes.
        model: The model's folder.
        device: Where to compute.
        runtime: What computes, as for `load`.
        registry: The names in force, as plain data.
        overrides: Keys to change, as for `load`.
        stand_ins: The folder in which paths stand for addresses.
        how: Options of `Translator.translate_files` that say how.
        jobs: Which files become which.

    Returns:
        The files written, and the problems with the others.
    """
    translator = _loaded(json.dumps([model, device, runtime, registry, overrides], sort_keys=True))
    tiles, reading = (
        {key: value for key, value in how.items() if (key in _TILES) is wanted} for wanted in (True, False)
    )
    translator = replace(translator.tiled(**tiles), note=lambda text: tell({"note": text}))
    with StandIns(Path(stand_ins)).at_hand([*map(Job.from_plain, jobs)]) as (here, sent):
        done = sent(translator.translate_jobs(here, report=lambda done, _: tell({"done": done}), **reading))
    return {"written": [*map(str, done.written)], "problems": [*map(asdict, done.problems)]}


@lru_cache(maxsize=1)
def _loaded(way: str) -> Translator:
    model, device, runtime, registry, overrides = json.loads(way)
    names = Registry.from_plain(registry)  # whoever gave the work has loaded the model, so its code is trusted
    return load(model, device=device, runtime=runtime, registry=names, trust=True, **overrides)
