"""The best checkpoint, early stopping, and what is wrong with a config's choice of them."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from p2pkit import ConfigError, ModelError, Report
from p2pkit.config.model import RunConfig
from p2pkit.engine.evaluation.evaluator import Evaluator
from p2pkit.engine.storage.find import find_checkpoint
from p2pkit.engine.storage.layout import checkpoints
from p2pkit.engine.storage.loop_state import LoopState
from p2pkit.engine.storage.state import read_state
from p2pkit.engine.training.best_and_patience import BestCheckpoint, EarlyStopping


def report(value, higher=False):
    return Report("val", 8, {"l1": value}, higher_is_better={"l1": higher})


@pytest.fixture
def choose(tmp_path):
    def make(**keys):
        config = {"dataset": {"use": "shapes"}, "checkpoint": {"best": "l1"}}
        config["checkpoint"] |= {key: keys.pop(key) for key in ("best", "better") if key in keys}
        config = RunConfig.model_validate({**config, "schedule": keys})
        return EarlyStopping(config) if keys else BestCheckpoint(config, tmp_path)

    return make


@pytest.fixture
def scored(monkeypatch):
    """Let evaluations find the values given, in turn; the last one stays."""

    def give(*values):
        left = list(values)
        original = Evaluator.__call__

        def call(self, *arguments):
            found, samples = original(self, *arguments)
            found.metrics["l1"] = left.pop(0) if len(left) > 1 else left[0]
            return found, samples

        monkeypatch.setattr(Evaluator, "__call__", call)

    return give


BEST = {"checkpoint.best": "l1", "evaluate.every": 1, "checkpoint.every": 1, "checkpoint.keep": 1}


def test_direction_is_the_metrics_or_the_configs(choose):
    found = [choose(better=better).is_best(1, report(0.3)) for better in ("auto", "higher", "lower")]
    assert found == [True] * 3
    for better, higher, wanted in (("auto", False, True), ("auto", True, False), ("higher", False, False)):
        selection = choose(better=better)
        selection.is_best(1, report(0.3, higher))
        assert selection.is_best(2, report(0.2, higher)) is wanted
        assert not selection.is_best(3, report(selection.value, higher))


def test_what_is_not_a_number_is_never_best(choose):
    selection = choose()
    assert not selection.is_best(1, report(float("nan")))
    assert selection.is_best(2, report(5.0))
    assert not selection.is_best(3, report(float("nan")))
    assert not choose().is_best(0, report(0.0))  # nor is an untrained generator


def test_patience_counts_from_the_last_real_improvement(choose):
    stopping, memory = choose(patience=2, min_delta=0.1), LoopState()
    for step, value in enumerate([1.0, 0.8, 0.75, 0.65, 0.62], 1):
        assert stopping.reason(memory) == ""
        stopping.count(step, report(value), memory)
    assert (memory.reference, memory.reference_step, memory.waited) == (0.65, 4, 1)
    stopping.count(6, report(float("nan")), memory)
    assert stopping.reason(memory) == (
        "l1 has not improved by more than 0.1 in 2 evaluations: it stands at 0.65 since step 4"
    )


def test_best_is_kept_apart_from_the_latest(work, scored, tmp_path):
    scored(9.0, 0.5, 0.3, 0.4)
    outcome = work(tmp_path / "run", **BEST, **{"schedule.epochs": 4}).train()
    assert outcome.best == tmp_path / "run" / "best" / "step-00000006"
    assert [path.name for path in checkpoints(tmp_path / "run" / "best")] == ["step-00000006"]
    assert [path.name for path in checkpoints(tmp_path / "run" / "checkpoints")] == ["step-00000012"]
    assert read_state(outcome.best)["best"] == {"metric": "l1", "value": 0.3}
    assert outcome.reason == "all 12 steps are done"
    assert find_checkpoint(f"{tmp_path}/run@best") == outcome.best
    assert find_checkpoint("run@best", tmp_path) == outcome.best
    assert find_checkpoint("run@last", tmp_path) == find_checkpoint("run", tmp_path) == outcome.checkpoint


def test_a_run_without_a_best_says_so(work, tmp_path):
    work(tmp_path / "run").train()
    with pytest.raises(ModelError, match="no best checkpoint") as caught:
        find_checkpoint("run@best", tmp_path)
    assert "checkpoint.best" in str(caught.value)


def test_early_stopping_says_why_and_stays_stopped(work, scored, tmp_path):
    scored(9.0, 0.5, 0.3, 0.4)
    early = {**BEST, "schedule.epochs": 9, "schedule.patience": 2}
    outcome = work(tmp_path / "run", **early).train()
    assert outcome.progress.step == 12
    assert outcome.reason == (
        "stopped early at step 12: l1 has not improved in 2 evaluations: it stands at 0.3 since step 6"
    )
    again = work(tmp_path / "run", **early).train(outcome.checkpoint)
    assert again.progress == outcome.progress
    assert again.reason == outcome.reason
    assert again.best == outcome.best
    further = work(tmp_path / "run", **{**early, "schedule.patience": 4}).train(outcome.checkpoint)
    assert further.progress.step == 18


@pytest.mark.parametrize("at", [3, 7, 12])
def test_interrupted_and_resumed_stops_where_it_would_have(work, signalled, tmp_path, at):
    """At an epoch's end too, where the evaluation that was due is made up for."""
    early = {**BEST, "schedule": {"epochs": 30, "patience": 4, "min_delta": 0.05}, "engine.ema": 0.9}
    whole = work(tmp_path / "whole", **early).train()
    assert at < whole.progress.step < 90
    cut = work(tmp_path / "cut", **early).train(on_step=signalled(at - 1))
    assert cut.reason == f"stopped at step {at} by a signal"
    resumed = work(tmp_path / "cut", **early).train(cut.checkpoint)
    assert (resumed.progress, resumed.reason) == (whole.progress, whole.reason)
    assert resumed.best.name == whole.best.name
    assert read_state(resumed.best) == read_state(whole.best)
    for file in ("training.safetensors", "generator.safetensors"):
        for first, second in ((resumed.best, whole.best), (resumed.checkpoint, whole.checkpoint)):
            ours, theirs = load_file(first / file), load_file(second / file)
            assert [name for name, value in ours.items() if not torch.equal(value, theirs[name])] == []


