"""An evaluation on disk: beside the sheet, its scores as JSON and its pictures one by one, for later comparisons."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image

from p2pkit.atomic_files import atomic_file, atomic_folder, writing
from p2pkit.engine.storage.find import run_of
from p2pkit.engine.storage.layout import EVALUATION, SAMPLES, SHEET
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
    save_report(report, samples.names, samples.sheet.with_suffix(".json"))


def save_report(report: Report, names: Sequence[str], path: Path) -> None:
    """Write scores, and the names of the samples, as JSON.

    Raises:
        StorageError: They can't be written.
    """
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


def evaluation_of(checkpoint: Path) -> tuple[Report, Samples] | None:
    """Read the latest evaluation of a checkpoint's run, or what an exported model brings along of it.

    Args:
        checkpoint: The checkpoint.

    Returns:
        The scores and the samples, of an exported model without their pictures; None where there are none.
    """
    run = run_of(checkpoint)
    with suppress(ModelError):
        if run is not None:
            return last_evaluation(run)
        report, names = load_report(checkpoint / EVALUATION)
        return report, Samples(names, (), checkpoint / SHEET)
    return None
