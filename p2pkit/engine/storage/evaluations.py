"""An evaluation on disk: beside the sheet, its scores as JSON and its pictures one by one, for later comparisons."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image

from p2pkit.atomic_files import atomic_file, atomic_folder, writing
from p2pkit.engine.storage.find import run_of
from p2pkit.engine.storage.layout import SAMPLES, SCORES
from p2pkit.errors import ModelError, Problem, first_line
from p2pkit.types import Report, Samples


def save_evaluation(report: Report, samples: Samples) -> None:
    """Write the folder `step-N` and, once it is whole, `step-N.json` beside the sheet `step-N.png`.

    Raises:
        StorageError: They can't be written.
    """
    folder = samples.sheet.with_suffix("")
    with writing(folder), atomic_folder(folder) as partial:
        for index, picture in enumerate(samples.pictures):
            Image.fromarray(picture).save(partial / f"{index:02}.png")
    save_report(report, samples.sheet.with_suffix(".json"), samples.names)


def save_report(report: Report, path: Path, names: tuple[str, ...] = ()) -> None:
    """Write the scores of an evaluation, and the names of its samples, for `load_report`."""
    with atomic_file(path) as partial:
        partial.write_text(json.dumps({"report": asdict(report), "names": names}, indent=1), encoding="utf-8")


def load_report(path: Path) -> tuple[Report, tuple[str, ...]]:
    """Read the scores of an evaluation, and the names of its samples.

    Raises:
        ModelError: The file is gone or damaged.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        report = {**data["report"], "warnings": tuple(data["report"].get("warnings", ()))}
        found = Report(**report)
        if not all(isinstance(value, int | float) for value in found.metrics.values()):
            raise ValueError("a score is not a number")
        return found, tuple(data["names"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(Problem(str(path), f"can't be read: {first_line(error)}")) from None


def load_evaluation(sheet: Path) -> tuple[Report, Samples]:
    """Read what `save_evaluation` wrote.

    Raises:
        ModelError: The files are gone or damaged.
    """
    report, names = load_report(sheet.with_suffix(".json"))
    files = sorted(sheet.with_suffix("").glob("*.png"))
    try:
        pictures = tuple(np.asarray(Image.open(file)) for file in files)
    except OSError as error:
        raise ModelError(Problem(str(sheet.with_suffix("")), f"can't be read: {error}")) from None
    return report, Samples(names, pictures, sheet)


def last_evaluation(folder: Path) -> tuple[Report, Samples]:
    """Read the latest evaluation of a run.

    Raises:
        ModelError: There is none.
    """
    sheets = sorted((folder / SAMPLES).glob("step-*.png"))
    if not sheets:
        raise ModelError(Problem(str(folder), "this run has not been evaluated yet"))
    return load_evaluation(sheets[-1])


def evaluation_of(model: Path) -> tuple[Report | None, Samples | None]:
    """Return how good a model is, as far as that is known, and the samples that show it.

    Args:
        model: A checkpoint of a run, of which it is the latest evaluation; or an exported folder, that brings it along.
    """
    run = run_of(model)
    with suppress(ModelError):
        return (load_report(model / SCORES)[0], None) if run is None else last_evaluation(run)
    return None, None
