"""Numbers that are not finite: never saved, and left behind where the config says so."""

from __future__ import annotations

import math
import signal

import pytest
import torch
from safetensors.torch import load_file

from p2pkit import TrainingError
from p2pkit.engine.storage.checkpoint import read_state
from p2pkit.engine.storage.layout import checkpoints
from p2pkit.engine.storage.loop_state import Progress
from p2pkit.engine.training.checkpointing import load_checkpoint, save_checkpoint
from p2pkit.engine.training.nan_recovery import NotFinite, check_weights
from p2pkit.progress import Silent

EACH = {"checkpoint.every": 1, "evaluate.every": 1, "schedule.epochs": 4}
BACK = {**EACH, "engine.on_nan": "rollback"}


@torch.no_grad()
def spoil(tensor):
    tensor[(0,) * tensor.ndim] = float("nan")


def poison(step, times=1):
    """Put a NaN into the generator before a step, counting from 0, so often."""
    left = [times]

    def on_step(loop):
        if loop.status.progress.step == step and left[0]:
            left[0] -= 1
            spoil(next(loop.assembly.players.generator.network.parameters()))

    return on_step


class Noting(Silent):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


def finite(checkpoint):
    files = (load_file(checkpoint / name) for name in ("training.safetensors", "generator.safetensors"))
    return all(value.isfinite().all() for file in files for value in file.values())


@pytest.mark.parametrize("log_every", [1, 50])
def test_what_is_not_finite_is_never_saved(work, tmp_path, log_every):
    """Even where the losses are read less often than checkpoints are written."""
    with pytest.raises(TrainingError, match=r"no longer (a finite number|finite numbers) at step") as caught:
        work(tmp_path / "run", **EACH, **{"engine.log_every": log_every}).train(on_step=poison(4))
    saved = checkpoints(tmp_path / "run" / "checkpoints")
    assert [path.name for path in saved] == ["step-00000003"]
    assert all(map(finite, saved))
    assert str(saved[-1]) in str(caught.value)
    assert "engine.on_nan" in str(caught.value)


def test_rollback_goes_on_from_the_last_checkpoint(work, tmp_path, monkeypatch):
    run = work(tmp_path / "run", **BACK)
    run.reporter = Noting()
    orders, rates = {}, {}
    _watch(monkeypatch, orders, rates)
    outcome = run.train(on_step=poison(4))
    assert outcome.progress.step == 12
    assert outcome.reason == "all 12 steps are done"
    assert finite(outcome.checkpoint)
    assert read_state(outcome.checkpoint)["memory"]["rollbacks"] == 1
    [note] = run.reporter.notes
    assert "went back to step 3: another order, 0.5 of the learning rate (1 of at most 3 times)" in note
    assert rates[3] == [2e-4, 1e-4]
    first, second = orders[3]
    assert not torch.equal(first, second)  # other pairs, and not the ones that led astray


def test_rollback_before_any_checkpoint_begins_anew(work, tmp_path):
    outcome = work(tmp_path / "run", **BACK).train(on_step=poison(1))
    assert outcome.progress.step == 12
    assert finite(outcome.checkpoint)


def test_rollback_gives_up_after_three_times(work, tmp_path):
    run = work(tmp_path / "run", **BACK)
    run.reporter = Noting()
    with pytest.raises(TrainingError, match="no longer"):
        run.train(on_step=poison(4, times=9))
    assert len(run.reporter.notes) == 3
    assert finite(checkpoints(tmp_path / "run" / "checkpoints")[-1])


def test_resumed_after_a_rollback_equals_uninterrupted(work, signalled, tmp_path):
    rich = {**BACK, "engine.ema": 0.9, "augment": ["flip"]}
    whole = work(tmp_path / "whole", **rich).train(on_step=poison(4))
    poisoning, stopping = poison(4), signalled(7, lambda loop: loop.status.state.rollbacks)

    def on_step(loop):
        poisoning(loop)
        stopping(loop)

    cut = work(tmp_path / "cut", **rich).train(on_step=on_step)
    assert cut.signal == signal.SIGTERM
    resumed = work(tmp_path / "cut", **rich).train(cut.checkpoint)
    ours, theirs = (load_file(outcome.checkpoint / "training.safetensors") for outcome in (resumed, whole))
    assert [name for name, value in ours.items() if not torch.equal(value, theirs[name])] == []


@pytest.mark.parametrize("where", ["weight", "moment", "average", "statistic"])
def test_every_part_of_a_checkpoint_is_looked_at(assembled, batches, tmp_path, where):
    assembly = assembled(**{"engine.ema": 0.9, "generator": {"use": "unet", "params": {"depth": 3, "width": 8}}})
    assembly.step(batches(assembly, 1), 0)
    check_weights(1, assembly, tmp_path)
    side = assembly.players.discriminator
    parts = {
        "weight": list(side.network.parameters())[-1],
        "moment": side.optimizer.state[next(side.network.parameters())]["exp_avg_sq"],
        "average": next(assembly.players.average.network.parameters()),
        "statistic": next(b for b in assembly.players.generator.network.buffers() if b.ndim),
    }
    spoil(parts[where])
    with pytest.raises(NotFinite, match="weights are no longer finite numbers at step 1"):
        check_weights(1, assembly, tmp_path)


@pytest.mark.parametrize("steps", [0, 2])
def test_going_back_leaves_everything_where_a_captured_step_reads_it(assembled, batches, tmp_path, steps):
    """The same tensors with the values of before, also those of before the first step."""
    assembly = assembled(**{"engine.ema": 0.9})
    pairs = batches(assembly)
    first = [assembly.step(pairs[:1], number) for number in range(steps)]
    assert len(first) == steps
    saved = save_checkpoint(tmp_path, assembly, Progress(steps), {})
    wanted = {name: float(value) for name, value in assembly.step(pairs[1:2], steps).items()}
    assembly.step(pairs[2:3], steps + 1)
    places = {name: tensor.data_ptr() for name, tensor in everything(assembly)}
    load_checkpoint(saved, assembly)
    assert {name: tensor.data_ptr() for name, tensor in everything(assembly)} == places
    assert {name: float(value) for name, value in assembly.step(pairs[1:2], steps).items()} == wanted
    again = {name: float(value) for name, value in assembly.step(pairs[:1], steps + 1).items()}
    assert all(map(math.isfinite, again.values()))


def everything(assembly):
    """All tensors that a step reads and writes."""
    for name, side in (("generator", assembly.players.generator), ("discriminator", assembly.players.discriminator)):
        yield from ((f"{name}.{key}", value) for key, value in side.network.state_dict(keep_vars=True).items())
        for index, state in enumerate(side.optimizer.state.values()):
            yield from ((f"{name}.{index}.{key}", value) for key, value in state.items())
    yield "average.count", assembly.players.average.count


def _watch(monkeypatch, orders, rates):
    """Note each step's batch and learning rate."""
    from p2pkit.engine.step.training_step import TrainingStep

    original = TrainingStep.__call__

    def call(self, batches, number):
        orders.setdefault(number, []).append(batches[0][0].clone())
        rates.setdefault(number, []).append(self.players.generator.optimizer.param_groups[0]["lr"])
        return original(self, batches, number)

    monkeypatch.setattr(TrainingStep, "__call__", call)
