"""An evaluation on disk: beside the sheet, its scores as JSON and its pictures one by one, for later comparisons."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image

from p2pkit.engine.storage.layout import SAMPLES
from p2pkit.errors import ModelError, Problem
from p2pkit.types import Report, Samples


def save_evaluation(report: Report, samples: Samples) -> None:
    """Write `step-N.json` and the folder `step-N` beside the sheet `step-N.png`."""
    folder = samples.sheet.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    for index, picture in enumerate(samples.pictures):
        Image.fromarray(picture).save(folder / f"{index:02}.png")
    data = {"report": asdict(report), "names": samples.names}
    samples.sheet.with_suffix(".json").write_text(json.dumps(data, indent=1), encoding="utf-8")


def load_report(path: Path) -> tuple[Report, tuple[str, ...]]:
    """Read the scores of an evaluation, and the names of its samples.

    Raises:
        ModelError: The file is gone or damaged.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        report = {**data["report"], "warnings": tuple(data["report"].get("warnings", ()))}
        return Report(**report), tuple(data["names"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(Problem(str(path), f"can't be read: {error}")) from None


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
