"""Images as they are stored, as networks see them, and as pictures for people."""

import numpy as np
import pytest
import torch
from PIL import Image

from p2pkit import ImageSpec
from p2pkit.images.convert import conform, resize, stored_type, to_network, to_picture, to_stored

GREY, RGB, RGBA = ImageSpec(1), ImageSpec(3), ImageSpec(4)
DEEP = ImageSpec(1, high=65535.0)
UNIT = ImageSpec(1, high=1.0)


def random_image(channels=3, height=6, width=5, dtype=np.uint8, seed=0):
    top = min(2**31, np.iinfo(dtype).max + 1)
    return np.random.default_rng(seed).integers(0, top, (height, width, channels)).astype(dtype)


def chw(array):
    return torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))


def pixel(*values, dtype=torch.uint8):
    return torch.tensor(values, dtype=dtype).view(-1, 1, 1)


@pytest.mark.parametrize(
    ("image", "spec", "expected"),
    [
        (pixel(7), RGB, [7, 7, 7]),
        (pixel(7), RGBA, [7, 7, 7, 255]),
        (pixel(1, 2, 3), RGBA, [1, 2, 3, 255]),
        (pixel(255, 0, 0), GREY, [76]),
        (pixel(0, 255, 0), GREY, [150]),
        (pixel(0, 0, 255), GREY, [29]),
        (pixel(255, 255, 255), GREY, [255]),
        (pixel(100, 0), GREY, [255]),
        (pixel(100, 255), RGB, [100, 100, 100]),
        (pixel(10, 20, 30, 0), RGB, [255, 255, 255]),
        (pixel(0, 0, 0, 51), RGB, [204, 204, 204]),
        (pixel(9, 128), RGBA, [9, 9, 9, 128]),
        (pixel(255), DEEP, [65535]),
        (pixel(65535, dtype=torch.uint16), GREY, [255]),
        (pixel(257 * 3, dtype=torch.uint16), RGB, [3, 3, 3]),
        (pixel(1.0, dtype=torch.float32), GREY, [255]),
        (pixel(-0.01, dtype=torch.float32), GREY, [0]),
        (pixel(51), UNIT, [pytest.approx(0.2)]),
        (pixel(255), ImageSpec(1, low=-1.0, high=1.0), [1.0]),
        (pixel(0), ImageSpec(1, low=-1.0, high=1.0), [-1.0]),
        (pixel(-7, dtype=torch.int16), ImageSpec(1, low=-1000.0, high=3000.0), [-7.0]),
        (pixel(-7, dtype=torch.int16), ImageSpec(1, low=-5.0, high=5.0, dtype="int16"), [-5]),
        (pixel(5000, dtype=torch.uint16), ImageSpec(1, high=4095.0, dtype="uint16"), [4095]),
        (pixel(70000, dtype=torch.int32), ImageSpec(1, high=4095.0, dtype="float32"), [4095.0]),
        (pixel(-1000.0, 3000.0, dtype=torch.float32), ImageSpec(1, low=-1000.0, high=3000.0), [-1000.0]),
        (pixel(1.0, 1.0, 1.0, dtype=torch.float32), ImageSpec(1, high=1.0, lightness=True), [pytest.approx(1.0)]),
    ],
)
def test_conform_gives_the_channels_and_the_scale_of_the_spec(image, spec, expected):
    stored = conform(image, spec)
    assert stored.flatten().tolist() == expected
    assert stored.dtype == stored_type(spec)


def test_alpha_of_floats_is_on_their_own_scale():
    clear = pixel(-5.0, -5.0, dtype=torch.float32)
    assert conform(clear, ImageSpec(1, low=-5.0, high=5.0)).item() == 5.0


def test_conform_leaves_what_fits_alone():
    image = torch.zeros(3, 2, 2, dtype=torch.uint8)
    assert conform(image, RGB) is image


@pytest.mark.parametrize(("channels", "spec"), [(3, ImageSpec(5)), (5, RGB), (5, GREY), (1, ImageSpec(2))])
def test_channels_without_a_rule_are_refused(channels, spec):
    with pytest.raises(OSError, match=f"has {channels} channels, where {spec.channels} are wanted"):
        conform(torch.zeros(channels, 2, 2, dtype=torch.uint8), spec)


