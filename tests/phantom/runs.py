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
import yaml

from p2pkit.config import load_config, resolve
from p2pkit.engine.check import check
from p2pkit.engine.checked import ValidatedRun
from p2pkit.engine.training.session import RunSession
from p2pkit.progress import Silent
from p2pkit.registry import load_registry

PLAN = yaml.safe_load((Path(__file__).parent / "runs.yaml").read_text(encoding="utf-8"))


def checked(settings: dict[str, Any]) -> ValidatedRun:
    """Check a variation of the tiny config, without a tracker."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "registry.yaml"
        file.write_text("plugins: {block: [p2pkit.mlflow]}\n", encoding="utf-8")
        return check(resolve(load_config(PLAN["tiny"], settings), load_registry(file, discover=False)))


class Notes(Silent):
    """Keeps what the user would be told."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        """Keep a note."""
        self.notes.append(text)


def trained(name: str, settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Train in a folder, and say how it went."""
    run, reporter = checked(settings), Notes()
    facts: list[dict[str, Any]] = []
    streams = torch.cuda.Stream
    made: list[object] = []

    class Counted(streams):  # type: ignore[misc, valid-type]
        def __new__(cls, *args: Any, **options: Any) -> Any:
            if "stream_id" not in options:  # else it stands for one that is there
                made.append(1)
            return streams(*args, **options)

    torch.cuda.Stream = Counted

    def job(of: ValidatedRun) -> RunSession:
        from p2pkit.plugins.loading import Plugins

        work = RunSession(of, Plugins(enable=[]), folder, reporter)
        record: Callable[..., Any] = work._record
        work._record = lambda kind, found, **rest: facts.append(found) or record(kind, found, **rest)
        return work

    if name == "rollback":
        on_phantom.lose_numbers(100)
    try:
        outcome = job(run).train()
    finally:
        torch.cuda.Stream = streams
    if name == "resume":
        outcome = job(checked({**settings, "schedule.epochs": 6})).train(outcome.checkpoint)
    return {
        "steps": outcome.progress.step,
        "evaluated": outcome.report is not None,
        "graph": facts[-1]["cuda_graph"],
        "precision": facts[-1]["precision"],
        "device": torch.cuda.current_device(),
        "streams": len(made),
        "tf32": torch.get_float32_matmul_precision() == "high" and torch.backends.cudnn.allow_tf32,
        "gigabytes": round(on_phantom.counters()["peak"] / 2**30, 2),
        "notes": reporter.notes,
    }


if __name__ == "__main__":
    with on_phantom.leaving():
        on_phantom.pretend()
        for name in sys.argv[1:]:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                warnings.simplefilter("ignore", DeprecationWarning)
                try:
                    with tempfile.TemporaryDirectory() as folder:  # checkpoints of large networks are in it
                        row = trained(name, PLAN["runs"][name], Path(folder))
                except Exception as error:
                    import traceback

                    traceback.print_exc()
                    row = {"failed": f"{type(error).__name__}: {error}"}
            said = sorted({str(each.message).partition("\n")[0] for each in caught})
            print(json.dumps({"name": name, **row, "warnings": said}), flush=True)
