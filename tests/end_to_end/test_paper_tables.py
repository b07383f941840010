"""The paper's tables: a network learns labels from photos, and judges what is made of labels."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import p2pkit
from p2pkit.compare.published import beside_published, table_beside_published
from p2pkit.sweep import plan, sweep

TABLES = ["paper/table1", "paper/table2", "paper/table3"]
KEYS = ["fcn_score/pixel_accuracy", "fcn_score/class_accuracy", "fcn_score/class_iou"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Label maps of four rectangles, the last class unlabelled, and photos that show each class by its brightness."""
    root = tmp_path_factory.mktemp("labelled")
    dice = np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 3)):
        for folder in ("photos", "labels"):
            (root / folder / split).mkdir(parents=True)
        for number in range(count):
            mask = np.kron(dice.permutation(4).reshape(2, 2), np.ones((16, 16))).astype(np.uint8)
            photo = (mask[..., None] * 60 + dice.integers(0, 20, (32, 32, 3))).astype(np.uint8)
            for folder, image in (("photos", photo), ("labels", mask)):
                Image.fromarray(image).save(root / folder / split / f"{number}.png")
    return root


def shared(root, **more):
    return {
        "dataset.params.root": str(root),
        "dataset.params.classes": 4,
        "dataset.params.unlabelled": [3],
        "dataset.params.size": 32,
        "augment": [],
        "engine": {"batch": 4, "device": "cpu", "log_every": 1},
        "evaluate.every": 0,
        **more,
    }


@pytest.fixture(scope="module")
def network(data, quiet, tmp_path_factory):
    """A network for segmentation, trained on the real photos by the recipe."""
    folder = tmp_path_factory.mktemp("fcn")
    own = {"generator.params": {"width": 4, "stride": 4}, "schedule": {"epochs": None, "steps": 30}}
    more = {**own, "optimizers.generator.lr": 1e-2, "tracking.folder": str(folder)}
    return p2pkit.train("fcn", registry=quiet, **shared(data, **more))


def settings(data, network, folder, **more):
    return shared(
        data,
        **{
            "generator.params": {"depth": 4, "width": 4},
            "discriminator.params.width": 4,
            "evaluate.metrics.0.params.network": str(network.folder),
            "schedule": {"epochs": None, "steps": 2},
            "tracking.folder": str(folder),
            **more,
        },
    )


def test_the_network_learns_the_photos_labels(network):
    scores = network.report.metrics
    assert list(scores) == ["segmentation/pixel_accuracy", "segmentation/class_accuracy", "segmentation/class_iou"]
    assert scores["segmentation/pixel_accuracy"] > 0.8
    assert network.load().images.target.unlabelled == (3,)


def size(table):
    return {"dataset.params.size": 96} if table.endswith("3") else {}  # the largest patches need larger images


@pytest.fixture(scope="module")
def planned(data, network, quiet, tmp_path_factory):
    """Plan each table once."""
    folder = tmp_path_factory.mktemp("planned")
    return {table: plan(table, registry=quiet, **settings(data, network, folder, **size(table))) for table in TABLES}


@pytest.mark.parametrize("table", TABLES)
def test_every_point_is_in_order(planned, table):
    found = planned[table]
    published = found.wanted.published
    assert published.points.keys() - {"ground truth"} == found.checked.keys()
    assert list(published.metrics) == KEYS
    ((by, higher_is_better),) = found.goals.items()
    assert by in KEYS
    assert higher_is_better


def test_what_the_points_differ_in(planned):
    def points(table):
        return {label: checked.plan for label, checked in planned[table].checked.items()}

    losses = {
        label: (set(p.losses), p.discriminator.params.get("conditional", True))
        for label, p in points(TABLES[0]).items()
    }
    assert losses == {
        "L1": ({"l1"}, True),
        "GAN": ({"gan"}, False),
        "cGAN": ({"gan"}, True),
        "L1+GAN": ({"l1", "gan"}, False),
        "L1+cGAN": ({"l1", "gan"}, True),
    }
    skips = {label: (set(p.losses), p.generator.params.get("skips", True)) for label, p in points(TABLES[1]).items()}
    assert skips == {
        "Encoder-decoder (L1)": ({"l1"}, False),
        "Encoder-decoder (L1+cGAN)": ({"l1", "gan"}, False),
        "U-Net (L1)": ({"l1"}, True),
        "U-Net (L1+cGAN)": ({"l1", "gan"}, True),
    }
    layers = {label: p.discriminator.params["layers"] for label, p in points(TABLES[2]).items()}
    assert layers == {"1x1": 0, "16x16": 1, "70x70": 3, "286x286": 5}


@pytest.mark.slow
def test_a_table_beside_the_papers(data, network, quiet, tmp_path):
    swept = sweep("paper/table1", registry=quiet, **settings(data, network, tmp_path))
    assert [child.state for child in swept.children] == ["finished"] * 5
    beside = beside_published(swept.published, swept.table(), swept.finished)
    rows = {row.label: row for row in beside}
    assert list(rows) == ["L1", "GAN", "cGAN", "L1+GAN", "L1+cGAN", "ground truth"]
    assert rows["L1+cGAN"].published == (0.66, 0.23, 0.17)
    assert rows["GAN"].own == tuple(swept.table()[1][key] for key in KEYS)
    assert rows["ground truth"].own == pytest.approx(list(network.report.metrics.values()))
    assert swept.best is not None
    lines = table_beside_published(swept.published, beside).splitlines()
    assert lines[0].startswith("|  | Per-pixel acc. | Per-class acc. | Class IOU | published Per-pixel acc. |")
    assert lines[6].startswith("| L1+cGAN | 0.")
    assert lines[6].endswith("| 0.66 | 0.23 | 0.17 |")
    assert "arXiv:1611.07004" in lines[-1]
    assert "compare the order" in lines[-1]


def test_real_photos_score_what_the_network_does(data, network, quiet, tmp_path):
    run = p2pkit.train(
        "paper/labels_to_photos", registry=quiet, **settings(data, network, tmp_path, **{"losses.gan": None})
    )
    truth = {key.replace("segmentation", "fcn_score"): value for key, value in network.report.metrics.items()}
    assert run.report.ground_truth == pytest.approx(truth)
    assert run.report.metrics["fcn_score/pixel_accuracy"] < run.report.ground_truth["fcn_score/pixel_accuracy"]
    weights = {run.report.protocols[key]["weights"] for key in KEYS}
    assert weights == {p2pkit.fingerprint(network.load().generator)}


@pytest.mark.long
@pytest.mark.parametrize("table", TABLES[1:])
def test_the_other_tables_run_too(data, network, quiet, tmp_path, table):
    swept = sweep(table, registry=quiet, **settings(data, network, tmp_path, **size(table)))
    assert [child.state for child in swept.children] == ["finished"] * 4
    rows = beside_published(swept.published, swept.table(), swept.finished)
    assert [row.label for row in rows] == [*swept.points, "ground truth"]
    assert all(0 <= figure <= 1 for row in rows for figure in row.own)
