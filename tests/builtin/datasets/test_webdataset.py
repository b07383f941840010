"""Shards: lossless, in an order that a seed settles, from any position, and never silently incomplete."""

from __future__ import annotations

import functools
import http.server
import io
import pickle
import tarfile
import threading

import numpy as np
import pytest
import torch

import p2pkit
from p2pkit import ImageSpec, Pair, PairSpec
from p2pkit.builtin.datasets.shapes import shapes
from p2pkit.builtin.datasets.webdataset import webdataset
from p2pkit.engine.data.shard_writer import write_shards


class Fixed:
    """Pairs that are given."""

    def __init__(self, spec, **splits):
        self.spec = spec
        self.all = splits
        self.splits = tuple(splits)

    def pairs(self, split):
        return self.all[split]


def noise(spec, count, size=(6, 9)):
    dice = torch.Generator().manual_seed(1)

    def image(side):
        if side.kind == "labels":
            return torch.randint(side.channels, (1, *size), generator=dice).to(p2pkit.images.convert.stored_type(side))
        values = torch.rand(side.channels, *size, generator=dice) * (side.high - side.low) + side.low
        return values.to(p2pkit.images.convert.stored_type(side))

    names = ["a", "deep/b.c", "__c__", "d e", "100%", "grün"]
    return [Pair(image(spec.source), image(spec.target), (names * count)[i] + f"-{i}") for i in range(count)]


@pytest.fixture(params=["png", "raw"])
def encoding(request):
    return request.param


@pytest.fixture
def suffix(encoding):
    return {"png": "tar", "raw": "npy"}[encoding]


@pytest.fixture
def sharded(tmp_path, encoding):
    """Write drawn pairs, 20 and 8, in shards of 6."""
    write_shards(shapes(size=8, count=20), tmp_path / "out", splits=("train", "val"), per_shard=6, encoding=encoding)
    return tmp_path / "out"


def names(stream, **wanted):
    return [decode().name for decode in stream.decoders(**wanted)]


SPECS = {
    "colour": PairSpec(ImageSpec(3), ImageSpec(3), 6, 9),
    "deep and labels": PairSpec(ImageSpec(7, kind="labels"), ImageSpec(1, high=65535.0), 6, 9),
    "many classes": PairSpec(ImageSpec(999, kind="labels"), ImageSpec(4), 6, 9),
    "floats": PairSpec(ImageSpec(5, low=-2.0, high=3.0), ImageSpec(2), 6, 9),
}


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_what_is_read_is_what_was_written(tmp_path, spec, encoding):
    pairs = noise(spec, 8)
    write_shards(Fixed(spec, train=pairs), tmp_path / "out", splits=("train",), encoding=encoding, per_shard=3)
    dataset = webdataset(root=str(tmp_path / "out"))
    assert dataset.spec == spec
    read = [decode() for decode in dataset.pairs("train").decoders()]
    assert [pair.name for pair in read] == [pair.name for pair in pairs]
    for one, other in zip(read, pairs, strict=True):
        for a, b in ((one.source, other.source), (one.target, other.target)):
            assert a.dtype == b.dtype
            assert torch.equal(a, b)


