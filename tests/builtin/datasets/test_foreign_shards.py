"""Shards that others have made: their layouts, and what may be wrong with them or meant to harm."""

from __future__ import annotations

import io
import tarfile

import numpy as np
import pytest
from PIL import Image

import p2pkit
from p2pkit import ImageSpec, PairSpec
from p2pkit.builtin.datasets.shards import decoded
from p2pkit.builtin.datasets.webdataset import webdataset


@pytest.fixture
def foreign(tmp_path):
    """Shards as others make them: files of any kind, no index."""
    dice = np.random.default_rng(0)
    for number in range(2):
        with tarfile.open(tmp_path / f"x-{number}.tar", "w") as tar:
            for pair in range(3):
                for member in ("input.png", "output.jpg", "json"):
                    buffer = io.BytesIO(b"{}")
                    if member != "json":
                        image = Image.fromarray(dice.integers(0, 256, (10, 12, 3), dtype=np.uint8))
                        buffer = io.BytesIO()
                        image.save(buffer, "PNG" if member == "input.png" else "JPEG")
                    info = tarfile.TarInfo(f"{number}{pair}.{member}")
                    info.size = len(buffer.getvalue())
                    tar.addfile(info, io.BytesIO(buffer.getvalue()))
    return {"shards": {"train": str(tmp_path / "x-{0..1}.tar")}, "source": "input.png", "target": "output"}


def test_shards_that_others_made(foreign):
    dataset = webdataset(**foreign, source_channels=1, size=8)
    assert dataset.spec == PairSpec(ImageSpec(1), ImageSpec(3), 8, 8)
    assert [decode().name for decode in dataset.pairs("train").decoders()] == ["00", "01", "02", "10", "11", "12"]
    assert len(webdataset(**foreign, pairs={"train": (3, 2)}).pairs("train")) == 5
    assert len(webdataset(**foreign, pairs={"train": 2}).pairs("train")) == 4


def test_what_is_wrong_with_them(foreign, tmp_path):
    with pytest.raises(p2pkit.ComponentError, match=r"has 0 entries depth; there are: input.png, output.jpg, json"):
        webdataset(**{**foreign, "source": "depth"})
    with pytest.raises(p2pkit.ComponentError, match="2 shards, and 1 numbers"):
        webdataset(**foreign, pairs={"train": (3,)})
    with pytest.raises(p2pkit.ComponentError, match="No such file"):
        webdataset(**{**foreign, "shards": {"train": str(tmp_path / "none.tar")}})
    with pytest.raises(p2pkit.ComponentError, match="too far away") as caught:
        webdataset(**{**foreign, "shards": {"train": "http://localhost:1/x.tar"}})
    assert caught.value.parameter == "pairs"


@pytest.mark.parametrize(
    "pattern", ["x-{0..99999999999}.tar", "{0..999}" * 3, "{a,b}" * 20, "{9" + "9" * 5000 + "..0}"]
)
def test_a_pattern_for_too_many_shards_is_refused_before_it_is_expanded(pattern):
    with pytest.raises(p2pkit.ComponentError, match="stands for more than 1000000 shards"):
        webdataset(shards={"train": pattern}, pairs={"train": 1})


def test_a_pattern_for_many_shards_is_none_for_too_many(tmp_path):
    with pytest.raises(p2pkit.ComponentError, match=r"x-00000\.tar"):
        webdataset(shards={"train": str(tmp_path / "x-{00000..09999}.tar")}, pairs={"train": 1})


@pytest.mark.parametrize("counted", [{}, {"pairs": {"train": 1}}])
def test_a_member_that_unpacks_to_more_than_memory_is_not_read(tmp_path, monkeypatch, counted):
    """A tar file says how large a member is before it comes; it may be of zeros, compressed to nothing."""
    monkeypatch.setattr("p2pkit.builtin.datasets.shards.LARGEST", 1000)
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as tar:
        for name, size in (("a.source.png", 1001), ("a.target.png", 10)):
            entry = tarfile.TarInfo(name)
            entry.size = size
            tar.addfile(entry, io.BytesIO(bytes(size)))
    with pytest.raises(p2pkit.ComponentError, match=r"a\.source\.png is of 1001 bytes, more than the 1000 "):
        webdataset(shards={"train": str(tmp_path / "x.tar.gz")}, **counted)


def test_an_array_in_a_tar_file_whose_header_lies_is_an_error_of_ours():
    content = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": (3, 10**9, 10**9)}
    np.lib.format.write_array_header_1_0(content, header)
    with pytest.raises(OSError, match="not an array"):
        decoded("source.chw.npy", content.getvalue())
