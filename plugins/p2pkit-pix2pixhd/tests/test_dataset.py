"""Label maps with instance edges: the planes, the files, and what is said of those that do not fit."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from p2pkit import ComponentError, DataError, resize
from PIL import Image

from p2pkit_pix2pixhd import instance_edges, labels_with_edges, source_planes

CITYSCAPES = {
    "labels": "gtFine/{split}/{name}_gtFine_labelIds.png",
    "instances": "gtFine/{split}/{name}_gtFine_instanceIds.png",
    "target": "leftImg8bit/{split}/{name}_leftImg8bit.png",
}


@pytest.fixture
def dataset(streets):
    return lambda **params: labels_with_edges(root=streets, **{"classes": 4, **CITYSCAPES, **params})


def test_an_edge_is_where_one_of_four_neighbours_differs():
    instances = torch.tensor([[[7, 7, 7, 7], [7, 7, 9, 7], [7, 7, 7, 7], [7, 7, 7, 7]]], dtype=torch.uint8)
    expected = torch.tensor([[0, 0, 1, 0], [0, 1, 1, 1], [0, 0, 1, 0], [0, 0, 0, 0]], dtype=torch.bool)
    assert torch.equal(instance_edges(instances)[0], expected)


def test_edges_by_looking_at_each_pixel():
    instances = torch.randint(3, (2, 9, 7))
    edges = instance_edges(instances)
    for y in range(9):
        for x in range(7):
            near = [(y + dy, x + dx) for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0))]
            near = [(b, a) for b, a in near if 0 <= b < 9 and 0 <= a < 7]
            differs = any((instances[:, b, a] != instances[:, y, x]).any() for b, a in near)
            assert edges[0, y, x] == differs


def test_sixteen_bits_tell_instances_apart():
    instances = torch.tensor([[[26001, 26001, 26002, 26002]]]).to(torch.uint16)
    assert instance_edges(instances).tolist() == [[[False, True, True, False]]]


def test_planes_of_classes_and_edges():
    labels = torch.tensor([[[0, 2], [2, 2]]], dtype=torch.uint8)
    planes = source_planes(labels, torch.tensor([[[1, 1], [1, 5]]]), 3)
    assert planes.dtype == torch.uint8
    assert (planes // 255).tolist() == [[[1, 0], [0, 0]], [[0, 0], [0, 0]], [[0, 1], [1, 1]], [[0, 1], [1, 1]]]


def test_files_as_cityscapes_has_them(dataset, streets):
    data = dataset()
    assert data.splits == ("train", "val")
    assert (data.spec.source.channels, data.spec.target.channels) == (5, 3)
    assert (data.spec.height, data.spec.width) == (64, 128)
    pairs = data.pairs("train")
    assert [pair.name for pair in pairs] == [f"town/town_{number}" for number in range(4)]
    pair = pairs[1]
    labels = np.array(Image.open(streets / "gtFine/train/town/town_1_gtFine_labelIds.png"))
    assert torch.equal(pair.source[:4].argmax(0), torch.from_numpy(labels).long())
    assert torch.equal(pair.source[:4].sum(0, dtype=torch.int64), torch.full((64, 128), 255))
    assert set(pair.source.unique().tolist()) == {0, 255}
    photo = np.asarray(Image.open(streets / "leftImg8bit/train/town/town_1_leftImg8bit.png"))
    assert torch.equal(pair.target, torch.from_numpy(photo.transpose(2, 0, 1).copy()))
    edges = pair.source[4].bool()
    assert edges[15:17].all()
    assert edges[:, 15:17].all()
    assert not edges[1:15, 1:15].any()


@pytest.mark.parametrize("size", [(32, 64), (128, 256)])
def test_edges_are_two_pixels_wide_at_every_size(dataset, size):
    whole, other = dataset().pairs("val")[0], dataset(size=size).pairs("val")[0]
    assert torch.equal(other.source, dataset().at(*size).pairs("val")[0].source)
    assert torch.equal(other.source[:4], resize(whole.source[:4], *size, nearest=True))
    half = size[1] // 8
    row = other.source[4, 1].bool()
    assert row.nonzero().flatten().tolist() == [x for n in range(1, 8) for x in (n * half - 1, n * half)]
    assert other.target.shape == (3, *size)


def test_pairs_are_a_picklable_sequence(dataset):
    pairs = pickle.loads(pickle.dumps(dataset().pairs("train")))
    assert [pair.name for pair in pairs[1:3]] == ["town/town_1", "town/town_2"]
    assert pairs[-1].name == "town/town_3"
    with pytest.raises(IndexError):
        pairs[4]


def test_fingerprint_changes_with_files_and_parameters(dataset, streets):
    first = dataset().fingerprint("train")
    assert dataset().fingerprint("train") == first
    assert dataset(size=(32, 64)).fingerprint("train") != first
    Image.new("L", (128, 64)).save(streets / "gtFine/train/town/town_0_gtFine_labelIds.png")
    assert dataset().fingerprint("train") != first


def test_files_pair_by_name_with_any_suffix(tmp_path):
    for number, suffix in ((2, "jpg"), (10, "png")):
        for folder, end in (("labels", "png"), ("instances", "png"), ("photos", suffix)):
            path = tmp_path / "train" / folder / f"{number}.{end}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (8, 8), 1).save(path)
    (tmp_path / "train/photos/.hidden.png").touch()
    pairs = labels_with_edges(root=tmp_path, classes=2, channels=1).pairs("train")
    assert [(item.name, item.target.name) for item in pairs.items] == [("10", "10.png"), ("2", "2.jpg")]
    assert pairs[0].target.shape == (1, 8, 8)


@pytest.mark.parametrize(
    ("params", "parameter", "cause"),
    [
        ({"labels": "gtFine/{name}.png"}, "labels", "needs one {split} and one {name}"),
        ({"target": "photos/{split}/{name}.png"}, "target", "lacks photos/train/town/town_0.png"),
        (dict.fromkeys(CITYSCAPES, "x/{split}/{name}.png"), "root", "holds no files like labels: x/"),
    ],
)
def test_files_that_can_not_be_found(dataset, params, parameter, cause):
    with pytest.raises(ComponentError, match=cause) as caught:
        dataset(**params)
    assert caught.value.parameter == parameter


def test_a_folder_that_is_not_there():
    with pytest.raises(ComponentError, match="there is no folder nowhere") as caught:
        labels_with_edges(root=Path("nowhere"))
    assert caught.value.parameter == "root"


def test_a_file_that_is_missing_is_named(dataset, streets):
    (streets / "gtFine/val/town/town_1_gtFine_instanceIds.png").unlink()
    with pytest.raises(ComponentError, match=r"lacks gtFine/val/town/town_1_gtFine_instanceIds.png$") as caught:
        dataset()
    assert caught.value.parameter == "instances"


@pytest.mark.parametrize(
    ("file", "image", "cause"),
    [
        ("gtFine/train/town/town_0_gtFine_labelIds.png", Image.new("L", (128, 64), 9), "class index 9, where 4 cl"),
        ("gtFine/train/town/town_0_gtFine_labelIds.png", Image.new("RGB", (128, 64)), "3 channels, where one"),
        ("gtFine/train/town/town_0_gtFine_instanceIds.png", Image.new("L", (64, 64)), "is of another size than"),
    ],
)
def test_a_file_that_does_not_fit_is_named(dataset, streets, file, image, cause):
    image.save(streets / file)
    with pytest.raises(DataError, match=cause) as caught:
        dataset().pairs("train")[0]
    assert caught.value.problems[0].path == str(streets / file)


def test_a_damaged_photo_is_named(dataset, streets):
    path = streets / "leftImg8bit/train/town/town_0_leftImg8bit.png"
    path.write_bytes(b"no image")
    with pytest.raises(DataError, match="not an image"):
        dataset(size=64).pairs("train")[0]
    with pytest.raises(ComponentError, match="size of the first photo") as caught:
        dataset()
    assert caught.value.parameter == "size"


def test_a_split_that_is_not_there(dataset):
    with pytest.raises(DataError, match="no split 'test'"):
        dataset().pairs("test")