def test_parts_seeds_and_positions(sharded):
    stream = webdataset(root=str(sharded), buffer=4).pairs("train")
    stored = [f"train-{index:05d}" for index in range(20)]
    assert names(stream) == stored
    shuffled = names(stream, seed=3)
    assert sorted(shuffled) == stored != shuffled
    for parts in (2, 3, 7):
        read = [names(stream, part=part, parts=parts, seed=3) for part in range(parts)]
        assert sorted(sum(read, start=[])) == stored  # noqa: RUF017
        assert {len(part) for part in read} <= {20 // parts, 20 // parts + 1}
    for start in (0, 1, 9, 19, 20):
        assert names(stream, seed=3, start=start) == shuffled[start:]
    assert names(pickle.loads(pickle.dumps(stream)), seed=3) == shuffled


def test_the_buffer_mixes_shards(sharded):
    small = names(webdataset(root=str(sharded), buffer=1).pairs("train"), seed=3)
    blocks = [small[i : i + 6] for i in range(0, 20, 6)]
    assert all(block == sorted(block) for block in blocks if len(block) == 6) or small != sorted(small)
    large = names(webdataset(root=str(sharded), buffer=100).pairs("train"), seed=3)
    assert small != large


def test_going_on_opens_only_the_shards_that_are_still_wanted(sharded, suffix, monkeypatch):
    from p2pkit.builtin.datasets import shards

    opened = []
    original = shards.samples_of
    monkeypatch.setattr(shards, "samples_of", lambda file: opened.append(file) or original(file))
    stream = webdataset(root=str(sharded), buffer=1).pairs("train")
    rest = names(stream, start=13)
    assert rest == [f"train-{index:05d}" for index in range(13, 20)]
    assert [url[-10:] for url in opened] == [f"000002.{suffix}", f"000003.{suffix}"]


def test_only_the_buffer_is_held(sharded):
    stream = webdataset(root=str(sharded), buffer=3).pairs("train")
    decoders = stream.decoders(seed=1)
    next(decoders)
    assert len(decoders.gi_frame.f_locals["waiting"]) <= 3


def test_another_size(sharded):
    dataset = webdataset(root=str(sharded), size=12)
    assert (dataset.spec.height, dataset.spec.width) == (12, 12)
    assert next(dataset.pairs("train").decoders())().source.shape == (3, 12, 12)
    assert next(dataset.at(4, 5).pairs("val").decoders())().target.shape == (3, 4, 5)
    assert dataset.fingerprint("train") != webdataset(root=str(sharded)).fingerprint("train")
    with pytest.raises(p2pkit.DataError, match="no split 'test'"):
        dataset.pairs("test")


def test_a_missing_and_a_cut_off_shard_are_told_before_the_work(sharded, suffix):
    (sharded / f"train-000001.{suffix}").unlink()
    path = sharded / f"train-000002.{suffix}"
    path.write_bytes(path.read_bytes()[:2000])
    stream = webdataset(root=str(sharded)).pairs("train")
    missing, cut = stream.problems()
    assert f"train-000001.{suffix}: there is no such file" in str(missing)
    assert "is of 2000 bytes, where its index says" in cut.cause
    assert "dataset.unreadable: skip" in cut.remedy


def outcomes(dataset):
    causes, read = [], []
    for decode in dataset.pairs("train").decoders():
        try:
            read.append(decode().name)
        except p2pkit.DataError as error:
            causes.append(error.problems[0].cause)
    assert len(read) + len(causes) == 20
    return causes, read


def test_what_is_damaged_is_told_where_it_is_read_and_the_rest_is_there(sharded, suffix):
    path = sharded / f"train-000002.{suffix}"
    path.write_bytes(path.read_bytes()[:2100])
    (sharded / f"train-000000.{suffix}").unlink()
    causes, read = outcomes(webdataset(root=str(sharded)))
    assert read[:6] == [f"train-{index:05d}" for index in range(6, 12)]
    assert read[-2:] == ["train-00018", "train-00019"]
    assert "can't be read after 0 of 6 pairs: No such file" in causes[0]
    assert "damaged or cut off" in causes[-1] or "holds 1 pairs, where 6 are stated" in causes[-1]
    assert "object at" not in causes[-1]


@pytest.mark.parametrize("place", [0, 6, 8, 20, 60])
def test_a_damaged_header_is_told(sharded, suffix, place):
    """A bit in what a file is, in the header's length, and in what it says; in a tar file, in a name."""
    path = sharded / f"train-000001.{suffix}"
    data = bytearray(path.read_bytes())
    data[place] ^= 0x40
    path.write_bytes(data)
    causes, read = outcomes(webdataset(root=str(sharded)))
    assert set(causes) <= {causes[0]}
    assert read[:6] == [f"train-{index:05d}" for index in range(6)]
    assert len(causes) == 6


def test_a_shard_that_holds_less_than_stated(sharded):
    text = (sharded / "shards.json").read_text().replace('"pairs": 2,', '"pairs": 5,')
    (sharded / "shards.json").write_text(text)
    decoders = list(webdataset(root=str(sharded)).pairs("train").decoders())
    assert len(decoders) == 23
    with pytest.raises(p2pkit.DataError, match="holds 2 pairs, where 5 are stated"):
        decoders[-1]()


@pytest.mark.parametrize("text", ["{", '{"format": 2}', "[]"])
def test_an_index_that_is_none(tmp_path, text):
    (tmp_path / "shards.json").write_text(text)
    with pytest.raises(p2pkit.ComponentError, match="is no index of shards"):
        webdataset(root=str(tmp_path))


def test_no_index_and_nothing_given(tmp_path):
    with pytest.raises(p2pkit.ComponentError, match=r"shards.json can't be read: No such file"):
        webdataset(root=str(tmp_path))
    with pytest.raises(p2pkit.ComponentError, match="either root"):
        webdataset()


@pytest.fixture
def served(tmp_path):
    """Serve the test's folder."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=tmp_path))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_over_http(sharded, served, suffix):
    stream = webdataset(root=f"{served}/out").pairs("train")
    assert stream.problems() == []
    assert names(stream, start=17) == ["train-00017", "train-00018", "train-00019"]
    (sharded / f"train-000003.{suffix}").unlink()
    assert "there is no such file" in stream.problems()[0].cause


def test_pairs_that_come_in_pieces(tmp_path, served, encoding):
    """A connection gives what has arrived, which may be less than a pair."""
    spec = PairSpec(ImageSpec(3), ImageSpec(3), 300, 400)
    pairs = noise(spec, 3, (300, 400))
    write_shards(Fixed(spec, train=pairs), tmp_path / "out", splits=("train",), encoding=encoding)
    stream = webdataset(root=f"{served}/out").pairs("train")
    assert not stream.resident
    for decode, pair in zip(stream.decoders(), pairs, strict=True):
        assert torch.equal(decode().target, pair.target)


def test_in_an_object_store(sharded):
    import fsspec

    store = fsspec.filesystem("memory")
    store.put(str(sharded), "/bucket/pairs", recursive=True)
    dataset = webdataset(root="memory://bucket/pairs")
    assert names(dataset.pairs("val")) == names(webdataset(root=str(sharded)).pairs("val"))
    assert dataset.pairs("train").problems() == []


def test_the_package_that_is_missing_is_named(monkeypatch, sharded):
    import sys

    monkeypatch.setitem(sys.modules, "webdataset", None)
    with pytest.raises(p2pkit.ComponentError, match="webdataset") as caught:
        webdataset(root=str(sharded))
    assert "pip install 'p2pkit[webdataset]'" in caught.value.remedy
    with pytest.raises(p2pkit.P2pkitError, match="not installed"):
        write_shards(shapes(size=8, count=2), sharded.parent / "more", splits=("train",))


@pytest.fixture
def arrays(tmp_path):
    write_shards(shapes(size=8, count=5), tmp_path / "arrays", splits=("train",), encoding="raw")
    return tmp_path / "arrays"


def test_numpy_reads_a_shard_of_arrays(arrays):
    records = np.load(arrays / "train-000000.npy")
    stored = shapes(size=8, count=5).pairs("train")
    assert records["key"].tolist() == [stored[index].name.encode() for index in range(5)]
    assert (records["target"] == np.stack([stored[index].target for index in range(5)])).all()


def test_local_arrays_are_mapped_and_never_written_to(arrays):
    stream = webdataset(root=str(arrays)).pairs("train")
    assert stream.resident
    assert isinstance(stream, p2pkit.PairStream)
    before = (arrays / "train-000000.npy").read_bytes()
    for decode in stream.decoders():
        decode().source.zero_()
    assert (arrays / "train-000000.npy").read_bytes() == before


def test_pictures_need_a_thread(tmp_path):
    write_shards(shapes(size=8, count=2), tmp_path / "pictures", splits=("train",))
    assert not webdataset(root=str(tmp_path / "pictures")).pairs("train").resident


def test_arrays_without_an_index_are_counted(arrays):
    dataset = webdataset(shards={"train": str(arrays / "train-000000.npy")})
    assert len(dataset.pairs("train")) == 5
    assert dataset.spec == webdataset(root=str(arrays)).spec
    np.save(arrays / "other.npy", np.zeros((2, 3)))
    with pytest.raises(p2pkit.ComponentError, match="not an array of records with a key"):
        webdataset(shards={"train": str(arrays / "other.npy")})


def test_arrays_are_of_one_form(tmp_path):
    spec = PairSpec(ImageSpec(3), ImageSpec(3), 6, 9)
    pairs = [*noise(spec, 1), *noise(spec, 1, (1, 9))]
    with pytest.raises(
        p2pkit.DataError, match=r"a-0: its source is of shape 3 x 1 x 9, where 3 x 6 x 9 is stated"
    ) as caught:
        write_shards(Fixed(spec, train=pairs), tmp_path / "out", splits=("train",), encoding="raw")
    assert "let the data set's spec say" in caught.value.problems[0].remedy
    assert list(tmp_path.iterdir()) == []


def test_the_fingerprint_is_of_the_pairs_and_not_of_their_encoding(tmp_path):
    indices = [
        write_shards(shapes(size=8, count=5), tmp_path / form, splits=("train",), encoding=form, per_shard=count)[0]
        for form, count in (("png", 2), ("raw", 3))
    ]
    assert indices[0].fingerprints == indices[1].fingerprints


def test_tar_files_of_arrays_are_still_read(tmp_path):
    """What versions before wrote by `--encoding raw`; from a config that reads them, mapped ones can be written."""
    spec = PairSpec(ImageSpec(3), ImageSpec(5, low=-1.0), 6, 9)
    pairs = noise(spec, 4)
    with tarfile.open(tmp_path / "train-000000.tar", "w") as tar:
        for pair in pairs:
            for side, image in (("source", pair.source), ("target", pair.target)):
                buffer = io.BytesIO()
                np.save(buffer, image.numpy())
                info = tarfile.TarInfo(f"{p2pkit.ShardIndex.key_of(pair.name)}.{side}.chw.npy")
                info.size = buffer.tell()
                buffer.seek(0)
                tar.addfile(info, buffer)
    index = p2pkit.ShardIndex(spec, {"train": (p2pkit.Shard("train-000000.tar", 4),)}, {})
    (tmp_path / "shards.json").write_text(index.text())
    old = webdataset(root=str(tmp_path))
    write_shards(old, tmp_path / "out", splits=("train",), encoding="raw")
    new = webdataset(root=str(tmp_path / "out"))
    assert (old.pairs("train").resident, new.pairs("train").resident) == (False, True)
    for one, other, pair in zip(old.pairs("train").decoders(), new.pairs("train").decoders(), pairs, strict=True):
        assert one().name == other().name == pair.name
        assert torch.equal(one().source, pair.source)
        assert torch.equal(one().target, pair.target)
        assert torch.equal(other().target, pair.target)
