"""Run on the phantom: whole trainings, named on the command line, and what became of them, as JSON lines."""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import on_phantom
import torch

from p2pkit.config import load_config, resolve
from p2pkit.engine.check import Checked, check
from p2pkit.engine.progress import Silent
from p2pkit.engine.work import Work
from p2pkit.registry import load_registry

TINY = {
    "dataset": {"use": "shapes", "params": {"size": 16, "count": 12}},
    "generator": "unet_tiny",
    "discriminator": {"use": "patch", "params": {"layers": 1, "width": 8}},
    "losses": {"gan": {"weight": 1, "params": {"mode": "lsgan"}}, "l1": 100},
    "schedule": {"epochs": 4},
    "engine": {"batch": 4, "log_every": 1, "device": "cuda"},
    "evaluate": {"metrics": ["l1"], "samples": 2},
}
LARGE = {
    "dataset.params": {"size": 256, "count": 192},
    "generator": "unet_256",
    "discriminator": "patch_70",
    "engine.batch": 64,
    "engine.log_every": 50,
    "schedule.epochs": 3,
}
ALL = {"engine.ema": 0.9, "engine.clip": 1.0, "engine.accumulate": 2, "losses.r1": {"weight": 1, "every": 4}}
RUNS: dict[str, dict[str, Any]] = {
    "captured": {"engine.cuda_graph": "on"},
    "uncaptured": {"engine.cuda_graph": "off"},
    "ema": {"engine.ema": 0.9},
    "clip": {"engine.clip": 1.0},
    "accumulate": {"engine.accumulate": 2},
    "r1": {"losses.r1": {"weight": 1, "every": 4}},
    "fp16": {"engine.precision": "fp16"},
    "fp16, nothing due": {"engine.precision": "fp16", "losses.l1": {"weight": 1, "every": 2}, "losses.gan.weight": 0},
    "bf16": {"engine.precision": "bf16"},
    "all, fp16": {**ALL, "engine.precision": "fp16"},
    "augmented": {"augment": ["flip", "rotate90", "affine", "colour_jitter"]},
    "resume": {},
    "rollback": {"engine.on_nan": "rollback"},
    "deterministic": {"engine.deterministic": True},
    "cuda:1": {"engine.device": "cuda:1"},
    "large": LARGE,
    "large, r1": {**LARGE, "losses.r1": {"weight": 1, "every": 3}},
}


def checked(settings: dict[str, Any]) -> Checked:
    """Check a variation of the tiny config, without a tracker."""
    file = Path(tempfile.mkdtemp()) / "registry.yaml"
    file.write_text("plugins: {block: [p2pkit.mlflow]}\n", encoding="utf-8")
    return check(resolve(load_config(TINY, settings), load_registry(file, discover=False)))


class Notes(Silent):
    """Keeps what the user would be told."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        """Keep a note."""
        self.notes.append(text)


def trained(name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Train, and say how it went."""
    run, folder, watcher = checked(settings), Path(tempfile.mkdtemp()), Notes()
    facts: list[dict[str, Any]] = []

    def job(of: Checked) -> Work:
        from p2pkit.plugins import Plugins

        work = Work(of, Plugins(enable=[]), folder, watcher)
        record: Callable[..., Any] = work._record
        work._record = lambda kind, found, **rest: facts.append(found) or record(kind, found, **rest)
        return work

    if name == "rollback":
        on_phantom.lose_numbers(300)
    outcome = job(run).train()
    if name == "resume":
        outcome = job(checked({**settings, "schedule.epochs": 6})).train(outcome.checkpoint)
    return {
        "steps": outcome.position.step,
        "evaluated": outcome.report is not None,
        "graph": facts[-1]["cuda_graph"],
        "precision": facts[-1]["precision"],
        "device": torch.cuda.current_device(),
        "gigabytes": round(on_phantom.counters()["peak"] / 2**30, 2),
        "notes": watcher.notes,
    }


if __name__ == "__main__":
    with on_phantom.leaving():
        on_phantom.pretend()
        for name in sys.argv[1:]:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                warnings.simplefilter("ignore", DeprecationWarning)
                try:
                    row = trained(name, RUNS[name])
                except Exception as error:
                    import traceback

                    traceback.print_exc()
                    row = {"failed": f"{type(error).__name__}: {error}"}
            said = sorted({str(each.message).partition("\n")[0] for each in caught})
            print(json.dumps({"name": name, **row, "warnings": said}), flush=True)