def test_floats_on_another_scale_are_refused_by_whole_numbers():
    with pytest.raises(OSError, match="floats from 0 to 200, where 0 to 1 is wanted"):
        conform(pixel(0.0, 200.0, dtype=torch.float32)[:1].expand(1, 1, 1) + torch.tensor([0.0, 200.0]), GREY)


def test_lightness_is_cie_and_not_luma():
    red = pixel(255, 0, 0)
    lightness = conform(red, ImageSpec(1, lightness=True))
    assert lightness.item() == round(53.24 / 100 * 255)  # L* of sRGB red
    assert conform(pixel(65535, 0, 0, dtype=torch.uint16), ImageSpec(1, high=65535.0, lightness=True)).item() == (
        pytest.approx(0.5324 * 65535, rel=1e-3)
    )


PALETTE = ((0, 0, 0), (250, 0, 0), (255, 0, 0))
LABELS = ImageSpec(3, kind="labels", palette=PALETTE)


def test_colours_become_the_nearest_class():
    image = torch.stack([pixel(9, 4, 0), pixel(251, 0, 0), pixel(253, 1, 1), pixel(255, 0, 0)], 2)[..., 0]
    assert conform(image, LABELS).tolist() == [[[0, 1, 2, 2]]]
    deep = (image.int() * 257).to(torch.uint16)
    assert conform(deep, LABELS).tolist() == [[[0, 1, 2, 2]]]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32])
def test_indices_of_any_type_stay(dtype):
    stored = conform(torch.tensor([[[0, 1, 2]]], dtype=dtype), LABELS)
    assert stored.tolist() == [[[0, 1, 2]]]
    assert stored.dtype == torch.uint8


@pytest.mark.parametrize(
    ("image", "cause"),
    [
        (pixel(3), "class index 3, where 3 classes have 0 to 2"),
        (pixel(-1.0, dtype=torch.float32), "class index -1"),
        (pixel(0.5, dtype=torch.float32), "fractions"),
        (pixel(0, 0), "has 2 channels"),
    ],
)
def test_wrong_indices_are_refused(image, cause):
    with pytest.raises(OSError, match=cause):
        conform(image, LABELS)


def test_many_classes_are_stored_in_16_bits():
    spec = ImageSpec(300, kind="labels")
    assert conform(pixel(299, dtype=torch.uint16), spec).dtype == torch.uint16


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("size", [(9, 14), (40, 30)])
def test_resizing_is_pillows_bicubic(channels, size):
    array = random_image(channels, 23, 31)
    stored = resize(chw(array), *size)
    assert stored.dtype == torch.uint8
    for plane in range(channels):
        image = Image.fromarray(array[..., plane]).resize(size[::-1], Image.Resampling.BICUBIC)
        assert np.abs(stored[plane].numpy().astype(int) - np.asarray(image).astype(int)).max() <= 1


def test_resizing_keeps_16_bits_and_floats_inside_their_range():
    deep = chw(random_image(1, 16, 16, np.uint16))
    assert resize(deep, 37, 11).dtype == torch.uint16
    step = torch.zeros(1, 16, 16)
    step[..., 8:] = 1
    large = resize(step, 61, 61)
    assert large.min() == 0
    assert large.max() == 1


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
def test_labels_are_resized_to_existing_classes(dtype):
    mask = torch.zeros(1, 8, 8, dtype=dtype)
    mask[..., 4:] = 7
    large = resize(mask, 16, 16, nearest=True)
    assert large.dtype == dtype
    assert torch.equal(large.int(), mask.int().repeat_interleave(2, 1).repeat_interleave(2, 2))
    assert set(resize(mask, 5, 5, nearest=True).flatten().tolist()) == {0, 7}


@pytest.mark.parametrize(
    ("spec", "stored"),
    [
        (GREY, torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)),
        (DEEP, torch.arange(65536).to(torch.uint16).view(1, 1, 256, 256)),
        (LABELS, torch.tensor([0, 1, 2, 1], dtype=torch.uint8).view(1, 1, 2, 2)),
        (ImageSpec(300, kind="labels"), torch.tensor([0, 256, 299, 7]).to(torch.uint16).view(1, 1, 2, 2)),
    ],
)
def test_stored_to_network_and_back_is_the_identity(spec, stored):
    seen = to_network(stored, spec)
    assert seen.dtype == torch.float32
    assert (seen.min(), seen.max()) == (-1, 1)
    back = to_stored(seen, spec)
    assert back.dtype == stored.dtype
    assert torch.equal(back.int(), stored.int())


