from __future__ import annotations

import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from p2pkit import DataError, ImageFile, ImageSpec, PairSpec, Reading, Slices, Translator
from p2pkit.engine.device.placement import Placement
from p2pkit.engine.device.precision import Precision
from p2pkit.inference.large import _stored_rows

CPU = torch.device("cpu")


class Negative(nn.Module):
    """Turns an image into its negative; wants sides of whole eights, and remembers what it was given."""

    multiple = 8

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(-1.0))
        self.seen = []

    def forward(self, source):
        self.seen.append(tuple(source.shape))
        return source * self.factor


def translator(**images):
    spec = PairSpec(images.get("source", ImageSpec(3)), images.get("target", ImageSpec(3)), 16, 16)
    return Translator(Negative(), spec, Placement(CPU, Precision("fp32", CPU), torch.channels_last))


@pytest.fixture
def picture():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (13, 21, 3), dtype=np.uint8)


def test_array_of_any_size_is_padded_and_cropped_back(picture):
    model = translator()
    fake = model.translate(picture)
    assert fake.dtype == np.uint8
    np.testing.assert_array_equal(fake, 255 - picture)
    assert model.generator.seen == [(1, 3, 16, 24)]


def test_form_follows_what_was_given(picture, tmp_path):
    model = translator()
    Image.fromarray(picture).save(tmp_path / "a.png")
    tensor = torch.from_numpy(picture).permute(2, 0, 1)
    assert isinstance(model.translate(Image.fromarray(picture)), Image.Image)
    assert isinstance(model.translate(tmp_path / "a.png"), Image.Image)
    assert torch.equal(model.translate(tensor), 255 - tensor)
    np.testing.assert_array_equal(model.translate(np.stack([picture, picture]))[1], 255 - picture)


def test_smaller_than_the_multiple(picture):
    tiny = picture[:2, :3]
    np.testing.assert_array_equal(translator().translate(tiny), 255 - tiny)


def test_grey_and_alpha_sources_become_what_the_generator_wants(picture):
    model = translator()
    grey = Image.fromarray(picture).convert("L")
    np.testing.assert_array_equal(
        np.asarray(model.translate(grey)), 255 - np.repeat(np.asarray(grey)[..., None], 3, axis=2)
    )
    assert np.asarray(model.translate(Image.fromarray(picture).convert("RGBA"))).shape == (13, 21, 3)


def test_wrong_channels_are_named():
    with pytest.raises(DataError, match="has 5 channels, where 3 are wanted"):
        translator().translate(np.zeros((8, 8, 5), np.uint8))


def test_files_and_folders(picture, tmp_path):
    folder = tmp_path / "in" / "deep"
    folder.mkdir(parents=True)
    for index in range(5):
        Image.fromarray(np.roll(picture, index, 0)).save(folder / f"{index}.png")
    Image.fromarray(picture[:8, :8]).save(tmp_path / "in" / "small.bmp")
    (tmp_path / "in" / "notes.txt").write_text("not an image")
    model = translator()
    seen = []
    written = model.translate_files([tmp_path / "in"], tmp_path / "out", batch=2, report=lambda *s: seen.append(s))
    assert [path.relative_to(tmp_path / "out").as_posix() for path in written] == [
        *(f"deep/{index}.png" for index in range(5)),
        "small.png",
    ]
    np.testing.assert_array_equal(np.asarray(Image.open(written[3])), 255 - np.roll(picture, 3, 0))
    assert [shape[0] for shape in model.generator.seen] == [2, 2, 1, 1]
    assert seen[-1] == (6, 6)


def test_sources_can_be_resized(picture, tmp_path):
    Image.fromarray(picture).save(tmp_path / "a.png")
    (out,) = translator().translate_files([tmp_path / "a.png"], tmp_path / "out", size=(16, 32))
    with Image.open(out) as image:
        assert image.size == (32, 16)


def test_damaged_files_are_named_and_the_others_translated(picture, tmp_path):
    Image.fromarray(picture).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"bad\.png: can't be read"):
        translator().translate_files([tmp_path / "bad.png", tmp_path / "good.png"], tmp_path / "out")
    assert (tmp_path / "out" / "good.png").is_file()


