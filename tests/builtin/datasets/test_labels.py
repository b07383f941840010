"""Label maps and photos."""

import numpy as np
import pytest
import torch
from PIL import Image

from p2pkit import ComponentError, DataError, to_network
from p2pkit.builtin.datasets import labels

PALETTE = [(0, 0, 222), (0, 128, 255), (255, 240, 1)]


def mask(size=16, classes=3):
    return (np.arange(size) * classes // size).astype(np.uint8)[None].repeat(size, 0)


def test_indices_become_planes(tmp_path, save):
    save("source/train/a.png", mask())
    save("target/train/a.jpg")
    dataset = labels(root=tmp_path, classes=3)
    pair = dataset.pairs("train")[0]
    assert (dataset.spec.source.kind, dataset.spec.source.channels, dataset.spec.target.channels) == ("labels", 3, 3)
    assert torch.equal(pair.source[0], torch.from_numpy(mask()))
    seen = to_network(pair.source[None], dataset.spec.source)
    assert seen.shape == (1, 3, 16, 16)
    assert torch.equal(seen.argmax(1)[0], torch.from_numpy(mask()).long())


def test_palette_files_are_read_as_indices(tmp_path, save):
    image = Image.new("P", (16, 16))
    image.putdata(mask().flatten().tolist())
    image.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0])
    (tmp_path / "source").mkdir()
    image.save(tmp_path / "source/a.png")
    save("target/a.png")
    pair = labels(root=tmp_path, classes=3, held_out=0).pairs("train")[0]
    assert torch.equal(pair.source[0], torch.from_numpy(mask()))


def test_smeared_colours_are_decoded_to_the_nearest(tmp_path, save):
    colours = np.array(PALETTE, np.uint8)[mask(32)]
    photo = np.full((32, 32, 3), 90, np.uint8)
    path = tmp_path / "train" / "a.jpg"
    path.parent.mkdir()
    Image.fromarray(np.hstack([photo, colours])).save(path, quality=70)
    dataset = labels(root=tmp_path, palette=PALETTE, layout="side_by_side", direction="b_to_a")
    pair = dataset.pairs("train")[0]
    assert dataset.spec.source.palette == tuple(PALETTE)
    assert dataset.notes == ()
    assert (pair.source[0] == torch.from_numpy(mask(32))).float().mean() > 0.95
    assert (pair.target[:, :, :16].float() - 90).abs().max() < 3


def test_a_colour_that_is_none_of_the_palettes_is_told(tmp_path, save):
    colours = np.array(PALETTE, np.uint8)[mask(32)]
    colours[:4] = (224, 224, 192)  # the border of Pascal VOC
    save("source/a.png", colours)
    save("target/a.png", size=(32, 32))
    (note,) = labels(root=tmp_path, palette=PALETTE, held_out=0).notes
    assert note.startswith("12.5% of the masks' pixels are 224, 224, 192, which the palette has not")


def test_a_negative_index_is_found_with_what_to_do(tmp_path, save):
    save("source/a.npy", mask().astype(np.int16) - 1)
    save("target/a.png")
    with pytest.raises(ComponentError, match="masks hold -1") as caught:
        labels(root=tmp_path, classes=3, held_out=0)
    assert "save -1 as 255, and write unlabelled: [255]" in caught.value.remedy


def test_the_target_can_be_the_mask(tmp_path, save):
    save("photo/a.png", channels=1)
    save("mask/a.png", mask())
    dataset = labels(root=tmp_path, classes=4, labels="target", source="photo", target="mask", channels=3, held_out=0)
    pair = dataset.pairs("train")[0]
    assert (dataset.spec.source.channels, dataset.spec.target.kind, dataset.spec.target.channels) == (3, "labels", 4)
    assert pair.source.shape == (3, 16, 16)
    assert torch.equal(pair.target[0], torch.from_numpy(mask()))


def test_masks_are_resized_without_new_classes(tmp_path, save):
    save("source/train/a.png", mask(16, 2) * 2)
    save("target/train/a.png")
    dataset = labels(root=tmp_path, classes=3, size=[24, 10])
    for (height, width), resized in (((24, 10), dataset), ((41, 41), dataset.at(37, 41))):
        pair = resized.pairs("train")[0]
        assert pair.source.shape == (1, height, width)
        assert set(pair.source.unique().tolist()) == {0, 2}


def test_unlabelled_classes_are_a_part_of_the_spec(tmp_path, save):
    save("source/a.png", mask())
    save("target/a.png")
    dataset = labels(root=tmp_path, classes=3, unlabelled=(2,), held_out=0)
    assert (dataset.spec.source.unlabelled, dataset.spec.target.unlabelled) == ((2,), ())
    assert dataset.pairs("train")[0].source.max() == 2  # they stay classes


def test_an_index_that_is_no_class_is_named_before_training(tmp_path, save):
    save("source/train/a.png", mask(16, 5))
    save("target/train/a.png")
    with pytest.raises(ComponentError, match="masks hold 3, 4, where 3 classes have 0 to 2") as caught:
        labels(root=tmp_path, classes=3)
    assert "classes: 5" in caught.value.remedy


def test_an_index_that_is_no_class_in_a_mask_beyond_the_sample_is_named(tmp_path, save):
    for index in range(40):
        save(f"source/train/{index:02}.png", mask(16, 5 if index == 1 else 3))
        save(f"target/train/{index:02}.png")
    pairs = labels(root=tmp_path, classes=3).pairs("train")
    with pytest.raises(DataError, match="class index 3, where 3 classes have 0 to 2") as caught:
        pairs[1]
    assert caught.value.problems[0].path == str(tmp_path / "source/train/01.png")


@pytest.mark.parametrize("listed", [None, (255,), (255, 254)])
def test_255_is_no_class_and_minus_one_in_all_planes(tmp_path, save, listed):
    array = mask()
    array[:4] = 255
    save("source/a.png", array)
    save("target/a.png")
    dataset = labels(root=tmp_path, classes=3, unlabelled=listed, held_out=0)
    assert dataset.spec.source.channels == 3
    assert 255 in dataset.spec.source.unlabelled
    seen = to_network(dataset.pairs("train")[0].source[None], dataset.spec.source)[0]
    assert (seen[:, :4] == -1).all()
    assert (seen[:, 4:].amax(0) == 1).all()


def test_a_mask_of_black_and_white_is_not_taken_for_unlabelled(tmp_path, save):
    save("source/a.png", (mask(16, 2) * 255).astype(np.uint8))
    save("target/a.png")
    with pytest.raises(ComponentError, match="masks hold 255") as caught:
        labels(root=tmp_path, classes=2)
    assert "palette: [[0, 0, 0], [255, 255, 255]]" in caught.value.remedy


@pytest.mark.parametrize(
    ("params", "parameter", "cause"),
    [
        ({}, "classes", "number of classes is not given"),
        ({"palette": PALETTE, "classes": 4}, "palette", "4 classes, but 3 colours"),
        ({"classes": 3}, "palette", "first mask has 3 channels"),
        ({"palette": PALETTE, "channels": 7}, "channels", "has 3 channels, where 7 are wanted"),
    ],
)
def test_parameters_that_do_not_fit(tmp_path, save, params, parameter, cause):
    save("source/train/a.png")
    save("target/train/a.png")
    with pytest.raises(ComponentError, match=cause) as caught:
        labels(root=tmp_path, **params)
    assert caught.value.parameter == parameter