def test_floats_come_back_close():
    spec = ImageSpec(2, low=-1000.0, high=3000.0)
    stored = torch.rand(1, 2, 4, 4, generator=torch.Generator().manual_seed(0)) * 4000 - 1000
    assert torch.allclose(to_stored(to_network(stored, spec), spec), stored, atol=1e-2)


def test_networks_see_one_plane_for_each_class():
    seen = to_network(torch.tensor([[[[0, 2]]]], dtype=torch.uint8), LABELS)
    assert seen[0, :, 0].T.tolist() == [[1, -1, -1], [-1, -1, 1]]


def test_values_outside_are_clamped_when_stored():
    assert to_stored(torch.tensor([[[[-3.0, 3.0]]]]), GREY).tolist() == [[[[0, 255]]]]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_pictures_are_rgb_whatever_the_channels(channels):
    picture = to_picture(torch.full((channels, 2, 3), 1.0), ImageSpec(channels))
    assert picture.shape == (2, 3, 3)
    assert picture.dtype == np.uint8
    assert (picture == 255).all()


def test_pictures_of_many_planes_show_the_strongest():
    planes = torch.full((6, 1, 3), -1.0)
    planes[0, 0, 0] = planes[2, 0, 1] = planes[5, 0, 2] = 1.0
    assert len({tuple(colour) for colour in to_picture(planes, ImageSpec(6))[0]}) == 3


def test_pictures_of_labels_are_in_the_palettes_colours():
    seen = to_network(torch.tensor([[[[0, 1, 2]]]], dtype=torch.uint8), LABELS)[0]
    assert [tuple(colour) for colour in to_picture(seen, LABELS)[0]] == list(PALETTE)
    plain = ImageSpec(40, kind="labels")
    seen = to_network(torch.arange(40).view(1, 1, 1, 40), plain)[0]
    assert len({tuple(colour) for colour in to_picture(seen, plain)[0]}) == 40


def test_volumes_are_resized_by_one_filter_along_all_sides():
    volume = torch.rand(1, 6, 8, 10, generator=torch.Generator().manual_seed(0))
    slices = torch.stack([resize(each, 4, 5) for each in volume.movedim(1, 0)], 1)
    torch.testing.assert_close(resize(volume, 4, 5, depth=6), slices)
    upright = torch.stack([resize(each, 3, 10) for each in volume.movedim(2, 0)], 2)
    torch.testing.assert_close(resize(volume, 8, 10, depth=3), upright, atol=1e-2, rtol=0)  # each is cut off by itself
    nearest = resize(torch.arange(4).view(1, 4, 1, 1).to(torch.uint8), 1, 1, depth=8, nearest=True)
    assert nearest.flatten().tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_volumes_as_networks_see_them_and_as_pictures():
    grey = ImageSpec(1, low=-10, high=10)
    stored = torch.linspace(-10, 10, 5).view(1, 1, 5, 1, 1).expand(1, 1, 5, 2, 3)
    seen = to_network(stored, grey)
    torch.testing.assert_close(to_stored(seen, grey), stored)
    assert to_picture(seen[0], grey).shape == (2, 3, 3)
    assert (to_picture(seen[0], grey) == 128).all(), "the middle slice"
    labels = torch.randint(3, (1, 1, 4, 2, 2), generator=torch.Generator().manual_seed(0))
    planes = to_network(labels, ImageSpec(3, kind="labels"))
    assert planes.shape == (1, 3, 4, 2, 2)
    assert torch.equal(to_stored(planes, ImageSpec(3, kind="labels")), labels.to(torch.uint8))
    colour = conform(torch.zeros(1, 4, 2, 2, dtype=torch.uint8), ImageSpec(3))
    assert colour.shape == (3, 4, 2, 2)
    assert conform(colour, ImageSpec(1)).shape == (1, 4, 2, 2)
