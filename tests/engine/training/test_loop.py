"""The loop: how far it goes, at which rate, what it keeps, and when it gives up."""

from __future__ import annotations

import pytest

from p2pkit import TrainingError
from p2pkit.engine.storage.layout import checkpoints


def test_only_the_latest_checkpoints_are_kept(work):
    outcome = work(**{"checkpoint.every": 1, "checkpoint.keep": 2, "schedule.epochs": 4}).train()
    kept = [path.name for path in checkpoints(outcome.checkpoint.parent)]
    assert kept == ["step-00000009", "step-00000012"]
    assert not list(outcome.checkpoint.parent.glob(".*"))


def test_steps_instead_of_epochs(work):
    outcome = work(schedule={"epochs": None, "steps": 5}).train()
    assert outcome.progress.step == 5
    assert outcome.report is not None


def test_learning_rate_falls_by_the_schedule(checked, work):
    rates = []
    work(schedule={"epochs": 4, "decay_after": 2}).train(
        on_step=lambda loop: rates.append(loop.assembly.players.generator.optimizer.param_groups[0]["lr"])
    )
    by_epoch = rates[:12:3]
    assert by_epoch == pytest.approx([2e-4, 2e-4, 2e-4 * 2 / 3, 2e-4 / 3])


def test_a_loss_that_explodes_stops_the_run_with_advice(work):
    with pytest.raises(TrainingError) as caught:
        work(**{"optimizers.generator.lr": 1e30, "schedule.epochs": 3}).train()
    text = str(caught.value)
    assert "is no longer a finite number at step" in text
    assert "optimizers.*.lr" in text


@pytest.mark.parametrize(("steps", "place"), [(3, (1, 0)), (5, (1, 2)), (6, (2, 0)), (7, (2, 1))])
def test_an_end_in_steps_may_lie_within_an_epoch(work, steps, place):
    outcome = work(schedule={"epochs": None, "steps": steps}).train()
    assert (outcome.progress.step, outcome.progress.epoch, outcome.progress.batches) == (steps, *place)
    assert outcome.reason == f"all {steps} steps are done"


def test_who_is_asked_before_each_step_is_asked_that_often(work):
    seen = []
    work(**{"engine.accumulate": 3}).train(on_step=lambda loop: seen.append(loop.status.progress.step))
    assert seen == [0, 1]  # an epoch is one update of three batches


def test_a_run_that_is_stopped_says_so(work, signalled):
    outcome = work(**{"evaluate.every": 0}).train(on_step=signalled(1))
    assert outcome.reason == "stopped at step 2 by a signal"
    assert outcome.report is None
    assert outcome.checkpoint.name == "step-00000002"


def test_the_last_step_is_evaluated_once_and_saved_once(work, monkeypatch):
    job = work(**{"evaluate.every": 1, "checkpoint.every": 1})
    outcome = job.train()
    sheets = sorted(path.name for path in (job.folder / "samples").glob("*.png"))
    assert sheets == ["step-00000000.png", "step-00000003.png", "step-00000006.png"]
    assert [path.name for path in checkpoints(outcome.checkpoint.parent)][-1] == "step-00000006"
    assert outcome.samples.sheet.name == "step-00000006.png"


def test_a_run_that_has_all_its_steps_says_so(work, tmp_path):
    whole = work(tmp_path / "run").train()
    again = work(tmp_path / "run")
    notes = []
    again.reporter.outcome = notes.append
    found = again.train(whole.checkpoint)
    assert found.progress == whole.progress
    assert found.reason == "all 6 steps were done before, so nothing was trained"
    assert "schedule.epochs=N" in notes[-1]
