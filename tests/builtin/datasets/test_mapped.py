"""A mapped shard gives what reading it gives, or nothing at all."""

from __future__ import annotations

import io
import tarfile

import numpy as np
import pytest
import torch

import p2pkit
from p2pkit.builtin.datasets.mapped import mapped_samples
from p2pkit.builtin.datasets.shapes import shapes
from p2pkit.builtin.datasets.shards import decoded, read_samples
from p2pkit.builtin.datasets.webdataset import webdataset
from p2pkit.engine.data.shard_writer import write_shards

HEADER, BLOCK = 512, 512


@pytest.fixture
def file(tmp_path):
    """Write 5 drawn pairs as arrays into one shard: 3 x 8 x 8 bytes after 128 of header, so a block each."""
    write_shards(shapes(size=8, count=5), tmp_path / "out", splits=("train",), encoding="raw")
    return tmp_path / "out" / "train-000000.tar"


def images(sample):
    return {suffix: decoded(suffix, value) for suffix, value in sample.items() if not suffix.startswith("__")}


def assert_same(file, count):
    mapped = list(mapped_samples(str(file), count))
    read = list(read_samples(str(file)))[:count]
    assert [sample["__key__"] for sample in mapped] == [sample["__key__"] for sample in read]
    for one, other in zip(map(images, mapped), map(images, read), strict=True):
        assert one.keys() == other.keys()
        assert all(one[name].dtype == other[name].dtype and torch.equal(one[name], other[name]) for name in one)


def write(file, samples, kind=tarfile.PAX_FORMAT):
    with tarfile.open(file, "w", format=kind) as tar:
        for name, value in samples:
            buffer = io.BytesIO()
            np.save(buffer, value) if isinstance(value, np.ndarray) else buffer.write(value)
            info = tarfile.TarInfo(name)
            info.size = buffer.tell()
            buffer.seek(0)
            tar.addfile(info, buffer)


@pytest.mark.parametrize("count", [1, 4, 5])
def test_the_same_as_reading(file, count):
    assert_same(file, count)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_types_and_planes(tmp_path, kind):
    dice = np.random.default_rng(0)
    samples = [
        (f"p{i}.{name}.chw.npy", dice.integers(0, 200, (planes, 5, 7)).astype(kind))
        for i in range(3)
        for name, planes in (("source", 1), ("target", 4), ("depth", 2))
    ]
    write(tmp_path / "x.tar", samples)
    assert_same(tmp_path / "x.tar", 3)


def test_nothing_is_written_to_the_file(file):
    before = file.read_bytes()
    for sample in mapped_samples(str(file), 5):
        sample["source.chw.npy"].zero_()
    assert file.read_bytes() == before


ARRAY = np.zeros((3, 5, 7), np.uint8)
UNLIKE = {
    "pictures": [("a.source.png", b"x"), ("a.target.png", b"y")],
    "sizes": [("a.source.chw.npy", ARRAY), ("b.source.chw.npy", np.zeros((3, 50, 7), np.uint8))],
    "shapes": [("a.source.chw.npy", ARRAY), ("b.source.chw.npy", np.zeros((3, 7, 5), np.uint8))],
    "types": [("a.source.chw.npy", ARRAY), ("b.source.chw.npy", ARRAY.astype(np.int8))],
    "names": [("a.source.chw.npy", ARRAY), ("b.target.chw.npy", ARRAY)],
    "one key twice": [("a.source.chw.npy", ARRAY), ("b.source.chw.npy", ARRAY), ("a.source.chw.npy", ARRAY)],
    "long names": [("n" * 120 + ".source.chw.npy", ARRAY), ("m" * 120 + ".source.chw.npy", ARRAY)],
    "no array": [("a.source.chw.npy", b"z" * 200), ("b.source.chw.npy", b"z" * 200)],
    "Fortran": [("a.source.chw.npy", np.asfortranarray(ARRAY)), ("b.source.chw.npy", np.asfortranarray(ARRAY))],
}


@pytest.mark.parametrize("samples", UNLIKE.values(), ids=UNLIKE)
def test_what_is_not_alike_is_read(tmp_path, samples):
    write(tmp_path / "x.tar", samples)
    assert mapped_samples(str(tmp_path / "x.tar"), len(samples) // (2 if "png" in samples[0][0] else 1)) is None


def test_what_is_compressed_or_missing_or_elsewhere_is_read(tmp_path, file):
    import gzip

    (tmp_path / "x.tar").write_bytes(gzip.compress(file.read_bytes()))
    assert mapped_samples(str(tmp_path / "x.tar"), 5) is None
    assert mapped_samples(str(tmp_path / "none.tar"), 5) is None
    assert mapped_samples("memory://x.tar", 5) is None
    assert mapped_samples(str(file), 500) is None


@pytest.mark.parametrize("place", [3, 110, 126, 150, 154, 260, HEADER + 4, HEADER + 70])
@pytest.mark.parametrize("row", [1, 4])
def test_damage_is_left_to_who_reads_it(file, row, place):
    """A bit in a name, a size, a checksum or an array's header."""
    data = bytearray(file.read_bytes())
    data[row * 2 * (HEADER + BLOCK) + place] ^= 1
    file.write_bytes(data)
    assert mapped_samples(str(file), 5) is None


def test_a_stream_of_such_shards_needs_no_thread(file):
    stream = webdataset(root=str(file.parent)).pairs("train")
    assert stream.resident
    pngs = file.parent.parent / "pngs"
    write_shards(shapes(size=8, count=5), pngs, splits=("train",))
    other = webdataset(root=str(pngs)).pairs("train")
    assert not other.resident
    for one, two in zip(stream.decoders(seed=1), other.decoders(seed=1), strict=True):
        assert one().name == two().name
        assert torch.equal(one().target, two().target)


def test_a_mapped_image_of_another_form_is_conformed(file):
    stream = webdataset(root=str(file.parent), size=4).pairs("train")
    assert next(stream.decoders())().source.shape == (3, 4, 4)
    assert isinstance(stream, p2pkit.PairStream)
