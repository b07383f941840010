"""Scores of classes: known values, torchmetrics' own, networks of runs and of files, and what is refused."""

from __future__ import annotations

import pickle

import pytest
import torch
from torch import nn
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_jaccard_index
from torchvision.models import get_model

from p2pkit import ComponentError, ImageSpec, PairSpec, fingerprint, to_network
from p2pkit.builtin import metrics
from p2pkit.builtin.class_scores import ClassScores, NetworkScores
from p2pkit.builtin.segmentation import Torchvision

CLASSES = 4


def labels(unlabelled=(), classes=CLASSES):
    return ImageSpec(classes, kind="labels", unlabelled=unlabelled)


def labels_to_photo(side=32, **kept):
    return PairSpec(labels(**kept), ImageSpec(3), side, side)


def make(name, images, **params):
    return {record.name: record for record in metrics.p2pkit_metrics()}[name].build(images, params)


def maps(*rows):
    """Planes of label maps, a row of pixels each."""
    return to_network(torch.tensor(rows)[:, None, None], labels())


def values(metric, *batches):
    for batch in batches:
        metric.update(*batch)
    return {name: value.item() for name, value in metric.compute().items()}


def test_scores_by_hand():
    found = values(ClassScores(labels()), (maps([0, 0, 1, 1, 2, 3]), maps([0, 0, 0, 1, 1, 2])))
    # right: 2 of 3 pixels of class 0, 1 of 2 of class 1, none of 1 of class 2; class 3 is predicted once
    assert found["pixel_accuracy"] == pytest.approx(3 / 6)
    assert found["class_accuracy"] == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert found["class_iou"] == pytest.approx((2 / 3 + 1 / 3 + 0 + 0) / 4)


def test_unlabelled_pixels_have_no_say():
    """What is predicted there does not count; predicting it elsewhere is wrong, but its own class is in no mean."""
    found = values(ClassScores(labels(unlabelled=(3,))), (maps([0, 1, 3, 2, 2]), maps([0, 1, 1, 3, 3])))
    assert found["pixel_accuracy"] == pytest.approx(2 / 3)
    assert found["class_accuracy"] == pytest.approx((1 + 1 / 2) / 2)
    assert found["class_iou"] == pytest.approx((1 + 1 / 2) / 2)


def test_scores_are_torchmetrics_own():
    planes, truth = torch.randn(3, CLASSES, 8, 8), torch.randint(CLASSES, (3, 1, 8, 8))
    found = values(ClassScores(labels()), (planes, to_network(truth, labels())))
    guess, truth = planes.argmax(1), truth[:, 0]
    expected = {
        "pixel_accuracy": multiclass_accuracy(guess, truth, CLASSES, average="micro"),
        "class_accuracy": multiclass_accuracy(guess, truth, CLASSES, average="macro"),
        "class_iou": multiclass_jaccard_index(guess, truth, CLASSES, average="macro"),
    }
    assert found == {name: pytest.approx(value.item(), abs=1e-6) for name, value in expected.items()}


class Seer(nn.Module):
    """A network that reads the class off the first channel of a photo."""

    def __init__(self):
        super().__init__()
        self.levels = nn.Parameter(torch.linspace(-1, 1, CLASSES))

    def forward(self, photo):
        return -(photo[:, :1] - self.levels.view(1, -1, 1, 1)).abs()


def painted(indices):
    """Photos in which the seer sees these classes."""
    return torch.linspace(-1, 1, CLASSES)[indices].expand(-1, 3, -1, -1)


def test_a_network_judges_fakes_by_their_sources():
    indices = torch.randint(CLASSES, (2, 1, 8, 8))
    source, fake = to_network(indices, labels()), painted(indices).clone()
    metric = NetworkScores(labels(), Seer())
    assert metric.wants == ("fake", "source")
    assert values(metric, (fake, source)) == {"pixel_accuracy": 1, "class_accuracy": 1, "class_iou": 1}
    fake[0] = -fake[0]
    metric.reset()
    assert values(metric, (fake, source))["pixel_accuracy"] == pytest.approx(0.5)


def test_it_merges_and_travels():
    indices = torch.randint(CLASSES, (4, 1, 8, 8))
    source, fake = to_network(indices, labels()), painted(indices.roll(1, 3))
    whole, first, second = (NetworkScores(labels(), Seer()) for _ in range(3))
    whole.update(fake, source)
    first.update(fake[:1], source[:1])
    second.update(fake[1:], source[1:])
    first.merge_state(pickle.loads(pickle.dumps(second)))
    assert first.compute() == whole.compute()


def test_the_weights_are_a_part_of_the_protocol():
    other = Seer()
    with torch.no_grad():
        other.levels[0] -= 1e-3
    ids = [NetworkScores(labels(), network).protocol["weights"] for network in (Seer(), Seer(), other)]
    assert ids[0] == ids[1] != ids[2]


def test_a_network_of_torchvision_by_its_weights(tmp_path):
    theirs = get_model("lraspp_mobilenet_v3_large", weights=None, weights_backbone=None, num_classes=CLASSES).eval()
    file = tmp_path / "weights.pth"
    torch.save({"model": theirs.state_dict(), "epoch": 3}, file)
    metric = make("fcn_score", labels_to_photo(), network=file, architecture="lraspp_mobilenet_v3_large")
    photo = torch.rand(1, 3, 32, 32)
    mean, deviation = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        expected = theirs((photo - mean) / deviation)["out"].softmax(1) * 2 - 1
        torch.testing.assert_close(metric.network(photo * 2 - 1), expected)
    assert fingerprint(metric.network.model) == fingerprint(theirs)


def test_second_heads_are_known_by_their_weights():
    heads = {name.partition(".")[0] for name in Torchvision("fcn_resnet50", 2, auxiliary=True).model.state_dict()}
    assert heads == {"backbone", "classifier", "aux_classifier"}


class Code:
    """What a file of weights must not bring along."""

    def __reduce__(self):
        return (print, ("run by a file of weights",))


@pytest.mark.parametrize(
    ("content", "params", "parameter", "cause"),
    [
        (None, {}, "network", "there is no network"),
        ({}, {}, "architecture", "weights of an unknown network"),
        ({}, {"architecture": "fcn_resnet50"}, "network", "holds no weights of fcn_resnet50 for 4 classes"),
        ({"model": Code()}, {"architecture": "fcn_resnet50"}, "network", "holds no weights of fcn_resnet50"),
    ],
)
def test_networks_that_can_not_be_loaded(tmp_path, capsys, content, params, parameter, cause):
    file = tmp_path / "weights.pth"
    if content is not None:
        torch.save(content, file)
    with pytest.raises(ComponentError, match=cause) as raised:
        make("fcn_score", labels_to_photo(), network=file, **params)
    assert raised.value.parameter == parameter
    assert "run by" not in capsys.readouterr().out


def test_images_it_is_not_for(tmp_path):
    colours = PairSpec(ImageSpec(3), ImageSpec(3), 32, 32)
    with pytest.raises(ComponentError, match="fcn_score is for sources that are labels"):
        make("fcn_score", colours, network=tmp_path)
    with pytest.raises(ComponentError, match="segmentation is for targets that are labels"):
        make("segmentation", colours)
    with pytest.raises(ComponentError, match="is no run"):
        make("fcn_score", labels_to_photo(), network=tmp_path)
