"""Folders as people have them: recognised, or named in an error or a note."""

import os
import unicodedata

import numpy as np
import pytest

from p2pkit import ComponentError, DataError
from p2pkit.builtin.datasets import colorize, manifest, paired_folders, side_by_side


@pytest.mark.parametrize(
    "names", [("train", "valid"), ("Train", "Validation"), ("training", "testing"), ("TRAIN", "Test")]
)
@pytest.mark.parametrize("pattern", ["{split}/{side}", "{side}/{split}", "{split}{side}", "{split}_{side}"])
def test_splits_by_any_name(tmp_path, save, names, pattern):
    for split in names:
        for side in ("A", "B"):
            save(f"{pattern.format(split=split, side=side)}/x.png", size=(4, 4))
    assert paired_folders(root=tmp_path, source="A", target="B").splits[0] == "train"
    assert len(paired_folders(root=tmp_path).splits) == 2  # A and B are found without being named


@pytest.mark.parametrize("name", ["valid", "Validation", "VAL"])
def test_splits_of_files_of_both_images(tmp_path, save, name):
    save("Train/a.png", size=(4, 8))
    save(f"{name}/a.png", size=(4, 8))
    assert side_by_side(root=tmp_path).splits == ("train", "val")
    assert colorize(root=tmp_path).splits == ("train", "val")


def test_two_folders_for_one_split_are_named(tmp_path, save):
    for name in ("train", "val", "valid"):
        save(f"{name}/a.png", size=(4, 8))
    with pytest.raises(ComponentError, match="val and valid are both the split val"):
        side_by_side(root=tmp_path)


def test_what_is_left_out_is_said(tmp_path, save):
    for name in (
        "train/a.png",
        "loose.png",
        "extra/b.png",
        ".hidden/c.png",
        "train/._a.png",
        "train/.ipynb_checkpoints/a.png",
    ):
        save(name, size=(4, 8))
    (tmp_path / "train" / "Thumbs.db").write_bytes(b"x")
    dataset = side_by_side(root=tmp_path)
    assert [pair.name for pair in dataset.pairs("train")] == ["a"]
    assert any("1 images directly in" in note for note in dataset.notes)
    assert any("extra" in note and "hidden" not in note for note in dataset.notes)


def test_a_folder_is_never_paired_with_itself(tmp_path, save):
    save("photos/a.png")
    with pytest.raises(ComponentError, match="its own partner"):
        paired_folders(root=tmp_path, source="photos", target="photos")


def test_common_endings_of_names_may_differ(tmp_path, save):
    for index in range(3):
        save(f"source/{index}_A.png", size=(4, 4))
        save(f"target/{index}_B.png", size=(4, 4))
    assert [pair.name for pair in paired_folders(root=tmp_path, held_out=0).pairs("train")] == ["0", "1", "2"]


def test_twos_in_one_folder_are_named_and_can_be_had(tmp_path, save):
    for index in range(3):
        for side in "AB":
            save(f"train/{index}_{side}.png", size=(4, 8))
    with pytest.raises(ComponentError, match="come in twos: 0_A and 0_B") as caught:
        side_by_side(root=tmp_path)
    assert "source: '*_A'" in caught.value.remedy
    dataset = paired_folders(root=tmp_path, source="*_A", target="*_B")
    assert [pair.name for pair in dataset.pairs("train")] == ["0", "1", "2"]


def test_twos_beside_each_other_are_named_where_folders_are_wanted(tmp_path, save):
    for index in range(3):
        for side in "AB":
            save(f"{index}_{side}.png", size=(4, 8))
    with pytest.raises(ComponentError, match="come in twos: 0_A and 0_B") as caught:
        paired_folders(root=tmp_path)
    assert caught.value.remedy == "write source: '*_A' and target: '*_B'"
    assert paired_folders(root=tmp_path, source="*_A", target="*_B", held_out=0).notes == ()


def test_what_lies_beside_two_folders_is_told(tmp_path, save):
    for name in ("source/a", "target/a", "loose", "more/b"):
        save(f"{name}.png", size=(4, 4))
    loose, more = paired_folders(root=tmp_path, held_out=0).notes
    assert "1 images directly in" in loose
    assert "that are left out: more" in more


def test_names_in_both_normal_forms_and_without_a_text_are_paired(tmp_path, save):
    array = np.zeros((4, 4), np.uint8)
    for form, side in (("NFC", "source"), ("NFD", "target")):
        save(f"{side}/{unicodedata.normalize(form, 'é')}.npy", array)
        with open(os.fsencode(tmp_path / side) + b"/\xff.npy", "wb") as file:
            np.save(file, array)
    dataset = paired_folders(root=tmp_path, held_out=0)
    names = [pair.name for pair in dataset.pairs("train")]
    assert names == ["\\xff", "é"]
    assert len(dataset.fingerprint("train")) == 12


def test_empty_files_and_pipes_are_found_without_reading(tmp_path, save):
    for name in "abc":
        save(f"source/{name}.png", size=(4, 4))
        save(f"target/{name}.png", size=(4, 4))
    (tmp_path / "source/b.png").write_bytes(b"")
    (tmp_path / "source/c.png").unlink()
    os.mkfifo(tmp_path / "source/c.png")
    dataset = paired_folders(root=tmp_path, held_out=0)
    assert [problem.cause for problem in dataset.faults("train")] == [
        "the file is empty",
        "is no file, but a folder, a pipe or a device",
    ]
    with pytest.raises(DataError, match="a pipe"):
        dataset.pairs("train")[2]


def test_bands_are_chosen_and_kept_with_the_reading(tmp_path, save):
    array = save("source/a.npy", np.arange(4 * 4 * 5, dtype=np.uint8).reshape(4, 4, 5))
    save("target/a.png", size=(4, 4))
    dataset = paired_folders(root=tmp_path, source_bands=(3, 0), held_out=0)
    assert dataset.spec.reading.bands == (3, 0)
    np.testing.assert_array_equal(dataset.pairs("train")[0].source.numpy(), array[..., [3, 0]].transpose(2, 0, 1))


def test_the_reading_of_a_data_set_is_a_part_of_its_spec(tmp_path, save):
    save("ab/train/a.tif", size=(8, 16))
    reading = side_by_side(root=tmp_path / "ab", direction="b_to_a").spec.reading
    assert (reading.half, reading.aspect, reading.suffix) == ("right", 2.0, ".tif")
    for name in ("a1", "a2", "b"):
        save(f"{name}.png", channels=1)
    (tmp_path / "rows.jsonl").write_text('{"source": ["a1.png", "a2.png"], "target": "b.png"}\n')
    assert manifest(path=tmp_path / "rows.jsonl", held_out=0).spec.reading.stacked == (1, 1)
