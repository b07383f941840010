"""Files that hold both images of a pair: halves, splits, archives, sizes, channels and what is wrong with them."""

import os
import pickle
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

import p2pkit
from p2pkit import ComponentError, DataError
from p2pkit.builtin.datasets import emoji, side_by_side


def planes(array):
    return torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))


@pytest.mark.parametrize(("direction", "source"), [("a_to_b", slice(0, 16)), ("b_to_a", slice(16, 32))])
def test_halves_are_cut_in_the_direction_asked_for(tmp_path, save, direction, source):
    array = planes(save("train/one.png", size=(16, 32)))
    dataset = side_by_side(root=tmp_path, direction=direction)
    pair = dataset.pairs("train")[0]
    target = slice(16, 32) if source.start == 0 else slice(0, 16)
    assert pair.name == "one"
    assert torch.equal(pair.source, array[:, :, source])
    assert torch.equal(pair.target, array[:, :, target])
    assert isinstance(dataset, p2pkit.PairDataset)
    assert (dataset.spec.height, dataset.spec.width) == (16, 16)


def test_as_many_splits_as_there_are_folders(tmp_path, save):
    for name in ("train/b.png", "train/a.jpg", "train/deep/c.png", "test/d.png", "train/._a.png", "train/.cache/e.png"):
        save(name, size=(8, 16))
    (tmp_path / "train/notes.txt").touch()
    dataset = side_by_side(root=tmp_path)
    assert dataset.splits == ("train", "test")
    assert [pair.name for pair in dataset.pairs("train")] == ["a", "b", "deep/c"]
    with pytest.raises(DataError, match="no split 'val'"):
        dataset.pairs("val")


def test_without_split_folders_a_share_of_the_names_is_held_out(tmp_path, save):
    for index in range(60):
        save(f"{index}.png", size=(2, 4))

    def names(split, **params):
        return {pair.name for pair in side_by_side(root=tmp_path, **params).pairs(split)}

    train, val = names("train", held_out=0.3), names("val", held_out=0.3)
    assert len(val) + len(train) == 60
    assert not train & val
    assert 8 <= len(val) <= 28
    assert names("val", held_out=0.1) <= val
    save("new.png", size=(2, 4))
    assert names("val", held_out=0.3) - {"new"} == val
    assert side_by_side(root=tmp_path, held_out=0).splits == ("train",)


@pytest.mark.parametrize("top", ["", "facades/"])
def test_an_archive_is_read_like_its_folder(tmp_path, save, zipped, top):
    for name in ("data/train/a.png", "data/train/b.npy", "data/val/c.png"):
        save(name, size=(8, 16))
    folder = side_by_side(root=tmp_path / "data")
    archive = side_by_side(root=zipped(tmp_path / "data", top))
    assert archive.spec == folder.spec
    assert archive.splits == folder.splits
    for split in folder.splits:
        for theirs, ours in zip(folder.pairs(split), archive.pairs(split), strict=True):
            assert ours.name == theirs.name
            assert torch.equal(ours.source, theirs.source)


def test_reading_is_safe_in_threads_and_pairs_can_be_sent_to_processes(tmp_path, save, zipped):
    for index in range(20):
        save(f"data/train/{index}.png", size=(16, 32))
    pairs = side_by_side(root=zipped(tmp_path / "data")).pairs("train")
    expected = [pair.source for pair in pairs]
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda index: pairs[index % 20].source, range(200)))
    assert all(torch.equal(image, expected[index % 20]) for index, image in enumerate(read))
    sent = pickle.loads(pickle.dumps(pairs))
    assert torch.equal(sent[7].source, expected[7])


def test_pairs_are_a_sequence(tmp_path, save):
    for name in "abc":
        save(f"train/{name}.png", size=(2, 4))
    pairs = side_by_side(root=tmp_path).pairs("train")
    assert len(pairs) == 3
    assert pairs[-1].name == "c"
    assert [pair.name for pair in pairs[1:]] == ["b", "c"]
    with pytest.raises(IndexError):
        pairs[3]