def test_nothing_to_translate_and_clashing_names(picture, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="there are no images in this folder"):
        translator().translate_files([tmp_path / "empty"], tmp_path / "out")
    with pytest.raises(DataError, match="no such file or folder"):
        translator().translate_files([tmp_path / "gone.png"], tmp_path / "out")
    for name in ("a.png", "a.bmp"):
        Image.fromarray(picture).save(tmp_path / name)
    with pytest.raises(DataError, match="would be written to"):
        translator().translate_files([tmp_path / "a.png", tmp_path / "a.bmp"], tmp_path / "out")


def test_each_image_its_own_batch_where_its_statistics_count(picture, tmp_path):
    for index in range(3):
        Image.fromarray(picture).save(tmp_path / f"{index}.png")
    spec = PairSpec(ImageSpec(3), ImageSpec(3), 16, 16)
    place = Placement(CPU, Precision("fp32", CPU), torch.channels_last)
    model = Translator(Negative(), spec, place, batch_norm="batch")
    model.translate_files([tmp_path / f"{index}.png" for index in range(3)], tmp_path / "out")
    assert [shape[0] for shape in model.generator.seen] == [1, 1, 1]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_network_of_images_translates_a_volume_slice_by_slice(axis, tmp_path):
    model = translator(source=ImageSpec(3), target=ImageSpec(3))
    spec = replace(model.images, source=ImageSpec(3), reading=Reading(slices=Slices(axis, 1)))
    volume = np.random.default_rng(0).integers(0, 256, (5, 13, 21, 1), dtype=np.uint8)
    fake = replace(model, images=spec).translate(ImageFile(volume, "kept"))
    assert fake.meta == "kept"
    assert fake.pixels.shape == (5, 13, 21, 3)
    np.testing.assert_array_equal(fake.pixels[..., 1:2], 255 - volume)
    before, after = np.roll(volume, 1, axis), np.roll(volume, -1, axis)
    middle = (slice(None),) * axis + (slice(1, -1),)
    np.testing.assert_array_equal(fake.pixels[..., 0:1][middle], (255 - before)[middle])
    np.testing.assert_array_equal(fake.pixels[..., 2:3][middle], (255 - after)[middle])
    assert len(model.generator.seen) == volume.shape[axis]
    np.save(tmp_path / "volume.npy", volume)
    (written,) = replace(model, images=spec).translate_files(tmp_path / "volume.npy", tmp_path / "fakes", batch=4)
    np.testing.assert_array_equal(np.load(written), fake.pixels)


def test_a_network_of_volumes():
    model = translator(source=ImageSpec(1), target=ImageSpec(1))
    model = replace(model, images=replace(model.images, depth=16))
    volume = torch.randint(0, 256, (1, 5, 13, 21), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(model.translate(volume), 255 - volume)
    assert model.generator.seen == [(1, 1, 8, 16, 24)]
    assert torch.equal(model.translate(torch.stack([volume, volume]))[1], 255 - volume)
    tiled = model.translate(volume, tile=8)
    assert torch.equal(tiled, 255 - volume)
    assert model.generator.seen[-1] == (1, 1, 8, 8, 8)


def test_a_large_fake_s_rows_are_let_go_of_before_more_are_made():
    def fakes():
        for _ in range(2):
            fake = torch.zeros(3, 70, 5)
            ref = weakref.ref(fake)
            yield fake
            del fake
            assert ref() is None

    parts = list(_stored_rows(fakes(), ImageSpec(3)))
    assert [part.shape[1] for part in parts] == [64, 6, 64, 6]
    assert all(part.dtype == torch.uint8 for part in parts)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"given": "photo"}, "given: files are never 'photo'"),
        ({"size": 64}, "size: 64 is no height and width"),
        ({"size": (0, 8)}, "is no height and width"),
        ({"tile": -1}, "--tile: -1 is no side"),
    ],
)
def test_what_can_not_be_asked_for_is_told(picture, tmp_path, options, told):
    Image.fromarray(picture).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=told):
        translator().translate_files(tmp_path / "a.png", tmp_path / "out", **options)


@pytest.mark.parametrize("image", [None, 7, {}])
def test_what_is_no_image_is_told(image):
    with pytest.raises(DataError, match=f"the image: can't be translated: is no image, but {type(image).__name__}"):
        translator().translate(image)
