"""From files to files: what fakes are, what is never overwritten, and how files become sources."""

from __future__ import annotations

import io
import os
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms
from torch import nn

from p2pkit import DataError, Edges, ImageSpec, PairSpec, Reading, Translator, read_image
from p2pkit.builtin.datasets import shapes
from p2pkit.engine.device.placement import Placement
from p2pkit.engine.device.precision import Precision
from p2pkit.images.tiff import read_georeference, write_tiff
from p2pkit.inference.companions import Input

CPU = torch.device("cpu")
RGB = ImageSpec(3)


class Negative(nn.Module):
    """The negative, of the first plane alone where other channels are wanted than there are."""

    def __init__(self, channels):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(-1.0))
        self.channels = channels

    def forward(self, source):
        fake = source * self.factor
        return fake if fake.shape[1] == self.channels else fake[:, :1].expand(-1, self.channels, -1, -1)


def translator(source=RGB, target=RGB, **reading):
    spec = PairSpec(source, target, 16, 16, Reading(**reading))
    return Translator(Negative(target.channels), spec, Placement(CPU, Precision("fp32", CPU), torch.channels_last))


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (13, 21, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("source", "target", "given", "written"),
    [
        (ImageSpec(1, high=65535.0), RGB, np.uint16, ("RGB", ".png")),
        (ImageSpec(1), ImageSpec(1, high=65535.0), np.uint8, ("I;16", ".png")),
        (ImageSpec(1), ImageSpec(1, high=4095.0, dtype="uint16"), np.uint8, ("I;16", ".png")),
    ],
)
def test_fakes_are_what_the_targets_are(tmp_path, source, target, given, written):
    array = np.linspace(0, np.iinfo(given).max, 64).astype(given).reshape(8, 8)
    Image.fromarray(array).save(tmp_path / "a.png")
    (out,) = translator(source, target).translate_files(tmp_path / "a.png", tmp_path / "out")
    image = Image.open(out)
    assert (image.mode, out.suffix) == written
    expected = (1 - array / np.iinfo(given).max) * target.high
    assert np.abs(np.asarray(image).reshape(8, 8, -1)[..., 0] - expected).max() <= 1


@pytest.mark.parametrize(
    "target",
    [
        ImageSpec(1, low=-1000.0, high=1500.0, dtype="int16"),
        ImageSpec(1, low=-1000.0, high=1500.0),
        ImageSpec(8, high=65535.0),
    ],
)
def test_fakes_that_png_cannot_hold_are_arrays_in_the_targets_units(tmp_path, picture, target):
    Image.fromarray(picture[..., 0]).save(tmp_path / "a.png")
    (out,) = translator(ImageSpec(1), target).translate_files([str(tmp_path / "a.png")], str(tmp_path / "out"))
    fake = np.load(out)
    assert fake.dtype == np.dtype(target.dtype or ("float32" if target.low else "uint16"))
    expected = target.low + (1 - picture[..., 0] / 255) * (target.high - target.low)
    assert np.abs(fake.reshape(13, 21, -1)[..., 0] - expected).max() <= 1


def test_files_are_never_overwritten(picture, tmp_path):
    source = tmp_path / "photos" / "a.png"
    other = tmp_path / "real" / "a.png"
    for path in (source, other):
        path.parent.mkdir()
        Image.fromarray(picture).save(path)
    (tmp_path / "linked").symlink_to(tmp_path / "photos")
    before = source.read_bytes()
    model = translator()
    for output in ("photos", "linked", "photos/a.png"):
        for given in (source, source.parent):
            with pytest.raises(DataError, match=r"own source|names one file"):
                model.translate_files([given], tmp_path / output)
    with pytest.raises(DataError, match="can't be told to be a fake"):
        model.translate_files([source], other.parent)
    with pytest.raises(DataError, match="own source"):
        model.translate_files([source], source.parent, overwrite=True)
    assert source.read_bytes() == other.read_bytes() == before
    assert model.translate_files([source], other.parent, skip_existing=True) == []
    model.translate_files([source], other.parent, overwrite=True)
    assert other.read_bytes() != before