def test_what_comes_after_the_place_of_a_resumption_is_set_aside(work, scored, tmp_path):
    """The best one too: it is of a future that is not this one's. Nothing is lost."""
    scored(9.0, 0.5, 0.3, 0.4)
    first = work(tmp_path / "run", **{**BEST, "checkpoint.keep": 9}, **{"schedule.epochs": 3}).train()
    begin = first.checkpoint.with_name("step-00000003")
    scored(0.35)
    second = work(tmp_path / "run", **BEST, **{"schedule.epochs": 2}).train(begin)
    assert first.best.name == "step-00000006"
    assert read_state(second.best)["best"]["value"] == 0.35
    assert second.checkpoint.is_dir()
    assert find_checkpoint("run", tmp_path) == second.checkpoint
    aside = tmp_path / "run" / "abandoned"
    assert [path.name for path in checkpoints(aside / "checkpoints")] == ["step-00000006", "step-00000009"]
    assert [path.name for path in checkpoints(aside / "best")] == ["step-00000006"]
    assert {path.name for path in (aside / "samples").glob("*.png")} == {"step-00000006.png", "step-00000009.png"}


@pytest.mark.parametrize(
    ("overrides", "path", "said"),
    [
        ({"checkpoint.best": "ssim"}, "checkpoint.best", ("'ssim' is not measured", "evaluate.metrics", "l1")),
        ({"checkpoint.best": "l1", "evaluate.every": 0}, "evaluate.every", ("no evaluations during training",)),
        ({"schedule.patience": 3}, "schedule.patience", ("no metric to go by", "checkpoint.best to l1")),
    ],
)
def test_mistakes_are_found_by_check(checked, overrides, path, said):
    with pytest.raises(ConfigError) as caught:
        checked(**overrides)
    [problem] = caught.value.problems
    assert problem.path == path
    for words in said:
        assert words in str(problem)


def test_a_metric_without_a_direction_needs_one(quiet, tiny, write_plugin):
    from p2pkit.config import load_config, resolve
    from p2pkit.engine.check import check
    from p2pkit.registry import load_registry

    file = write_plugin(
        """
        from torchmetrics import MeanMetric

        class Brightness(MeanMetric):
            def update(self, fake, target):
                super().update(fake)

        @p2pkit.hookimpl
        def p2pkit_metrics():
            yield p2pkit.Metric("brightness", Brightness0)

        def Brightness0():
            return Brightness()
        """
    )
    registry = load_registry(discover=False, plugin_files=[file])
    keys = {"evaluate.metrics": ["brightness"], "checkpoint.best": "brightness"}
    with pytest.raises(ConfigError, match=r"checkpoint\.better: .* does not say"):
        check(resolve(load_config(tiny, keys), registry))
    check(resolve(load_config(tiny, {**keys, "checkpoint.better": "lower"}), registry))
