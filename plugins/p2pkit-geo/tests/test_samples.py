"""Data sets that give dicts, as torchgeo's do."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import p2pkit
import pytest
import torch

from p2pkit_geo import Chips, as_pairs, torchgeo_pairs


class LandCover:
    """What torchgeo's data sets are: built of a root and a split, and of dicts by number."""

    def __init__(self, root: str = "data", split: str = "train", count: int = 3) -> None:
        if split == "test":
            raise ValueError("there is no split test")
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, object]:
        mask = torch.full((12, 12), index, dtype=torch.long)
        return {"image": torch.full((4, 12, 12), index * 1000.0), "mask": mask, "crs": "EPSG:32632"}


@pytest.fixture
def installed(monkeypatch):
    module = ModuleType("torchgeo.datasets")
    module.LandCover, module.some_function = LandCover, print
    monkeypatch.setitem(sys.modules, "torchgeo", ModuleType("torchgeo"))
    monkeypatch.setitem(sys.modules, "torchgeo.datasets", module)


def test_samples_are_pairs(installed):
    splits = {"train": {}, "val": {"split": "val", "count": 2}}
    dataset = torchgeo_pairs(name="LandCover", splits=splits, target_classes=5, source_range=(0, 4000), size=6)
    assert {split: len(dataset.pairs(split)) for split in dataset.splits} == {"train": 3, "val": 2}
    pair = dataset.pairs("train")[2]
    assert (pair.name, pair.source.shape, pair.target.dtype) == ("000002", (4, 6, 6), torch.uint8)
    assert (float(pair.source.max()), int(pair.target.max())) == (2000.0, 2)
    assert (dataset.spec.source.channels, dataset.spec.target.kind) == (4, "labels")
    assert [pair.name for pair in dataset.pairs("train")[1:]] == ["000001", "000002"]


def test_one_thread_at_a_time_asks_for_samples():
    class Alone(LandCover):
        busy = False

        def __getitem__(self, index):
            assert not self.busy
            self.busy = True
            time.sleep(0.01)
            self.busy = False
            return super().__getitem__(index)

    pairs = as_pairs({"train": Alone(count=8)}, source_range=(0, 9000), target_classes=9).pairs("train")
    with ThreadPoolExecutor(4) as pool:
        assert [pair.name for pair in pool.map(pairs.__getitem__, range(8))] == [f"{n:06}" for n in range(8)]


def test_samples_by_place_are_samples_by_number():
    by_place = {place: {"image": torch.full((1, 4, 4), number / 4)} for number, place in enumerate("abc")}
    chips = Chips(by_place, iter("cab"))
    assert [float(chips[index]["image"].max()) for index in range(len(chips))] == [0.5, 0.0, 0.25]
    assert chips[1:].places == ("a", "b")


def test_the_map_may_be_the_source():
    dataset = as_pairs({"train": LandCover()}, source="mask", target="image", source_classes=3, target_range=(0, 3000))
    assert (dataset.spec.source.kind, dataset.spec.target.channels, dataset.spec.height) == ("labels", 4, 12)


@pytest.mark.parametrize(
    ("params", "cause"),
    [
        ({"name": "some_function"}, "has no data set 'some_function'"),
        ({"name": "LandCover"}, "LandCover can't be opened: ValueError: there is no split test"),
        ({"name": "LandCover", "splits": {"train": {}}, "target": "label"}, "the first sample has no 'label'"),
        ({"name": "LandCover", "splits": {"val": {}}}, "no split train"),
    ],
)
def test_what_can_not_be_used_is_said(installed, params, cause):
    with pytest.raises(p2pkit.ComponentError, match=cause):
        torchgeo_pairs(**params)


def test_torchgeo_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchgeo.datasets", None)
    with pytest.raises(p2pkit.ComponentError, match="torchgeo can't be imported") as caught:
        torchgeo_pairs(name="LandCoverAI")
    assert caught.value.remedy == "pip install 'p2pkit-geo[torchgeo]'"