def test_a_folder_that_can_only_be_read_is_told_before_anything_is_made(picture, small_disk, tmp_path):
    for folder in (tmp_path, small_disk.path):
        Image.fromarray(picture).save(folder / "a.png")
    model = translator()
    model.translate_files([tmp_path / "a.png"], small_disk.path / "fakes")
    small_disk.lock()
    for output in ("new", "b.png", "fakes"):
        with pytest.raises(DataError, match="nothing can be written to") as caught:
            model.translate_files([tmp_path / "a.png"], small_disk.path / output)
        assert len(caught.value.problems) == 1
    assert model.translate_files([tmp_path / "a.png"], small_disk.path / "fakes", skip_existing=True) == []


def test_fakes_are_written_again_and_never_translated(picture, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.png", "._a.png"):
        Image.fromarray(picture).save(folder / name)
    for _ in range(2):
        (out,) = translator().translate_files([folder], folder / "fakes")
    assert out == folder / "fakes" / "a.png"
    assert [path.name for path in (folder / "fakes").iterdir()] == ["a.png"]


def test_one_image_may_have_its_output_named(picture, tmp_path):
    Image.fromarray(picture).save(tmp_path / "a.png")
    out = tmp_path / "new" / "b.tif"
    assert translator().translate_files(tmp_path / "a.png", out) == [out]
    np.testing.assert_array_equal(np.asarray(Image.open(out)), 255 - picture)
    with pytest.raises(DataError, match="names one file"):
        translator().translate_files([tmp_path / "a.png", tmp_path / "a.png"], tmp_path / "c.png")


def test_a_fake_that_can_not_be_written_is_named_and_the_others_are_there(picture, tmp_path):
    for name in ("a/x.png", "b/y.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True)
        Image.fromarray(picture).save(tmp_path / "in" / name)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_text("in the way")
    with pytest.raises(DataError, match=r"(?s)a/x\.png: can't be written.*1 of 2 images have been translated"):
        translator().translate_files([tmp_path / "in"], tmp_path / "out")
    assert (tmp_path / "out" / "b" / "y.png").is_file()


def test_what_can_not_be_read_is_an_error_with_a_name(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no")
    os.mkfifo(tmp_path / "pipe.png")
    for name in ("nosuch.png", "bad.png", "pipe.png"):
        with pytest.raises(DataError, match=name):
            translator().translate(tmp_path / name)


def test_tensors_of_a_batch_and_files_that_are_stacked(picture, tmp_path):
    batch = torch.from_numpy(picture).permute(2, 0, 1)[None].repeat(2, 1, 1, 1)
    assert torch.equal(translator().translate(batch), 255 - batch)
    for name in "ab":
        Image.fromarray(picture[..., 0]).save(tmp_path / f"{name}.png")
    model = translator(ImageSpec(2), ImageSpec(2), stacked=(1, 1))
    fake = model.translate([tmp_path / "a.png", tmp_path / "b.png"])
    np.testing.assert_array_equal(np.asarray(fake)[..., 1], 255 - picture[..., 0])
    (tmp_path / "rows.jsonl").write_text('{"source": ["a.png", "b.png"], "name": "new"}\n')
    (out,) = model.translate_files(tmp_path / "rows.jsonl", tmp_path / "out")
    assert out == tmp_path / "out" / "new.png"


@pytest.mark.parametrize(
    ("reading", "shape", "expected"),
    [
        ({"half": "left", "aspect": 2.0}, (8, 16), (8, 8)),
        ({"half": "right", "aspect": 2.0}, (16, 32), (16, 16)),
        ({"half": "left", "aspect": 2.0}, (8, 8), (8, 8)),
        ({"half": "left", "aspect": 2.0}, (8, 14), None),
        ({"half": "left"}, (8, 8), None),
    ],
)
def test_the_half_that_is_the_source_is_translated(reading, shape, expected):
    model = translator(**reading)
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    if expected is None:
        with pytest.raises(DataError, match="can't be told whether it is a source or a pair"):
            model.translate(pixels)
        assert model.translate(pixels, given="source").shape == pixels.shape
        assert model.translate(pixels, given="file").shape[1] == pixels.shape[1] // 2
        return
    start = expected[1] if reading["half"] == "right" else 0
    np.testing.assert_array_equal(model.translate(pixels), 255 - pixels[:, start : start + expected[1]])


def test_photos_become_edges_and_drawings_stay():
    model = translator(ImageSpec(1), edges=Edges())
    photo = np.zeros((32, 32, 3), np.uint8)
    photo[:, 16:] = (250, 30, 30)
    drawn = model.translate(photo)[..., 0]
    assert set(np.unique(drawn)) == {0, 255}
    assert 0 < (drawn == 255).sum() < 200  # the negative of a dark line on white
    drawing = np.full((32, 32), 255, np.uint8)
    drawing[4] = 0
    np.testing.assert_array_equal(model.translate(drawing)[..., 0], 255 - drawing)
    with pytest.raises(DataError, match="a photo or a drawing"):
        model.translate(np.full((32, 32), 90, np.uint8))


def test_the_georeference_of_a_tiff_is_kept(tmp_path):
    tags = [(33550, 12, 3, (10.0, 10.0, 0.0), True), (33922, 12, 6, (0.0, 0.0, 0.0, 5e5, 4.6e6, 0.0), True)]
    tags += [(34735, 3, 8, (1, 1, 0, 1, 1024, 0, 1, 1), True), (42113, 2, 6, "-9999", True)]
    write_tiff(tmp_path / "a.tif", np.zeros((8, 16, 3), np.uint8), tags)
    (out,) = translator().translate_files(tmp_path / "a.tif", tmp_path / "out")
    assert [tag[3] for tag in read_georeference(out)] == [tag[3] for tag in tags]
    (out,) = translator().translate_files(tmp_path / "a.tif", tmp_path / "small", size=(4, 4))
    assert read_georeference(out)[0][3] == (40.0, 20.0, 0.0)


def test_pairs_of_a_split_become_files_of_their_own(tmp_path):
    data = shapes(size=16, count=8)
    written = translator().translate_pairs(data, "train", tmp_path / "out")
    assert len(written) == len(data.pairs("train"))
    first = data.pairs("train")[0]
    fake = np.asarray(Image.open(tmp_path / "out" / f"{first.name}.png"))
    np.testing.assert_array_equal(fake, 255 - first.source.permute(1, 2, 0).numpy())


def test_noise_depends_on_the_seed_and_on_nothing_beside(picture, tmp_path):
    for name in "abc":
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    model = replace(translator(), generator=nn.Sequential(Negative(3), nn.Dropout2d(0.5)), dropout="on")
    every = [Image.open(path) for path in model.translate_files([tmp_path], tmp_path / "out")]
    alone = model.translate(picture)
    assert all(np.array_equal(np.asarray(fake), alone) for fake in every)
    others = [replace(model, seed=seed).translate(picture) for seed in range(1, 6)]
    assert any(not np.array_equal(other, alone) for other in others)


def test_a_large_tiff_is_translated_by_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("p2pkit.inference.large.WHOLE", 1000)
    bands = np.random.default_rng(0).integers(0, 65535, (50, 61, 5)).astype(np.uint16)
    write_tiff(tmp_path / "a.tif", bands, [(33550, 12, 3, (10.0, 10.0, 0.0), True)])
    model = translator(ImageSpec(5, high=65535.0), RGB)
    told = []
    (out,) = replace(model, note=told.append).translate_files(tmp_path / "a.tif", tmp_path / "out", tile=16, overlap=4)
    with tifffile.TiffFile(out) as file:
        assert file.pages[0].is_tiled
        np.testing.assert_array_equal(file.pages[0].asarray(), model.translate(bands))
    assert read_georeference(out)
    assert len(told) == 1
    assert float(told[0].split()[6]) < 0.01


def test_noise_is_each_images_own(picture):
    class Noisy(Negative):
        def forward(self, source):
            return torch.rand_like(source) * self.factor

    model = replace(translator(), generator=Noisy(3), seed=5)
    alone, many = model.translate(picture), model.fakes([Input(torch.zeros(3, 13, 21))] * 3)
    assert all(torch.equal(fake, many[0]) for fake in many)
    np.testing.assert_array_equal(many[0].permute(1, 2, 0), alone)
    assert (replace(model, seed=6).translate(picture) != alone).any()


def test_a_drawing_for_a_model_of_files_of_both_images_keeps_its_alpha_and_its_place(tmp_path, picture):
    alpha = np.arange(13 * 21, dtype=np.uint8).reshape(13, 21, 1)
    drawn = np.concatenate([picture, alpha], 2)
    Image.fromarray(drawn).save(tmp_path / "a.png")
    Image.fromarray(np.concatenate([drawn, drawn[:, ::-1]], 1)).save(tmp_path / "pair.png")
    place = [(33550, 12, 3, (10.0, 10.0, 0.0), True)]
    write_tiff(tmp_path / "b.tif", picture, place)
    write_tiff(tmp_path / "pair.tif", np.concatenate([picture, picture], 1), place)
    model = translator(half="right", aspect=2 * 21 / 13)
    made = model.translate_files(
        [tmp_path / name for name in ("a.png", "pair.png", "b.tif", "pair.tif")], tmp_path / "out"
    )
    for file, wanted in zip(made, (alpha, alpha[:, ::-1]), strict=False):
        with Image.open(file) as fake:
            np.testing.assert_array_equal(np.asarray(fake)[..., 3:], wanted)
    assert [[code for code, *_ in read_georeference(file)] for file in made[2:]] == [[33550], []]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_transparent_colour_becomes_alpha(tmp_path, picture, channels):
    array = picture[..., :channels].squeeze()
    clear = tuple(int(value) for value in picture[2, 3, :channels])
    wanted = np.where((picture[..., :channels] == clear).all(2), 0, 255)
    Image.fromarray(array).save(tmp_path / "a.png", transparency=clear if channels == 3 else clear[0])
    spec = ImageSpec(channels)
    (out,) = translator(spec, spec).translate_files(tmp_path / "a.png", tmp_path / "out")
    np.testing.assert_array_equal(np.asarray(Image.open(out))[..., -1], wanted)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", indexed=True)[0], picture[..., 0])


def test_profile_exif_and_alpha_are_kept(tmp_path, picture):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "A camera"
    Image.fromarray(picture).save(tmp_path / "a.jpg", icc_profile=profile, exif=exif)
    alpha = np.arange(13 * 21, dtype=np.uint8).reshape(13, 21, 1)
    Image.fromarray(np.concatenate([picture, alpha], 2)).save(tmp_path / "b.png")
    Image.fromarray(np.concatenate([picture, alpha * 0 + 255], 2)).save(tmp_path / "c.png")
    sources = [tmp_path / name for name in ("a.jpg", "b.png", "c.png")]
    made = translator().translate_files(sources, tmp_path / "out")
    turned, cut, opaque = (Image.open(io.BytesIO(out.read_bytes())) for out in made)
    assert turned.info["icc_profile"] == profile
    assert (turned.size, dict(turned.getexif())) == ((13, 21), {0x010F: "A camera"})
    assert cut.mode == "RGBA"
    np.testing.assert_array_equal(np.asarray(cut)[..., 3:], alpha)
    assert opaque.mode == "RGB"
    grey = translator(target=ImageSpec(1)).translate_files(tmp_path / "a.jpg", tmp_path / "grey")[0]
    with Image.open(grey) as image:
        assert "icc_profile" not in image.info, "of colours that it has not"