@pytest.mark.parametrize(("size", "shape"), [(8, (8, 8)), ((4, 12), (4, 12)), (None, (16, 20))])
def test_images_are_resized(tmp_path, save, size, shape):
    array = planes(save("train/a.png", size=(16, 40)))
    dataset = side_by_side(root=tmp_path, size=size)
    pair = dataset.pairs("train")[0]
    assert pair.source.shape == pair.target.shape == (3, *shape)
    assert torch.equal(pair.source, p2pkit.resize(array[:, :, :20], *shape))
    larger = dataset.at(30, 50)
    covering = (30, 50) if size is None else (40, 50)
    assert larger.pairs("train")[0].target.shape == (3, *covering)
    assert (larger.spec.height, larger.spec.width) == (30, 50)
    assert dataset.spec.height == shape[0]


def test_channels_are_those_of_the_first_file_or_those_asked_for(tmp_path, save):
    save("train/a.png", size=(4, 8), channels=1)
    save("train/b.png", size=(4, 8), channels=3)
    save("train/c.png", size=(4, 8), channels=4)
    dataset = side_by_side(root=tmp_path)
    assert {pair.source.shape[0] for pair in dataset.pairs("train")} == {1}
    dataset = side_by_side(root=tmp_path, source_channels=1, target_channels=3)
    assert (dataset.spec.source.channels, dataset.spec.target.channels) == (1, 3)
    assert [(p.source.shape[0], p.target.shape[0]) for p in dataset.pairs("train")] == [(1, 3)] * 3


def test_depth_is_that_of_the_first_file_and_others_follow(tmp_path, save):
    save("train/a.png", np.full((4, 8), 65535, np.uint16))
    save("train/b.png", np.full((4, 8), 255, np.uint8))
    dataset = side_by_side(root=tmp_path)
    assert dataset.spec.source.high == 65535
    assert [pair.source.dtype for pair in dataset.pairs("train")] == [torch.uint16] * 2
    assert [int(pair.source.int().max()) for pair in dataset.pairs("train")] == [65535, 65535]


@pytest.mark.parametrize("float_range", [(0.0, 1.0), (-1000.0, 3000.0), (0.0, 255.0), (0.0, 65535.0)])
def test_floats_of_any_channels_and_range_become_minus_one_to_one(tmp_path, save, float_range):
    low, high = float_range
    save("train/a.npy", np.linspace(low, high, 4 * 8 * 5).reshape(4, 8, 5).astype(np.float32))
    dataset = side_by_side(root=tmp_path, float_range=float_range)
    pair = dataset.pairs("train")[0]
    assert pair.source.dtype == torch.float32
    seen = [p2pkit.to_network(image[None], dataset.spec.source) for image in (pair.source, pair.target)]
    assert seen[0].shape == (1, 5, 4, 4)
    assert float(seen[0].min()) == pytest.approx(-1, abs=1e-4)
    assert float(seen[1].max()) == pytest.approx(1, abs=1e-4)


def test_the_fingerprint_changes_with_files_and_parameters(tmp_path, save, zipped):
    save("data/train/a.png", size=(4, 8))
    root = tmp_path / "data"
    first = side_by_side(root=root).fingerprint("train")
    assert len(first) == 12
    assert side_by_side(root=root).fingerprint("train") == first
    assert side_by_side(root=root, direction="b_to_a").fingerprint("train") != first
    assert side_by_side(root=root, size=2).fingerprint("train") != first
    archive = zipped(root)
    packed = side_by_side(root=archive).fingerprint("train")
    os.utime(root / "train/a.png", (10**9, 10**9))
    assert side_by_side(root=root).fingerprint("train") != first
    assert side_by_side(root=zipped(root)).fingerprint("train") == packed
    save("data/train/b.png", size=(4, 8))
    assert side_by_side(root=zipped(root)).fingerprint("train") != packed


@pytest.mark.parametrize("archived", [False, True])
def test_a_file_that_cannot_be_read_is_named(tmp_path, save, zipped, archived):
    save("data/train/a.png", size=(4, 8))
    save("data/train/c.png", size=(4, 7))
    (tmp_path / "data/train/b.png").write_bytes(b"not an image")
    root = zipped(tmp_path / "data") if archived else tmp_path / "data"
    pairs = side_by_side(root=root).pairs("train")
    assert pairs[0].name == "a"
    for index, name, cause in [(1, "b.png", "not an image"), (2, "c.png", "7 pixels wide")]:
        with pytest.raises(DataError, match=cause) as caught:
            pairs[index]
        (problem,) = caught.value.problems
        assert problem.path == str(root / "train" / name)
        assert "unreadable: skip" in problem.remedy


