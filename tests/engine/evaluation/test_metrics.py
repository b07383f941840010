from __future__ import annotations

import pytest
import torch
from torchmetrics import Metric

from p2pkit import ConfigError, ImageSpec, PairSpec
from p2pkit.builtin.scores import AbsoluteDifference
from p2pkit.config import load_config, resolve
from p2pkit.engine.check import check
from p2pkit.engine.data.loader import Batch
from p2pkit.engine.evaluation.metrics import score, scored, update_metrics
from p2pkit.engine.training.session import RunSession
from p2pkit.progress import Silent
from p2pkit.registry import load_registry

PLUGIN = """
    from pathlib import Path
    from typing import Annotated
    from torchmetrics import Metric

    class Plain(Metric):
        higher_is_better = True
        full_state_update = False
        wants = WANTS
        protocol = {"weights": "abc"}

        def __init__(self):
            super().__init__()
            self.add_state("count", __import__("torch").zeros(()), dist_reduce_fx="sum")

        def update(self, *given):
            self.count += len(given[0])

        def compute(self):
            return {"images": self.count, "twice": 2 * self.count}

        def warnings(self):
            yield f"saw {int(self.count)} images"

    def plain(*, power: int = 1, weights: Path | None = None):
        return Plain()

    @p2pkit.hookimpl
    def p2pkit_metrics():
        yield p2pkit.Metric("plain", plain, "Counts.", version="3")
"""


@pytest.fixture
def plugged(write_plugin, tmp_path):
    """The names with a metric that wants what it is told to want."""

    def make(wants='("fake", "target")'):
        file = tmp_path / "registry.yaml"
        file.write_text("plugins: {block: [p2pkit.mlflow]}\n")
        return load_registry(file, discover=False, plugin_files=[write_plugin(PLUGIN.replace("WANTS", wants))])

    return make


class Seen(Metric):
    full_state_update = False

    def __init__(self, *wants, fakes=1):
        super().__init__()
        self.wants, self.fakes, self.given = wants, fakes, []

    def update(self, *given):
        self.given.append(given)

    def compute(self):
        return torch.tensor(float(len(self.given)))


def test_metrics_are_given_what_they_want():
    source, target = torch.zeros(2, 1, 4, 4), torch.ones(2, 1, 4, 4)
    calls = iter(range(2, 99))

    def predict(image):
        return torch.full_like(image, next(calls))

    metrics = {
        "both": Seen("fake", "source"),
        "target": Seen("target"),
        "three": Seen("fakes", fakes=3),
        "two": Seen("fakes", "fake", fakes=2),
    }
    update_metrics(metrics, source, target, predict)
    values = {name: [float(x.mean()) for x in metric.given[0]] for name, metric in metrics.items()}
    assert values == {"both": [2, 0], "target": [1], "three": [4], "two": [3.5, 2]}
    assert metrics["three"].given[0][0].shape == (2, 3, 1, 4, 4)


def test_a_fake_that_nobody_wants_is_not_made():
    def never(image):
        raise AssertionError

    metrics = {"target": Seen("target")}
    assert score(metrics, [Batch(torch.zeros(1), torch.zeros(1), 0.0)], never) == {"target": 1}


def test_scores_begin_anew():
    metrics = {"l1": AbsoluteDifference()}
    for value in (1.0, 0.5):
        found = score(
            metrics, [Batch(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2), 0.0)], lambda image, v=value: image + v
        )
        assert found == {"l1": value}


def test_several_values_and_warnings(plugged, tiny, tmp_path):
    registry = plugged()
    checked = check(resolve(load_config(tiny, {"evaluate.metrics": ["plain"], "schedule.epochs": 1}), registry))
    report = RunSession(checked, registry.plugins, tmp_path, Silent()).train().report
    assert report.metrics == {"plain/images": 8, "plain/twice": 16}
    assert report.warnings == ("plain: saw 8 images",)
    own = {key: report.protocols["plain/twice"][key] for key in ("metric", "version", "weights")}
    assert own == {"metric": "acme:plain", "version": "3", "weights": "abc"}
    assert report.higher_is_better["plain/images"] is True


def test_a_metric_that_wants_what_there_is_not(plugged, tiny):
    plan = resolve(load_config(tiny, {"evaluate.metrics": ["plain"]}), plugged('("fake", "moon")'))
    with pytest.raises(
        ConfigError,
        match=r"acme:plain has .*'moon'.* as its attribute wants, which must be some of source, target, fake, fakes",
    ):
        check(plan)


@pytest.mark.parametrize(
    ("wants", "truth"),
    [('("fake", "target")', {}), ('("fake", "source")', {"plain/images": 8, "plain/twice": 16})],
)
def test_targets_are_scored_where_that_says_something(plugged, tiny, tmp_path, wants, truth):
    registry = plugged(wants)
    checked = check(resolve(load_config(tiny, {"evaluate.metrics": ["plain"], "schedule.epochs": 1}), registry))
    assert RunSession(checked, registry.plugins, tmp_path, Silent()).train().report.ground_truth == truth


def test_what_a_mask_leaves_out_is_no_difference():
    source, target = torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)
    valid = torch.tensor([[[[1.0, 0.0], [-0.5, -1.0]]]])
    batch = Batch(source, target, 0.0, {"valid": valid})
    metrics = {"l1": AbsoluteDifference()}
    assert score(metrics, [batch], lambda image, valid: image + 1, "valid") == {"l1": 0.5}
    assert score(metrics, [batch], lambda image, valid: image + 1) == {"l1": 1.0}


def test_slices_of_volumes_are_scored_as_images():
    class Shapes(AbsoluteDifference):
        def update(self, *images):
            seen.append(tuple(image.shape for image in images))
            super().update(*images)

    seen = []
    target = torch.rand(2, 1, 3, 4, 5)
    expected = float((target + 1).abs().mean())
    batch = Batch(target, target, 0.0)
    found = score({"l1": Shapes()}, [batch], lambda source: torch.full_like(source, -1.0))
    assert found["l1"] == pytest.approx(expected)
    assert seen == [((6, 1, 4, 5), (6, 1, 4, 5))]
    assert scored(PairSpec(ImageSpec(1), ImageSpec(1), 4, 5, depth=3)).size == (4, 5)
