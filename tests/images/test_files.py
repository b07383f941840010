"""Images on disk, as stored tensors, as networks see them, and as pictures."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image, ImageOps

from p2pkit import ImageFile, ImageSpec
from p2pkit.images.files import image_tensor, read_image, write_image

GREY, RGB, RGBA = ImageSpec(1), ImageSpec(3), ImageSpec(4)
DEEP = ImageSpec(1, high=65535.0)
UNIT = ImageSpec(1, high=1.0)


def random_image(channels=3, height=6, width=5, dtype=np.uint8, seed=0):
    top = min(2**31, np.iinfo(dtype).max + 1)
    return np.random.default_rng(seed).integers(0, top, (height, width, channels)).astype(dtype)


def chw(array):
    return torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))


@pytest.mark.parametrize(
    ("mode", "channels", "dtype"),
    [
        ("1", 1, torch.uint8),
        ("L", 1, torch.uint8),
        ("LA", 2, torch.uint8),
        ("P", 3, torch.uint8),
        ("PA", 4, torch.uint8),
        ("RGB", 3, torch.uint8),
        ("RGBA", 4, torch.uint8),
        ("RGBa", 4, torch.uint8),
        ("RGBX", 3, torch.uint8),
        ("CMYK", 3, torch.uint8),
        ("YCbCr", 3, torch.uint8),
        ("HSV", 3, torch.uint8),
        ("I", 1, torch.int32),
        ("I;16", 1, torch.uint16),
        ("F", 1, torch.float32),
    ],
)
def test_every_mode_of_pillow_has_a_type_and_channels(mode, channels, dtype):
    stored = image_tensor(Image.new(mode, (7, 4)))
    assert stored.shape == (channels, 4, 7)
    assert stored.dtype == dtype
    assert stored.is_contiguous()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_8_bit_png_is_read_as_it_is(tmp_path, channels):
    array = random_image(channels)
    Image.fromarray(array[..., 0] if channels == 1 else array).save(tmp_path / "x.png")
    assert torch.equal(read_image(tmp_path / "x.png"), chw(array))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm", ".jp2"])
def test_16_bit_grey_keeps_its_depth(tmp_path, suffix):
    array = random_image(1, dtype=np.uint16)
    Image.fromarray(array[..., 0]).save(tmp_path / f"x{suffix}")
    stored = read_image(tmp_path / f"x{suffix}")
    assert stored.dtype == torch.uint16
    assert torch.equal(stored.int(), chw(array).int())


def test_big_endian_16_bit_is_read(tmp_path):
    values = np.array([[1, 256, 65535]], dtype=">u2")
    Image.frombytes("I;16B", (3, 1), values.tobytes()).save(tmp_path / "x.tif")
    assert read_image(tmp_path / "x.tif").tolist() == [[[1, 256, 65535]]]


def test_a_bitmap_is_black_and_white():
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 1)
    assert image_tensor(image).tolist() == [[[0, 255]]]


def test_palette_image_is_read_as_colours_or_as_indices(tmp_path):
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    for x in range(3):
        image.putpixel((x, 0), x)
    image.save(tmp_path / "x.png")
    assert read_image(tmp_path / "x.png")[:, 0].T.tolist() == [[10, 20, 30], [40, 50, 60], [70, 80, 90]]
    assert read_image(tmp_path / "x.png", indexed=True).tolist() == [[[0, 1, 2]]]
    assert image_tensor(tmp_path / "x.png", indexed=True).shape == (1, 1, 3)


@pytest.mark.parametrize("turned", range(1, 9))
@pytest.mark.parametrize(("mode", "clear"), [("L", 14), ("RGB", (14, 13, 12))])
def test_a_transparent_colour_is_alpha_of_an_upright_image(tmp_path, mode, clear, turned):
    image = Image.frombytes(mode, (3, 2), bytes(reversed(range(18)))[: 6 * len(mode)])
    exif = image.getexif()
    exif[ExifTags.Base.Orientation] = turned
    image.save(tmp_path / "x.png", transparency=clear, exif=exif)
    with Image.open(tmp_path / "x.png") as saved:
        wanted = np.asarray(ImageOps.exif_transpose(saved).convert("LA" if mode == "L" else "RGBA"))
    assert np.array_equal(read_image(tmp_path / "x.png").permute(1, 2, 0).numpy(), wanted)


def test_transparent_palette_keeps_its_alpha(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "x.png", transparency=1)
    assert read_image(tmp_path / "x.png")[:, 0].T.tolist() == [[10, 20, 30, 255], [40, 50, 60, 0]]


def test_a_photo_is_turned_as_its_exif_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 4)).save(tmp_path / "x.jpg", exif=exif)
    assert read_image(tmp_path / "x.jpg").shape == (3, 8, 4)


@pytest.mark.parametrize(
    ("array", "dtype"),
    [
        (np.zeros((4, 5), np.uint8), torch.uint8),
        (np.zeros((4, 5, 7), np.uint16), torch.uint16),
        (np.full((4, 5), 300, np.int64), torch.int32),
        (np.full((4, 5), 70000, np.int64), torch.int32),
        (np.full((4, 5), -1, np.int16), torch.int16),
        (np.full((4, 5), 1, np.int8), torch.int16),
        (np.zeros((4, 5), ">u2"), torch.uint16),
        (np.zeros((4, 5), np.float64), torch.float32),
        (np.zeros((4, 5), np.float16), torch.float32),
        (np.ones((4, 5), bool), torch.float32),
    ],
)
def test_arrays_of_any_type_and_channels_are_read(tmp_path, array, dtype):
    np.save(tmp_path / "x.npy", array)
    (tmp_path / "x.npy").rename(tmp_path / "x.NPY")
    stored = read_image(tmp_path / "x.NPY")
    assert stored.dtype == dtype
    assert stored.shape == (array.shape[2] if array.ndim == 3 else 1, 4, 5)
    assert torch.equal(stored, read_image(io.BytesIO((tmp_path / "x.NPY").read_bytes())))
    assert torch.equal(stored, image_tensor(array))


def test_a_tensor_becomes_a_stored_image():
    stored = torch.zeros(2, 3, 4, dtype=torch.uint16)
    assert image_tensor(stored) is stored
    assert image_tensor(torch.zeros(2, 3, 4, dtype=torch.float64)).dtype == torch.float32
    assert image_tensor(torch.zeros(2, 3, 4, dtype=torch.bfloat16)).shape == (2, 3, 4)
    assert image_tensor(torch.zeros(3, 4, dtype=torch.uint8)).shape == (1, 3, 4)


def truncated(kind):
    file = io.BytesIO()
    Image.fromarray(random_image(3, 64, 64)).save(file, kind)
    return file.getvalue()[: len(file.getvalue()) // 2]


def png_with_wrong_checksum():
    header = struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0)
    chunks = {b"IHDR": header, b"IDAT": zlib.compress(b"\0" * 52), b"IEND": b""}
    written = (struct.pack(">I", len(data)) + name + data + b"\0\0\0\0" for name, data in chunks.items())
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("text.png", b"not an image"),
        ("empty.png", b""),
        ("half.png", truncated("PNG")),
        ("half.jpg", truncated("JPEG")),
        ("half.webp", truncated("WEBP")),
        ("half.tif", truncated("TIFF")),
        ("half.bmp", truncated("BMP")),
        ("half.gif", truncated("GIF")),
        ("sum.png", png_with_wrong_checksum()),
        ("text.npy", b"not an array"),
        ("empty.npy", b""),
    ],
)
def test_a_damaged_file_is_an_os_error_without_its_own_path(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(OSError, match=r"\w") as caught:
        read_image(tmp_path / name)
    assert str(tmp_path) not in str(caught.value)
    assert "BytesIO" not in str(caught.value)


@pytest.mark.parametrize(
    ("array", "cause"),
    [
        (np.zeros(3), "two or three dimensions and a volume four, not 1"),
        (np.zeros((2, 2, 2, 2, 2)), "two or three dimensions and a volume four, not 5"),
        (np.zeros((0, 4)), "empty: 0 x 4"),
        (np.array([["a"]]), "holds numbers"),
        (np.zeros((2, 2), complex), "holds numbers"),
        (np.array([[0.5, np.nan]]), "not finite"),
        (np.array([[0.5, np.inf]]), "not finite"),
    ],
)
def test_what_is_no_image_is_refused(tmp_path, array, cause):
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(OSError, match=cause):
        read_image(tmp_path / "x.npy")


def test_pickled_arrays_are_not_opened(tmp_path):
    np.save(tmp_path / "x.npy", np.array([[{}]], dtype=object), allow_pickle=True)
    with pytest.raises(OSError, match="not an image array"):
        read_image(tmp_path / "x.npy")


@pytest.mark.parametrize(
    ("channels", "dtype", "suffix"),
    [
        (1, np.uint8, ".png"),
        (3, np.uint8, ".png"),
        (2, np.uint8, ".png"),
        (4, np.uint8, ".png"),
        (4, np.uint8, ".tif"),
        (3, np.uint8, ".bmp"),
        (1, np.uint16, ".png"),
        (1, np.uint16, ".tiff"),
        (3, np.uint16, ".png"),
        (4, np.uint16, ".png"),
        (3, np.uint16, ".tif"),
        (8, np.uint16, ".tif"),
        (2, np.int16, ".tif"),
        (1, np.int32, ".npy"),
        (5, np.uint8, ".npy"),
    ],
)
def test_images_that_fit_their_format_come_back_equal(tmp_path, channels, dtype, suffix):
    stored = chw(random_image(channels, dtype=dtype))
    path = tmp_path / f"x{suffix}"
    assert write_image(stored, path) == path
    back = read_image(path)
    assert back.dtype == stored.dtype
    assert torch.equal(back.int(), stored.int())


@pytest.mark.parametrize(
    ("channels", "dtype", "suffix"),
    [
        (5, np.uint8, ".png"),
        (2, np.uint8, ".jpg"),
        (4, np.uint8, ".jpg"),
        (4, np.uint8, ".bmp"),
        (1, np.uint16, ".jpg"),
        (1, np.uint16, ".webp"),
        (1, np.uint16, ".gif"),
    ],
)
def test_what_a_format_would_narrow_becomes_an_array(tmp_path, channels, dtype, suffix):
    stored = chw(random_image(channels, dtype=dtype))
    written = write_image(stored, tmp_path / f"x{suffix}")
    assert written == tmp_path / "x.npy"
    assert not (tmp_path / f"x{suffix}").exists()
    assert torch.equal(read_image(written).int(), stored.int())


@pytest.mark.parametrize(("channels", "suffix", "kept"), [(1, ".tif", True), (1, ".png", False), (3, ".tif", True)])
def test_floats_keep_their_values(tmp_path, channels, suffix, kept):
    stored = torch.randn(channels, 4, 5, generator=torch.Generator().manual_seed(0))
    written = write_image(stored, tmp_path / f"x{suffix}")
    assert written.suffix == (suffix if kept else ".npy")
    assert torch.equal(read_image(written), stored)


def test_an_unknown_suffix_is_told(tmp_path):
    with pytest.raises(ValueError, match="unknown file extension"):
        write_image(torch.zeros(3, 2, 2, dtype=torch.uint8), tmp_path / "x.what")


def test_volumes_are_arrays_of_four_dimensions(tmp_path):
    volume = torch.arange(24, dtype=torch.float32).view(1, 2, 3, 4)
    written = write_image(volume, tmp_path / "volume.png")
    assert written.suffix == ".npy", "PNG holds images alone"
    assert np.load(written).shape == (2, 3, 4, 1)
    assert torch.equal(read_image(written), volume)
    assert torch.equal(image_tensor(ImageFile(np.load(written))), volume)
