"""Our reader of tar files gives what webdataset's does, whatever the file."""

from __future__ import annotations

import io
import random
import tarfile

import pytest
from webdataset.tariterators import tar_file_expander

from p2pkit.builtin.datasets import tar
from p2pkit.builtin.datasets.tar import read_files

LONG = "/".join(["a" * 60] * 3) + ".png"
NAMES = ["a.png", "b.png", "deep/c.png", "d" * 99, "e" * 100, LONG, "grün.png", "z.png"]


def archive(names, mode="w", kind=tarfile.PAX_FORMAT, size=lambda number: 700, **facts):
    dice, buffer = random.Random(0), io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, format=kind) as file:
        for number, name in enumerate(names):
            info = tarfile.TarInfo(name.rstrip("/"))
            info.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            info.size = 0 if info.isdir() else size(number)
            for key, value in facts.items():
                setattr(info, key, value)
            file.addfile(info, io.BytesIO(dice.randbytes(info.size)))
    return buffer.getvalue()


def ours(data):
    return list(read_files("x.tar", io.BytesIO(data)))


def theirs(data):
    return list(tar_file_expander([{"url": "x.tar", "stream": io.BytesIO(data)}]))


@pytest.fixture
def handed_over(monkeypatch):
    calls = []
    original = tar._by_webdataset
    monkeypatch.setattr(
        tar, "_by_webdataset", lambda url, stream: calls.append(any(stream.block)) or original(url, stream)
    )
    return calls


CASES = {
    "all alike": archive([f"{number}.png" for number in range(20)]),
    "other sizes": archive(NAMES, size=lambda number: number * 300),
    "blocks filled": archive(NAMES[:3], size=lambda number: 512),
    "gnu": archive(NAMES, kind=tarfile.GNU_FORMAT),
    "ustar": archive(["f" * 80 + "/" + "g" * 90 + ".png", *NAMES[:4]], kind=tarfile.USTAR_FORMAT),
    "folders": archive(["a/", "a/x.png", "b/", "b/y.png"]),
    "dates that a header can't hold": archive(NAMES[:3], mtime=1.5),
    "what is no sample": archive(["a.png", "__meta__.json", "b.png"]),
    "compressed": archive(NAMES, mode="w:gz"),
    "nothing": archive([]),
    "without an end": archive(NAMES[:2])[:3072],
}


@pytest.mark.parametrize("data", CASES.values(), ids=CASES)
def test_the_same_as_webdataset(data):
    assert ours(data) == theirs(data)


@pytest.mark.parametrize("name", ["all alike", "other sizes", "ustar"])
def test_plain_files_need_no_help(name, handed_over):
    ours(CASES[name] if name != "other sizes" else archive(NAMES[:5]))
    assert handed_over == [False]


def test_alike_headers_are_parsed_once(monkeypatch):
    parsed = []
    original = tar._Header.of
    monkeypatch.setattr(tar._Header, "of", lambda block, rest: parsed.append(rest) or original(block, rest))
    assert len(ours(CASES["all alike"])) == 21
    assert len(parsed) == 2  # and the end


@pytest.mark.parametrize("length", [100, 511, 513, 1000, 1300, 2000])
def test_cut_off(length):
    """Where webdataset just ends, in the middle of a header, ours says so too."""
    with pytest.raises(tarfile.TarError):
        ours(archive(NAMES[:3])[:length])


@pytest.mark.parametrize("place", [0, 50, 130, 150, 300])
@pytest.mark.parametrize("header", [0, 1536])
def test_a_damaged_header_is_never_read_as_another(header, place):
    """The second header's size or name is no better known for being like the first's."""
    data = bytearray(archive(["aaaa.png", "bbbb.png", "cccc.png"]))
    data[header + place] ^= 1
    with pytest.raises(tarfile.TarError):
        ours(bytes(data))
