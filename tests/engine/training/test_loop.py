"""Whole runs: reproducible, resumable to the bit, interruptible, and never silently broken."""

from __future__ import annotations

import json
import signal

import pytest
import torch
import yaml
from safetensors.torch import load_file

from p2pkit import TrainingError
from p2pkit.config import load_config, resolve
from p2pkit.engine.check import check
from p2pkit.engine.storage.checkpoint import read_config
from p2pkit.engine.storage.layout import checkpoints
from p2pkit.engine.storage.state import read_state
from p2pkit.engine.training.session import RunSession
from p2pkit.progress import Silent

RICH = {"engine.ema": 0.9, "augment": ["flip"], "generator": {"use": "unet", "params": {"depth": 3, "width": 8}}}


def weights(checkpoint):
    return load_file(checkpoint / "training.safetensors") | {
        f"evaluated.{name}": value for name, value in load_file(checkpoint / "generator.safetensors").items()
    }


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def test_same_seed_same_weights(work, tmp_path):
    first = work(tmp_path / "a", **RICH).train()
    second = work(tmp_path / "b", **RICH).train()
    other = work(tmp_path / "c", **RICH, **{"engine.seed": 1}).train()
    assert_same(weights(first.checkpoint), weights(second.checkpoint))
    assert first.report.metrics == second.report.metrics
    assert first.report.metrics != other.report.metrics


@pytest.mark.parametrize(("at", "cache"), [(2, "memory"), (3, "memory"), (5, "memory"), (5, "off")])
def test_interrupted_and_resumed_equals_uninterrupted(work, signalled, tmp_path, at, cache):
    """Stopped by a signal in the middle or at the end of an epoch, the run goes on as if nothing had been."""
    rich = {**RICH, "engine.cache": cache, "engine.workers": 0}
    whole = work(tmp_path / "whole", **rich).train()
    stopped = work(tmp_path / "cut", **rich).train(on_step=signalled(at - 1))
    assert stopped.signal == signal.SIGTERM
    assert stopped.progress.step == at
    assert stopped.checkpoint.name == f"step-{at:08d}"
    resumed = work(tmp_path / "cut", **rich).train(stopped.checkpoint)
    assert resumed.progress == whole.progress
    assert_same(weights(resumed.checkpoint), weights(whole.checkpoint))
    assert resumed.report.metrics == whole.report.metrics


def test_checkpoint_holds_its_config_and_state(work, quiet, tmp_path):
    outcome = work().train()
    assert {path.name for path in outcome.checkpoint.iterdir()} == {
        "generator.safetensors",
        "training.safetensors",
        "state.json",
        "run.yaml",
    }
    config = read_config(outcome.checkpoint)
    assert config["generator"] == {
        "use": "p2pkit:unet",
        "alias": "unet_tiny",
        "params": {**config["generator"]["params"], "depth": 4, "width": 8, "dropout": 0.0},
    }
    assert resolve(load_config(config), quiet).resolved() == config
    state = read_state(outcome.checkpoint)
    assert state["position"] == {"step": 6, "epoch": 2, "batches": 0}
    assert state["images"].height == 16
    assert json.loads((outcome.checkpoint / "state.json").read_text())["format"] == 1


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


def test_run_folder_says_what_was_run(work, tmp_path):
    work(tmp_path / "here").train()
    config = yaml.safe_load((tmp_path / "here" / "run.yaml").read_text())
    assert config["losses"]["l1"]["weight"] == 100
    assert (tmp_path / "here" / "samples" / "step-00000006.png").is_file()


def test_events_come_in_order(tiny, tmp_path):
    from p2pkit.registry import load_registry

    plugin = tmp_path / "diary.py"
    plugin.write_text(
        "import p2pkit\nfrom pathlib import Path\n"
        "def note(run, text):\n"
        "    with (run.folder / 'diary.txt').open('a') as file:\n"
        "        file.write(text + '\\n')\n"
        "@p2pkit.hookimpl\n"
        "def p2pkit_run_started(run): note(run, f'started {run.kind} {run.dataset.counts}')\n"
        "@p2pkit.hookimpl\n"
        "def p2pkit_scalars(run, step, scalars): note(run, f'scalars {step} ' + ' '.join(sorted(scalars)))\n"
        "@p2pkit.hookimpl\n"
        "def p2pkit_evaluated(run, step, report, samples): note(run, f'evaluated {step} {list(report.metrics)} "
        "{len(samples.pictures)}')\n"
        "@p2pkit.hookimpl\n"
        "def p2pkit_checkpointed(run, step, path): note(run, f'checkpointed {step}')\n"
        "@p2pkit.hookimpl\n"
        "def p2pkit_run_ended(run, error): note(run, f'ended {error}')\n"
    )
    blocked = tmp_path / "registry.yaml"
    blocked.write_text("plugins: {block: [p2pkit.mlflow]}\n")
    registry = load_registry(blocked, discover=False, plugin_files=[plugin])
    overrides = {"engine.log_every": 3, "evaluate.every": 1, "checkpoint.every": 1}
    checked = check(resolve(load_config(tiny, overrides), registry))
    folder = tmp_path / "run"
    folder.mkdir()
    RunSession(checked, registry.plugins, folder, Silent()).train()
    diary = (folder / "diary.txt").read_text().splitlines()
    assert [line.split()[0] for line in diary] == [
        "started",
        *["evaluated", "scalars"],
        *(["scalars", "evaluated", "scalars", "checkpointed"] * 2),
        "ended",
    ]
    assert diary[0] == "started training {'train': 12, 'val': 8}"
    for name in ("train/generator/l1", "train/learning_rate/generator", "speed/images_per_second", "speed/data_wait"):
        assert name in diary[3]
    shares = [f"train/gradient_{kind}/{term}" for kind in ("cosine", "norm", "share") for term in ("gan", "l1")]
    assert diary[2] == " ".join(["scalars 0", *shares, "val/variety"])
    assert diary[1] == "evaluated 0 ['l1'] 2"
    assert diary[4] == "evaluated 3 ['l1'] 2"
    assert diary[-1] == "ended None"
