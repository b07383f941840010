"""A whole run: ties the parts, tells who listens, and ends the run whatever happens."""

from __future__ import annotations

import pytest
import yaml
from safetensors.torch import load_file

from p2pkit import PluginError, TrainingError
from p2pkit.config import load_config, resolve
from p2pkit.engine.check import check
from p2pkit.engine.training.session import RunSession
from p2pkit.progress import Silent
from p2pkit.registry import load_registry


class Closed(Silent):
    """Counts how often it is closed."""

    times = 0

    def close(self):
        self.times += 1


DIARY = """
    from pathlib import Path

    HEARD = []

    @p2pkit.hookimpl
    def p2pkit_run_started(run):
        HEARD.append(run)

    @p2pkit.hookimpl
    def p2pkit_evaluated(run, step, report, samples):
        HEARD.append((step, report.split))
        if run.name == "refused":
            raise ValueError("no place for it")

    @p2pkit.hookimpl
    def p2pkit_run_ended(run, error):
        HEARD.append(error)
"""


@pytest.fixture
def heard(tiny, tmp_path, write_plugin):
    """A session whose plugin hears of it, and what that plugin has heard."""
    blocked = tmp_path / "registry.yaml"
    blocked.write_text("plugins: {block: [p2pkit.mlflow]}\n")
    registry = load_registry(blocked, discover=False, plugin_files=[write_plugin(DIARY)])
    diary = registry.plugins.manager.get_plugin("acme")

    def make(name="run", strict=False, **overrides):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        diary.HEARD.clear()
        run = check(resolve(load_config(tiny, overrides), registry))
        return RunSession(run, registry.plugins, folder, Closed(), strict=strict), diary.HEARD

    return make


def test_run_folder_says_what_was_run(work, tmp_path):
    work(tmp_path / "here").train()
    config = yaml.safe_load((tmp_path / "here" / "run.yaml").read_text())
    assert config["losses"]["l1"]["weight"] == 100
    assert (tmp_path / "here" / "samples" / "step-00000006.png").is_file()


def test_events_come_in_order(tiny, tmp_path):
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


def test_what_is_told_of_a_run_at_its_start(heard):
    session, seen = heard(**{"schedule.epochs": 1, "evaluate.every": 0})
    session.train()
    run = seen[0]
    assert (run.name, run.kind, run.folder, run.resumed) == ("run", "training", session.folder, False)
    assert run.config == session.config
    assert run.dataset.counts == {"train": 12, "val": 8}
    assert {"p2pkit", "torch"} <= set(run.versions)
    assert run.facts["global_batch"] == 4
    assert seen[1:] == [(3, "val"), None]
    assert session.reporter.times == 1


def test_an_error_ends_the_run_and_is_told(heard):
    session, seen = heard(**{"optimizers.generator.lr": 1e30, "schedule.epochs": 3})
    with pytest.raises(TrainingError, match="finite"):
        session.train()
    assert isinstance(seen[-1], TrainingError)
    assert session.reporter.times == 1


def test_a_signal_ends_the_run_as_one_that_was_stopped(heard, signalled):
    session, seen = heard()
    assert session.train(on_step=signalled(0)).signal is not None
    assert isinstance(seen[-1], KeyboardInterrupt)


def test_a_plugin_that_fails_ends_a_strict_run_alone(heard):
    lenient, _ = heard("refused", **{"schedule.epochs": 1})
    with pytest.warns(RuntimeWarning, match="no place for it; the run goes on without it"):
        assert lenient.train().progress.step == 3
    strict, _ = heard("refused", strict=True)
    with pytest.raises(PluginError, match="no place for it"):
        strict.train()
    assert strict.reporter.times == 1


def test_a_resumed_run_says_so_and_remembers(heard):
    first, _ = heard(**{"schedule.epochs": 1, "evaluate.every": 1})
    checkpoint = first.train().checkpoint
    again, seen = heard(**{"schedule.epochs": 2, "evaluate.every": 1})
    outcome = again.train(checkpoint)
    assert seen[0].resumed
    assert outcome.progress.step == 6
    assert [step for step, _ in seen[1:-1]] == [6]  # step 3 was scored before


def test_scoring_a_checkpoint_gives_the_scores_of_training(heard):
    session, _ = heard(**{"schedule.epochs": 1})
    outcome = session.train()
    judge, seen = heard("judged", **{"schedule.epochs": 1})
    report, samples = judge.evaluate(outcome.checkpoint)
    assert report.metrics == pytest.approx(outcome.report.metrics, rel=1e-5)
    for name, scores in outcome.report.baselines.items():
        assert report.baselines[name] == pytest.approx(scores)
    assert samples.sheet == judge.folder / "samples" / "val-step-00000003.png"
    assert seen[0].kind == "evaluation"
    assert seen[1:] == [(3, "val"), None]
    assert not (judge.folder / "run.yaml").exists()


@pytest.mark.parametrize(
    ("overrides", "read"),
    [
        ({"evaluate.baselines": False}, {"val"}),
        ({"evaluate.baselines": True}, {"train", "val"}),
        ({"evaluate.baselines": False, "evaluate.batch_norm": "recalibrated"}, {"train", "val"}),
        ({"evaluate.baselines": False, "evaluate.split": "train"}, {"train"}),
    ],
)
def test_scoring_reads_the_training_pairs_where_they_are_wanted(heard, overrides, read):
    checkpoint = heard(**{"schedule.epochs": 1})[0].train().checkpoint
    judge, _ = heard("judged", **overrides)
    judge.evaluate(checkpoint)
    assert set(judge.splits.counts) == read
    kept = judge.folder / "recalibrated.safetensors"
    assert kept.exists() == ("evaluate.batch_norm" in overrides)
    if kept.exists():
        assert load_file(kept)


def test_other_processes_than_the_main_one_are_silent(checked, quiet, tmp_path, placed):
    placed(RANK=1, WORLD_SIZE=2)
    session = RunSession(checked(**{"engine.batch": 1}), quiet.plugins, tmp_path, Closed())
    assert type(session.reporter) is Silent
