"""Files as cameras, microscopes and GIS write them; and files that are damaged, too large, or no files."""

import os
import struct
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from p2pkit import read_image
from p2pkit.images.limits import MAX_PIXELS

DICE = np.random.default_rng(0)


def noise(*shape, dtype=np.uint16):
    return DICE.integers(0, np.iinfo(dtype).max, shape).astype(dtype)


def values(path):
    return read_image(path).permute(1, 2, 0).numpy()


@pytest.mark.parametrize("bands", [1, 2, 4, 5, 8, 13])
@pytest.mark.parametrize("layout", ["contig", "separate"])
def test_all_bands_of_a_tiff_are_channels(tmp_path, bands, layout):
    array = noise(6, 7, bands)
    written = array if layout == "contig" else array.transpose(2, 0, 1)
    config = {"planarconfig": layout} if bands > 1 else {}
    tifffile.imwrite(tmp_path / "a.tif", written.squeeze(), photometric="minisblack", bigtiff=bands == 5, **config)
    np.testing.assert_array_equal(values(tmp_path / "a.tif"), array)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "zstd", "jpeg2000"])
def test_compressed_tiffs_keep_their_depth(tmp_path, compression):
    array = noise(16, 16, 3)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb", compression=compression, tile=(16, 16))
    np.testing.assert_array_equal(values(tmp_path / "a.tif"), array)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_where_zero_is_white_it_is_read_as_white(tmp_path, dtype):
    array = noise(6, 7, dtype=dtype)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="miniswhite")
    np.testing.assert_array_equal(values(tmp_path / "a.tif")[..., 0], np.iinfo(dtype).max - array)


@pytest.mark.parametrize(
    ("channels", "how"),
    [
        (4, {"photometric": "separated"}),
        (3, {"photometric": "cielab"}),
        (3, {"photometric": "rgb", "bitspersample": 12}),
    ],
)
def test_what_pillow_would_narrow_is_refused(tmp_path, channels, how):
    tifffile.imwrite(tmp_path / "a.tif", noise(6, 7, channels) >> 4, **how)
    with pytest.raises(OSError, match=f"is a TIFF of {how['photometric'].upper()} in 1[26] bits"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 9\n", "git lfs pull"),
        (b"\r\n<!DOCTYPE html><title>404</title>", "a web page"),
        (b"\xef\xbb\xbf<?xml version='1.0'?><svg/>", "save it as PNG"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "is HEIC"),
        (b"II*\0\x10\0\0\0CR\x02\0" + bytes(500), "not an image"),
    ],
)
def test_what_stands_in_an_images_place_is_named(tmp_path, content, cause):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(OSError, match=cause):
        read_image(tmp_path / "a.jpg")


def test_pages_are_channels_and_smaller_copies_are_not(tmp_path):
    array = noise(5, 32, 32)
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(array, photometric="minisblack", subifds=1)
        writer.write(array[:, ::2, ::2], photometric="minisblack", subfiletype=1)
    np.testing.assert_array_equal(values(tmp_path / "a.tif").transpose(2, 0, 1), array)


def test_pages_of_different_sizes_are_refused(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(noise(8, 8), photometric="minisblack")
        writer.write(noise(4, 4), photometric="minisblack")
    with pytest.raises(OSError, match="2 images of different sizes"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_png_and_jpeg_2000_of_16_bits_in_colour(tmp_path, channels):
    array = noise(6, 7, channels)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(array))
    np.testing.assert_array_equal(values(tmp_path / "a.png"), array)
    if channels != 2:
        (tmp_path / "a.jp2").write_bytes(imagecodecs.jpeg2k_encode(array, level=0))
        np.testing.assert_array_equal(values(tmp_path / "a.jp2"), array)


@pytest.mark.parametrize(("kind", "channels"), [(b"P5", 1), (b"P6", 3)])
def test_netpbm_of_12_and_16_bits_is_read_as_stored(tmp_path, kind, channels):
    array = noise(6, 7, channels) % 4096
    (tmp_path / "a.ppm").write_bytes(kind + b"\n# by a camera\n7 6\n4095\n" + array.astype(">u2").tobytes())
    np.testing.assert_array_equal(values(tmp_path / "a.ppm"), array)


def test_values_that_are_not_finite_are_counted(tmp_path):
    array = np.zeros((4, 4), np.float32)
    array[0, :2] = np.nan, np.inf
    np.save(tmp_path / "a.npy", array)
    tifffile.imwrite(tmp_path / "a.tif", array)
    for name in ("a.npy", "a.tif"):
        with pytest.raises(OSError, match="2 values that are not finite"):
            read_image(tmp_path / name)


def png_header(side):
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = b"IHDR" + head
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + body
        + struct.pack(">I", zlib.crc32(body))
        + b"\0\0\0\x08IDAT"
        + bytes(12)
    )


def large(path):
    if path.suffix == ".png":
        path.write_bytes(png_header(30000))
    elif path.suffix == ".npy":
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (9000, 9000)})
            file.truncate(file.tell() + 9000 * 9000)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, shape=(9000, 9000), dtype="uint8", compression="zlib", data=zeros())
    else:
        Image.new("L", (9000, 9000)).save(path)


def zeros():
    return (np.zeros((256, 9000), np.uint8)[: min(256, 9000 - start)] for start in range(0, 9000, 256))


@pytest.mark.parametrize("name", ["a.png", "a.npy", "a.gif"])
def test_a_limit_on_pixels_says_its_name(tmp_path, name, monkeypatch):
    monkeypatch.setenv(MAX_PIXELS, str(9000 * 8999 if name != "a.npy" else 1000))
    large(tmp_path / name)
    with pytest.raises(OSError, match=f"more.* than the .*{MAX_PIXELS}"):
        read_image(tmp_path / name)


def test_the_limit_can_be_raised(tmp_path, monkeypatch):
    Image.new("L", (40, 30)).save(tmp_path / "a.png")
    monkeypatch.setenv(MAX_PIXELS, "1199")
    with pytest.raises(OSError, match="40 x 30 pixels"):
        read_image(tmp_path / "a.png")
    monkeypatch.setenv(MAX_PIXELS, "1200")
    assert read_image(tmp_path / "a.png").shape == (1, 30, 40)


def test_an_array_whose_header_lies_is_refused_before_memory_is_taken(tmp_path):
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f8", "fortran_order": False, "shape": (10**9, 10**9)}
        )  # fmt: skip
        file.write(b"few")
    with pytest.raises(OSError, match="and there are 3"):
        read_image(tmp_path / "a.npy")


@pytest.mark.parametrize("name", ["a.npz", "a.npy"])
def test_an_archive_of_arrays_is_refused_by_name(tmp_path, name):
    with (tmp_path / name).open("wb") as file:
        np.savez(file, image=np.zeros((4, 4)))
    with pytest.raises(OSError, match="NPZ"):
        read_image(tmp_path / name)


def test_pipes_folders_and_empty_files_are_refused_and_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "empty.png").touch()
    for name, cause in (("pipe.png", "a pipe"), ("folder.png", "a folder"), ("empty.png", "is empty")):
        with pytest.raises(OSError, match=cause):
            read_image(tmp_path / name)


def test_animations_are_refused(tmp_path):
    frames = [Image.new("L", (4, 4), value) for value in (0, 99)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(OSError, match="2 frames"):
        read_image(tmp_path / "a.gif")
