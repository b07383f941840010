"""What stands beside a source when it is translated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from p2pkit import DataError, ImageSpec, Pair, PairSpec, PortableGenerator
from p2pkit.inference.companions import Companions


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (13, 21, 3), dtype=np.uint8)


def test_it_takes_what_it_is_given_by_name(translator, picture):
    depth = 255 - picture[..., :1]
    summer, winter = (translator.translate(picture, season=name, depth=depth) for name in ("summer", "winter"))
    assert summer.shape == picture.shape
    assert np.corrcoef(summer[..., 1].ravel(), picture[..., 1].ravel())[0, 1] > 0.99
    assert np.corrcoef(winter[..., 1].ravel(), depth.ravel())[0, 1] > 0.99
    fixed = translator.translate(picture, season=1, depth=depth, z=[0, 0, 0])
    assert abs(fixed.astype(int) - (picture.astype(int) * 0.5 + 63.75)).max() <= 1
    both = translator.translate(np.stack([picture, picture]), season="summer", depth=depth)
    np.testing.assert_array_equal(both[1], summer)


def test_noise_is_that_of_the_seed_whatever_stands_beside_it(translator, picture, tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(3):
        Image.fromarray(np.roll(picture, number, 0)).save(tmp_path / "in" / f"{number}.png")
    depth = tmp_path / "in" / "0.png"
    options = {"extras": {"season": "summer", "depth": depth}, "samples": 2}
    written = translator.translate_files(tmp_path / "in", tmp_path / "out", **options)
    assert [path.name for path in written] == ["0-1.png", "0-2.png", "1-1.png", "1-2.png", "2-1.png", "2-2.png"]
    first, second = (np.asarray(Image.open(path)) for path in written[2:4])
    assert (first != second).any()
    Image.fromarray(picture).save(tmp_path / "in" / "same.png")
    varied = translator.translate_files(tmp_path / "in", tmp_path / "varied", vary=True, extras=options["extras"])
    zero, _, _, same = (np.asarray(Image.open(path)) for path in varied)
    assert (zero != same).any()
    (again,) = translator.translate_files(
        tmp_path / "in" / "0.png", tmp_path / "again", vary=True, extras=options["extras"]
    )
    np.testing.assert_array_equal(np.asarray(Image.open(again)), zero)
    alone = np.asarray(translator.translate(tmp_path / "in" / "1.png", season="summer", depth=depth))
    np.testing.assert_array_equal(first, alone)


def test_a_table_says_it_for_each_source(translator, picture, tmp_path):
    Image.fromarray(picture).save(tmp_path / "a.png")
    Image.fromarray(255 - picture[..., 0]).save(tmp_path / "d.png")
    rows = "source,name,season,depth\na.png,one,winter,d.png\na.png,two,,d.png\n"
    (tmp_path / "sweep.csv").write_text(rows)
    one, two = translator.translate_files(tmp_path / "sweep.csv", tmp_path / "out", extras={"season": "summer"})
    assert (np.asarray(Image.open(one)) != np.asarray(Image.open(two))).mean() > 0.5


def test_tiles_are_of_all_images_alike(translator, picture):
    large = np.tile(picture, (4, 4, 1))
    given = {"season": "winter", "depth": large[..., :1]}
    whole, tiled = (translator.translate(large, tile=tile, **given) for tile in (0, 32))
    assert abs(whole.astype(int) - tiled).max() <= 1


@pytest.mark.parametrize(
    ("given", "causes"),
    [
        ({}, ["depth: is needed beside the source: an image of 1 channels", "season: is needed"]),
        ({"season": "autumn", "depth": "x.png"}, ["season: 'autumn' is no class: one of winter, summer"]),
        ({"season": 0, "depth": "x.png", "hue": 1}, ["hue: this generator takes no such thing"]),
    ],
)
def test_what_is_missing_or_wrong_is_said_before_the_work(translator, picture, tmp_path, given, causes):
    Image.fromarray(picture).save(tmp_path / "a.png")
    for act in (
        lambda: translator.translate(picture, **given),
        lambda: translator.translate_files(tmp_path / "a.png", tmp_path / "out", extras=given),
    ):
        with pytest.raises(DataError) as caught:
            act()
        assert all(cause in str(caught.value) for cause in causes)
    assert not (tmp_path / "out").exists()


def test_pairs_hold_it(translator, picture, tmp_path):
    image = torch.from_numpy(picture).permute(2, 0, 1)
    extras = {"season": torch.tensor(1), "depth": image[:1], "age": torch.tensor([1.0])}

    class Data:
        spec = translator.images
        splits = ("val",)

        def pairs(self, split):
            return [Pair(image, image, "first", extras)]

    (written,) = translator.translate_pairs(Data(), "val", tmp_path)
    expected = translator.translate(picture, season=1, depth=picture[..., :1], age=1.0)
    np.testing.assert_array_equal(np.asarray(Image.open(written)), expected)
    Data.spec = PairSpec(ImageSpec(3), ImageSpec(3), 16, 16)
    with pytest.raises(DataError, match="depth: is needed beside the source, and the pairs lack it"):
        translator.translate_pairs(Data(), "val", tmp_path)


def test_an_image_is_needed_although_it_has_a_default(translator, picture):
    class Masked(nn.Module):
        def forward(self, source, depth=None, age=None):
            return source

    masked = replace(translator, generator=Masked())
    assert masked.companions.needed == {"depth"}
    with pytest.raises(DataError, match="depth: is needed beside the source"):
        masked.translate(picture)
    np.testing.assert_array_equal(masked.translate(picture, depth=picture[..., :1]), picture)


def test_it_says_what_it_takes(translator):
    assert translator.companions.described()["season"] == "one of winter, summer"
    assert translator.noisy()
    assert translator.companions.needed == {"season", "depth"}
    assert Companions.of(nn.Identity(), translator.images).specs == {}
    assert list(PortableGenerator(translator).inputs) == ["source", "age", "depth", "season", "z"]
