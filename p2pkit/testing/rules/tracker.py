"""Rules for trackers, which are tried on tiny recorded runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from p2pkit.errors import first_line
from p2pkit.testing import given
from p2pkit.testing.rule import require, rule
from p2pkit.testing.subject import Subject
from p2pkit.types import Run, RunTracker, optional
from p2pkit.untyped import Untyped

Told = list[tuple[str, object]]


def _begun(subject: Subject, run: Run) -> RunTracker:
    made: RunTracker = subject.component.build(run, subject.params)
    wrong = optional.misfits("tracker", made)
    require(not wrong, f"The factory {wrong and wrong[0]}: give what it makes a method scalars(step, scalars).")
    return made


def _told(tracker: RunTracker, folder: Path, *, begins: int = 0, ends: bool = True) -> Told:
    """Tell a tracker of a run: what is measured, an evaluation, checkpoints and the end."""
    checkpoint = folder / "checkpoints" / f"step-{begins + 2:08}"
    checkpoint.mkdir(parents=True, exist_ok=True)
    events: list[tuple[str, dict[str, Untyped]]] = [
        *([("went_back", {"step": begins})] if begins else []),
        ("scalars", {"step": begins + 1, "scalars": {"train/generator/l1": 0.5, "speed/images_per_second": 8.0}}),
        ("scalars", {"step": begins + 2, "scalars": {"train/generator/l1": 0.25}}),
        ("evaluated", {"step": begins + 2, "report": given.report(), "samples": given.samples(folder)}),
        ("checkpointed", {"step": begins + 2, "path": checkpoint, "best": True}),
        ("checkpointed", {"step": begins + 2, "path": checkpoint, "best": False}),
        ("summarised", {"facts": {"best": "one", "runs": 2}, "files": [folder / "samples.png"]}),
        *([("ended", {"error": None, "reason": "all 2 steps are done"})] if ends else []),
    ]
    said: Told = []
    for event, values in events:
        method: Callable[..., object] | None = getattr(tracker, event, None)
        if method is not None:
            said.append((event, method(**values)))
    return said


@rule("tracker")
def records(subject: Subject) -> None:
    """It takes all that happens to a small run, from beginning to end."""
    run = given.run()
    _told(_begun(subject, run), run.folder)


@rule("tracker")
def sentences(subject: Subject) -> None:
    """What its methods return is a sentence for the user, or nothing."""
    run = given.run()
    wrong = [event for event, said in _told(_begun(subject, run), run.folder) if not isinstance(said, str | None)]
    require(not wrong, f"Its {', '.join(dict.fromkeys(wrong))} returns something: return a text or None.")


@rule("tracker")
def goes_on(subject: Subject) -> None:
    """A run that was interrupted is recorded further in the same folder."""
    run = given.run()
    _told(_begun(subject, run), run.folder, ends=False)
    resumed = given.run(folder=run.folder, resumed=True)
    try:
        tracker = _begun(subject, resumed)
    except AssertionError:
        raise
    except Exception as error:
        cause = f"Made again for a resumed run, it raised {first_line(error, typed=True)}"
        raise AssertionError(f"{cause}: take what lies in the folder as the beginning.") from error
    _told(tracker, run.folder, begins=1)


@rule("tracker")
def keeps_run(subject: Subject) -> None:
    """It leaves the run's own files as they are."""
    run = given.run()
    (run.folder / "run.yaml").write_text("dataset: shapes\n", encoding="utf-8")
    _told(_begun(subject, run), run.folder)
    there = run.folder / "run.yaml"
    kept = there.is_file() and there.read_text(encoding="utf-8") == "dataset: shapes\n"
    require(kept, "It changes or removes run.yaml, by which runs are resumed: write files of your own.")
