"""What values mean is declared for a data set, and never guessed from one file."""

import numpy as np
import pytest
import torch

from p2pkit import ComponentError, to_network
from p2pkit.builtin.datasets import paired_folders


@pytest.fixture
def data(tmp_path, save):
    def make(source, target=None, count=6):
        for index in range(count):
            save(f"source/{index}.npy", source(index))
            save(f"target/{index}.npy", (target or source)(index))
        return tmp_path

    return make


def ramp(low, high, dtype):
    return lambda index: np.linspace(low, high, 64).reshape(8, 8).astype(dtype)


@pytest.mark.parametrize(
    ("low", "high", "dtype", "line"),
    [
        (0, 255, np.float32, "source_range: [0, 255]"),
        (-1000, 1500, np.float32, "source_range: [-1000, 1500]"),
        (-1024, 3071, np.int16, "source_range: [-1100, 3100]"),
        (0, 4000, np.int16, "source_range: [0, 4095]"),
        (0, 200, np.int64, "source_range: [0, 255]"),
        (0, 70000, np.int32, "source_range: [0, 70000]"),
    ],
)
def test_a_scale_that_nobody_declared_is_refused_with_the_line_to_write(data, low, high, dtype, line):
    with pytest.raises(ComponentError) as caught:
        paired_folders(root=data(ramp(low, high, dtype)), target_range=(low, high))
    assert line in caught.value.remedy
    assert caught.value.parameter == "source_range"


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64, np.float32, np.float64])
def test_a_range_for_each_side_is_minus_one_and_one(data, dtype):
    root = data(ramp(0, 4000, dtype), ramp(-1000 if dtype != np.uint16 else 0, 1500, dtype))
    dataset = paired_folders(root=root, source_range=(0, 4000), target_range=(-1000, 1500), held_out=0)
    pair = dataset.pairs("train")[0]
    for image, spec in ((pair.source, dataset.spec.source), (pair.target, dataset.spec.target)):
        seen = to_network(image[None], spec)
        assert seen.min() == -1
        assert seen.max() == 1


def test_one_file_with_negatives_does_not_change_what_the_others_mean(data):
    def source(index):
        return ramp(-50 if index == 1 else 0, 1000, np.int16)(index)

    dataset = paired_folders(root=data(source), source_range=(0, 1000), target_range=(-50, 1000), held_out=0)
    seen = [pair.source for pair in dataset.pairs("train")]
    assert {image.dtype for image in seen} == {torch.int16}
    assert seen[1].min() == 0  # cut off
    assert any("-50 to 1000" in note and "outside 0 to 1000" in note for note in dataset.notes)


def test_12_bits_in_16_are_told_and_can_be_declared(data):
    root = data(ramp(0, 4095, np.uint16))
    plain = paired_folders(root=root, held_out=0)
    assert any("source_range: [0, 4095]" in note for note in plain.notes)
    dataset = paired_folders(root=root, source_range=(0, 4095), held_out=0)
    assert (dataset.spec.source.high, dataset.spec.source.dtype) == (4095, "uint16")
    assert to_network(dataset.pairs("train")[0].source[None], dataset.spec.source).max() == 1


def test_windows_of_ct_have_names_and_cut_off_without_a_word(data):
    dataset = paired_folders(
        root=data(ramp(-1024, 3071, np.int16)), source_range="lung", target_range="bone", held_out=0
    )
    assert (dataset.spec.source.low, dataset.spec.source.high) == (-1350, 150)
    assert dataset.pairs("train")[0].target.max() == 1300
    assert not dataset.notes


def test_one_pair_of_ranges_is_of_both_sides_or_of_each(data):
    root = data(ramp(0, 4000, np.float32), ramp(-1000, 1500, np.float32))
    dataset = paired_folders(root=root, float_range=((0, 4000), (-1000, 1500)), held_out=0)
    assert (dataset.spec.source.high, dataset.spec.target.low) == (4000, -1000)
