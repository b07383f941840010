"""Pairs that are not what their data set's spec says are named before training, and none is refused that is."""

from __future__ import annotations

import pytest
import torch

from p2pkit import DataError, ImageSpec, Pair, PairSpec
from p2pkit.engine.data.decode import load_split
from p2pkit.engine.data.pair_sources import BatchOrder
from p2pkit.engine.data.streaming import StreamedPairs

RGB = PairSpec(ImageSpec(3), ImageSpec(3), 4, 6)
LABELS = PairSpec(ImageSpec(5, kind="labels"), ImageSpec(3), 4, 6)
UNIT = PairSpec(ImageSpec(3, low=0, high=1), ImageSpec(3), 4, 6)
FINE = torch.arange(72, dtype=torch.uint8).view(3, 4, 6)


class Stream:
    def __init__(self, pairs):
        self.pairs = pairs

    def __len__(self):
        return len(self.pairs)

    def decoders(self, *, part=0, parts=1, seed=None, start=0):
        return ((lambda pair=pair: pair) for pair in self.pairs[part::parts][start:])


def pairs(bad, *, side="source"):
    whole = {"source": FINE, "target": FINE}
    return [Pair(**whole, name="good.png"), Pair(**{**whole, side: bad}, name="bad.png")]


def nan(value):
    image = FINE.float()
    image[0, 0, 0] = value
    return image


BAD = {
    "channels last": (FINE.permute(1, 2, 0), "is of shape 4 x 6 x 3, where 3 x 4 x 6 is stated"),
    "another size": (FINE[:, :3], "is of shape 3 x 3 x 6"),
    "an array": (FINE.numpy(), "is a ndarray and not a torch.Tensor"),
    "not a number": (nan(float("nan")), "has values that are not finite"),
    "infinite": (nan(float("inf")), "has values that are not finite"),
    "negative": (nan(-1.0), "has values from -1 to 71"),
    "sixteen bits": (FINE.to(torch.uint16) * 257, "where 0 to 255 is stated"),
}


@pytest.mark.parametrize(("image", "told"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("side", ["source", "target"])
def test_a_pair_that_differs_from_the_spec_is_named(image, told, side):
    with pytest.raises(DataError) as caught:
        load_split(pairs(image, side=side), images=RGB)
    problem = caught.value.problems[0]
    assert problem.path == "bad.png"
    assert problem.cause.startswith(f"its {side} ")
    assert told in problem.cause


@pytest.mark.parametrize(("image", "told"), BAD.values(), ids=BAD)
def test_so_it_is_in_a_stream(image, told):
    stored = StreamedPairs(Stream(pairs(image)), images=RGB)
    with pytest.raises(DataError, match=r"bad\.png"):
        list(stored.epoch(BatchOrder(batch=1)))


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (torch.full((1, 4, 6), 5, dtype=torch.uint8), "has classes from 5 to 5, where 0 to 4 is stated"),
        (torch.full((1, 4, 6), -1, dtype=torch.int16), "has classes from -1 to -1"),
        (torch.zeros(1, 4, 6), "is a label map of torch.float32"),
        (torch.zeros(5, 4, 6, dtype=torch.uint8), "is of shape 5 x 4 x 6, where 1 x 4 x 6 is stated"),
    ],
)
def test_label_maps(image, told):
    found = [Pair(image, FINE, "map.png")]
    with pytest.raises(DataError) as caught:
        load_split(found, images=LABELS)
    assert told in caught.value.problems[0].cause


def test_what_is_no_pair():
    with pytest.raises(DataError, match=r"gave a tuple where a p2pkit\.Pair is wanted"):
        load_split([(FINE, FINE, "name")], images=RGB)


def test_floats_on_another_scale_are_told_of_all_pairs_together():
    unit = [Pair(FINE, FINE / 255, f"{n}.npy") for n in range(3)]
    with pytest.raises(DataError, match=r"no target has a value above 0\.278431, where up to 255 is stated"):
        load_split(unit, images=RGB)
    assert len(load_split([*unit, Pair(FINE, FINE.float(), "bright.npy")], images=RGB)[0]) == 4
    black = [Pair(FINE, torch.zeros(3, 4, 6), "black.npy")]
    assert len(load_split(black, images=RGB)[0]) == 1


def test_what_is_as_stated_passes():
    assert len(load_split([Pair(FINE / 255, FINE, "unit.npy")], images=UNIT)[0]) == 1
    whole = torch.full((1, 4, 6), 4, dtype=torch.uint8)
    assert len(load_split([Pair(whole, FINE, "map.png")], images=LABELS)[0]) == 1


def test_what_differs_can_be_left_out():
    stored, left_out = load_split(pairs(FINE.numpy()), images=RGB, unreadable="skip")
    assert len(stored) == 1
    assert left_out[0].path == "bad.png"


@pytest.mark.parametrize("name", ["../train/0", "/etc/0", "a/../../0", "", "0\n", 7])
def test_a_name_that_can_not_be_a_files_is_refused(name):
    with pytest.raises(DataError, match="a pair's name"):
        load_split([Pair(FINE, FINE, name)], images=RGB)


def test_a_name_may_have_folders():
    assert len(load_split([Pair(FINE, FINE, "city/0001.png")], images=RGB)[0]) == 1
