"""What files are taken for: painted maps, and photos that are none."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from p2pkit import ImageSpec, PairSpec, Reading, painted_colours
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
