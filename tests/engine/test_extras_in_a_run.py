"""What stands beside images, from the data set to the losses, and the same after an interruption."""

from __future__ import annotations

import json

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from p2pkit import ConfigError
from p2pkit.engine.build.assembly import assemble
from p2pkit.engine.storage.state import read_state
from p2pkit.engine.training.session import RunSession
from p2pkit.plugins.loading import Plugins
from p2pkit.progress import Silent


@pytest.fixture
def seasons(seasonal, tmp_path):
    """A run of it in a folder."""

    def make(name, **overrides):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        return RunSession(seasonal(**overrides), Plugins(discover=False, block=["p2pkit.mlflow"]), folder, Silent())

    return make


def weights(result):
    return {file.name: load_file(file) for file in sorted(result.checkpoint.glob("*.safetensors"))}


def test_a_run_is_interrupted_and_resumed_with_the_same_noise(seasons, signalled):
    crop = {"use": "jitter_crop", "params": {"load": 10}}
    overrides = {"schedule.epochs": 2, "augment": ["flip", crop], "evaluate.fakes": 4}
    whole = seasons("whole", **overrides).train()
    stopped = seasons("cut", **overrides).train(on_step=signalled(3))
    resumed = seasons("cut", **overrides).train(stopped.checkpoint)
    assert stopped.progress.step < resumed.progress.step == whole.progress.step == 8
    for file, tensors in weights(whole).items():
        for name, value in tensors.items():
            assert torch.equal(value, weights(resumed)[file][name]), name
    assert resumed.report.metrics == whole.report.metrics
    images = read_state(whole.checkpoint)["images"]
    assert {name: type(spec).__name__ for name, spec in images.extras.items()} == {
        "season": "VectorSpec", "depth": "ImageSpec", "age": "VectorSpec", "z": "VectorSpec"
    }  # fmt: skip
    with Image.open(whole.samples.sheet) as sheet:
        assert sheet.width == 7 * 136 + 8  # source, fake, target, three fakes by other noise, depth
    assert whole.samples.pictures[0].shape == (8, 3 * 8, 3)


def test_a_step_sees_them_all(seasonal):
    assembly = assemble(seasonal())
    ((source, target, age, depth, season, noise),) = assembly.trial()
    assert (age.shape, depth.shape, season.sum(1).tolist(), noise.shape) == ((2, 2), (2, 1, 8, 8), [1, 1], (2, 4))
    scalars = assembly.step([(source, target, age, source[:, :1], season, noise)], 0)
    assert {"train/diverse/noise", "train/diverse/history"} <= set(scalars)
    assert float(scalars["train/diverse/history"]) == 0
    assert all(value.isfinite() for value in scalars.values())


def test_a_checkpoint_without_extras_says_nothing_of_them(work):
    state = json.loads((work().train().checkpoint / "state.json").read_text())
    assert set(state["images"]) == {"source", "target", "height", "width", "reading"}


@pytest.mark.parametrize(
    ("overrides", "path", "cause"),
    [
        ({"noise": None}, "generator", "its forward asks for 'z', which the data set does not have"),
        ({"noise": {"age": 1}}, "noise.age", "is the name of something that the data set has"),
        ({"noise": {"target": 1}}, "noise.target", "is the name of something that the data set has"),
        ({"noise": {"z": 0}}, "noise.z", "greater than or equal to 1"),
        ({"dataset": {"use": "shapes", "params": {"size": 8}}}, "generator", "KeyError: 'season'"),
    ],
)
def test_what_is_lacking_is_found_before_training(seasonal, overrides, path, cause):
    with pytest.raises(ConfigError) as caught:
        seasonal(**overrides)
    assert any(problem.path == path and cause in problem.cause for problem in caught.value.problems), caught.value


MOVES = """
class Shift:
    {moves}
    def __call__(self, source, target): return source, target

@p2pkit.hookimpl
def p2pkit_augmentations(): yield p2pkit.Augmentation("shift", Shift)
"""


@pytest.mark.parametrize("moves", ["", "moves = False"])
def test_an_augmentation_may_leave_no_image_behind(seasonal, write_plugin, monkeypatch, moves):
    file = write_plugin(MOVES.format(moves=moves), "shifting")
    plan = seasonal().plan
    part = next(c for c in Plugins(files=[file], discover=False).components if c.name == "shift")
    from dataclasses import replace

    from p2pkit.engine.check import check
    from p2pkit.parts import Part

    changed = replace(plan, augment=(Part("augment.0", part),))
    if moves:
        assert check(changed)
        return
    with pytest.raises(ConfigError, match=r"augment\.0: shifting:shift moves source and target, and would leave depth"):
        check(changed)
