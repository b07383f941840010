"""What files are taken for: painted maps, and photos that are none."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from p2pkit import ImageSpec, PairSpec, Reading, Slices, cut_slices, painted_colours, stretch
from p2pkit.images.files import read_image
from p2pkit.images.reading import read_source

COLOURS = np.array([(0, 0, 170), (0, 85, 255), (170, 255, 85), (255, 85, 0), (0, 255, 255)], np.uint8)


def painted(seed, quality=90):
    """A map of flat parts as a JPEG, as those of facades are."""
    coarse = np.random.default_rng(seed).integers(0, len(COLOURS), (6, 6))
    picture, file = Image.fromarray(COLOURS[coarse.repeat(16, 0).repeat(16, 1)]), io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    file.seek(0)
    return read_image(file)


def photo(seed):
    smooth = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) * 255
    return torch.nn.functional.interpolate(smooth, (96, 96), mode="bicubic").clamp(0, 255)[0].to(torch.uint8)


def test_colours_are_those_that_maps_are_painted_in():
    found = painted_colours([painted(seed) for seed in range(4)])
    assert 5 <= len(found) <= 32
    for colour in COLOURS.astype(int):
        assert min(max(abs(a - b) for a, b in zip(colour, other, strict=True)) for other in found) <= 16


@pytest.mark.parametrize(
    "images", [[photo(0), photo(1)], [painted(0), photo(1)], [painted(0)[:1]], [painted(0)[:, :9, :9]]]
)
def test_photos_grey_images_and_small_ones_have_none(images):
    assert painted_colours(images) == ()


def test_a_grey_image_in_colour_is_not_painted():
    grey = torch.tensor([0, 128, 255], dtype=torch.uint8).repeat_interleave(3072).view(1, 96, 96)
    assert painted_colours([grey.expand(3, -1, -1)]) == ()


def test_a_photo_is_refused_where_sources_are_painted():
    images = PairSpec(ImageSpec(3), ImageSpec(3), 96, 96, Reading(painted=painted_colours([painted(0), painted(1)])))
    with pytest.raises(OSError, match=r"looks like a photo, where sources are painted in .* \(--given source"):
        read_source(photo(2), images)
    assert read_source(photo(2), images, given="source").shape == (3, 96, 96)
    assert read_source(painted(7, quality=75), images).shape == (3, 96, 96)
    assert read_source(painted(7).to(torch.uint16) * 257, images).shape == (3, 96, 96)


def test_slices_have_their_neighbours_as_channels():
    volume = torch.arange(4).view(1, 4, 1, 1) * torch.ones(1, 4, 2, 3)
    cut = cut_slices(volume, Slices(0, 1))
    assert cut.shape == (4, 3, 2, 3)
    assert cut[:, :, 0, 0].tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 3]]
    assert torch.equal(cut_slices(volume, Slices(0, 1), [2])[0], cut[2])
    assert cut_slices(volume, Slices(2)).shape == (3, 1, 4, 2)


def test_values_between_percentiles_become_0_to_1():
    image = torch.arange(101).view(1, 1, 101).to(torch.int16)
    assert stretch(image, (10, 90))[0, 0, [0, 10, 50, 90, 100]].tolist() == [0, 0, 0.5, 1, 1]
    assert not stretch(torch.full((1, 2, 2), 7.0), (1, 99)).any()


def test_volumes_for_networks_of_slices_and_slices_for_those_of_volumes():
    unit = ImageSpec(1, low=0, high=1, dtype="float32")
    reading = Reading(slices=Slices(0, 1), percentiles=(0, 100))
    images = PairSpec(replace(unit, channels=3), unit, 8, 8, reading)
    source = read_source(torch.arange(60).view(1, 3, 4, 5), images)
    assert (source.shape, source.min(), source.max()) == ((1, 3, 4, 5), -1, 1)
    with pytest.raises(OSError, match="give the volume"):
        read_source(torch.zeros(1, 4, 5), images)
    assert read_source(torch.zeros(1, 4, 5), PairSpec(unit, unit, 8, 8, depth=8)).shape == (1, 1, 4, 5)
    with pytest.raises(OSError, match="own size"):
        read_source(torch.zeros(1, 3, 4, 5), images, size=(8, 8))
