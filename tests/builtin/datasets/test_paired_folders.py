"""Two folders of images, paired by name."""

import pytest
import torch

from p2pkit import ComponentError, resize
from p2pkit.builtin.datasets import paired_folders
from p2pkit.images.files import read_image


@pytest.mark.parametrize("pattern", ["{side}/{split}", "{split}/{side}"])
def test_splits_inside_or_around_the_folders(tmp_path, save, pattern):
    for side, suffix in (("source", "png"), ("target", "bmp")):
        for split, names in (("train", ["b", "a", "sub/c"]), ("val", ["d"])):
            for name in names:
                save(f"{pattern.format(side=side, split=split)}/{name}.{suffix}", size=(4, 6))
    dataset = paired_folders(root=tmp_path)
    assert dataset.splits == ("train", "val")
    assert [pair.name for pair in dataset.pairs("train")] == ["a", "b", "sub/c"]
    pair = dataset.pairs("val")[0]
    assert torch.equal(pair.source, read_image(tmp_path / pattern.format(side="source", split="val") / "d.png"))
    assert torch.equal(pair.target, read_image(tmp_path / pattern.format(side="target", split="val") / "d.bmp"))


def test_plain_folders_are_split_by_name_alike_in_archives(tmp_path, save, zipped):
    for index in range(30):
        save(f"data/A/{index}.png", size=(2, 2), channels=1)
        save(f"data/B/{index}.png", size=(2, 2))
    folder = paired_folders(root=tmp_path / "data", source="A", target="B", held_out=0.2)
    archive = paired_folders(root=zipped(tmp_path / "data"), source="A", target="B", held_out=0.2)
    assert (folder.spec.source.channels, folder.spec.target.channels) == (1, 3)
    for split in ("train", "val"):
        names = [pair.name for pair in folder.pairs(split)]
        assert names == [pair.name for pair in archive.pairs(split)]
        assert 0 < len(names) < 30


def test_the_target_sets_the_size_and_the_source_follows(tmp_path, save):
    small, large = save("source/a.png", size=(4, 4)), save("target/a.png", size=(8, 12))
    pair = paired_folders(root=tmp_path, held_out=0).pairs("train")[0]
    assert pair.target.shape == (3, *large.shape[:2])
    assert torch.equal(pair.source, resize(torch.from_numpy(small).permute(2, 0, 1).contiguous(), 8, 12))


def test_larger_images_keep_the_proportions_of_their_files(tmp_path, save):
    for name, shape in (("a", (20, 60)), ("b", (40, 30))):
        save(f"source/{name}.png", size=shape)
        save(f"target/{name}.png", size=shape)
    dataset = paired_folders(root=tmp_path, held_out=0, size=8)
    assert [pair.target.shape for pair in dataset.pairs("train")] == [(3, 8, 8)] * 2
    larger = dataset.at(20, 20)
    assert dataset.own_shapes
    assert [pair.source.shape for pair in larger.pairs("train")] == [(3, 20, 60), (3, 27, 20)]
    assert [pair.source.shape for pair in larger.at(10, 10).pairs("train")] == [(3, 10, 30), (3, 13, 10)]


def refuse(match, **params):
    with pytest.raises(ComponentError, match=match) as caught:
        paired_folders(**params)
    assert caught.value.parameter == "root"
    return caught.value


def test_files_without_a_partner_are_named_and_counted(tmp_path, save):
    for index in range(12):
        save(f"source/train/{index:02d}.png", size=(2, 2))
    for name in ("train/00", "train/extra", "val/x"):
        save(f"target/{name}.png", size=(2, 2))
    save("source/val/x.png", size=(2, 2))
    error = refuse("12 images have no partner", root=tmp_path)
    assert str(tmp_path / "source/train/01.png") in error.cause
    assert "and 4 more" in error.cause
    assert "00.png" not in error.cause


def test_a_partner_that_only_sorting_would_find_is_not_taken(tmp_path, save):
    save("source/a_real.png", size=(2, 2))
    save("target/a_fake.png", size=(2, 2))
    refuse("2 images have no partner", root=tmp_path)


def test_a_split_that_only_one_side_has(tmp_path, save):
    for name in ("source/train/a", "target/train/a", "source/val/b"):
        save(f"{name}.png", size=(2, 2))
    refuse("has no folder target/val", root=tmp_path)


def test_folders_of_other_names_are_listed(tmp_path, save):
    save("photo/a.png", size=(2, 2))
    save("mask/a.png", size=(2, 2))
    error = refuse("no folder source; its folders: mask, photo", root=tmp_path)
    assert "`source` and `target`" in error.remedy
    refuse("no folder depth", root=tmp_path, source="photo", target="depth")