def test_a_bad_first_file_does_not_hide_what_the_images_are(tmp_path, save):
    save("train/b.png", size=(4, 8))
    (tmp_path / "train/a.png").write_bytes(b"not an image")
    dataset = side_by_side(root=tmp_path)
    assert dataset.spec.width == 4
    with pytest.raises(DataError, match="not an image"):
        dataset.pairs("train")[0]


def test_damage_inside_an_archive_is_found(tmp_path, save, zipped):
    save("data/train/a.png", size=(64, 128))
    path = zipped(tmp_path / "data")
    content = bytearray(path.read_bytes())
    content[200] ^= 255
    path.write_bytes(content)
    with pytest.raises(ComponentError, match="archive's entry can't be read"):
        side_by_side(root=path)


def refuse(match, **params):
    with pytest.raises(ComponentError, match=match) as caught:
        side_by_side(**params)
    return caught.value


def test_a_missing_folder(tmp_path):
    error = refuse("no folder or archive", root=tmp_path / "facade" / "x")
    assert error.parameter == "root"
    assert str(tmp_path) in error.remedy


def test_an_empty_folder(tmp_path):
    assert refuse("holds no images", root=tmp_path).parameter == "root"
    (tmp_path / "pictures").mkdir()
    error = refuse("its folders: pictures", root=tmp_path)
    assert "train, val, test" in error.remedy


def test_an_empty_split(tmp_path, save):
    save("val/a.png", size=(4, 8))
    (tmp_path / "train").mkdir()
    refuse(r"train holds no images", root=tmp_path)


def test_something_else_than_an_archive(tmp_path):
    (tmp_path / "x.tar").write_bytes(b"tar")
    refuse("neither a folder nor a .zip archive", root=tmp_path / "x.tar")


def test_the_same_name_twice(tmp_path, save):
    for name in ("train/a.png", "train/a.jpg", "train/b.png"):
        save(name, size=(4, 8))
    error = refuse("images of the same name", root=tmp_path)
    assert "train/a.jpg" in error.cause
    assert "b.png" not in error.cause


def test_halves_of_an_odd_width(tmp_path, save):
    save("train/a.png", size=(4, 7))
    assert "a.png" in refuse("7 pixels wide, which can't be cut", root=tmp_path).cause


def test_channels_that_can_not_be_had(tmp_path, save):
    save("train/a.png", size=(4, 8))
    error = refuse("has 3 channels, where 5 are wanted", root=tmp_path, target_channels=5)
    assert error.parameter == "target_channels"


def test_a_float_range_of_nothing(tmp_path, save):
    save("train/a.npy", np.zeros((4, 8), np.float32))
    assert refuse("not below", root=tmp_path, float_range=(1.0, 1.0)).parameter == "float_range"


def test_everything_held_out(tmp_path, save):
    save("a.png", size=(4, 8))
    refuse("none of the 1 images is left", root=tmp_path, held_out=0.999999)


def test_emoji_come_with_the_package():
    dataset = emoji()
    assert dataset.splits == ("train", "val")
    assert len(dataset.pairs("train")) > 100
    pair = dataset.pairs("val")[0]
    assert pair.source.shape == pair.target.shape == (3, 64, 64)
    grey = (pair.source.float() - pair.source.float().mean(0)).abs().max()
    assert grey < 8, "the source is an outline without colour"
    colours = torch.stack([p.target.float().std(0).mean() for p in dataset.pairs("val")[:8]])
    assert colours.mean() > 5, "the targets are coloured"


def test_an_entry_that_unpacks_to_more_than_memory_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("p2pkit.builtin.datasets.files.LARGEST", 1000)
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train/a.png", bytes(1001))
    with pytest.raises(p2pkit.ComponentError, match="is of 1001 bytes when it is unpacked, more than the 1000"):
        side_by_side(root=tmp_path / "x.zip")
