"""The splits of a run, read when they are wanted."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from p2pkit import ConfigError, DataError, Pair, Problem
from p2pkit.engine.data import splits as room
from p2pkit.engine.data.pair_sources import BatchOrder
from p2pkit.engine.data.splits import Splits
from p2pkit.engine.device.placement import Placement
from p2pkit.engine.device.precision import Precision
from p2pkit.engine.distributed.world import World
from p2pkit.progress import Silent

CPU = torch.device("cpu")
PLACE = Placement(CPU, Precision("fp32", CPU), torch.contiguous_format)


class Told(Silent):
    def __init__(self):
        self.notes, self.worked = [], []

    def note(self, text):
        self.notes.append(text)

    def working(self, *said):
        self.worked.append(said)


class Sized:
    """Pairs of any size, of which one may be damaged."""

    splits = ("train", "val")

    def __init__(self, spec, size=16, broken=()):
        self.spec, self.size, self.broken, self.asked = spec, size, broken, []

    def at(self, height, width):
        self.asked.append((height, width))
        return type(self)(replace(self.spec, height=height, width=width), height, self.broken)

    def pairs(self, split):
        image = torch.zeros(3, self.size, self.size, dtype=torch.uint8)
        return [Pair(image, image, f"{split}-{index}") for index in range(6)] if not self.broken else self

    def __len__(self):
        return 6

    def __getitem__(self, index):
        if index in self.broken:
            raise DataError(Problem(f"{index}.png", "is damaged"))
        return Pair(*(torch.zeros(3, 16, 16, dtype=torch.uint8) for _ in range(2)), str(index))


@pytest.fixture
def splits(checked):
    """Splits of a variation of the tiny run, with data of our own where that is wanted."""

    def make(data=None, **overrides):
        run = checked(**overrides)
        if data is not None:
            object.__setattr__(run, "dataset", data(run.spec))
        return Splits(run, Told())

    return make


def test_only_what_is_wanted_is_read(splits):
    found = splits()
    found.read("val")
    assert found.counts == {"val": 8}
    found.read("train")
    assert found.counts == {"val": 8, "train": 12}
    assert found.reporter.worked[-1] == ("reading train", 12, 12)


def test_a_loader_is_of_the_runs_seed_and_of_the_whole_split(splits):
    found = splits(**{"engine.seed": 7})
    found.read("train")
    loader = found.loader("train", PLACE, 5)
    assert (loader.seed, loader.batch, loader.part, loader.parts, loader.shuffle) == (7, 5, 0, 1, False)
    shared = found.loader("train", PLACE, 4, among=World(2, 3), shuffle=True, seed=1)
    assert (shared.seed, shared.part, shared.parts, shared.shuffle) == (1, 2, 3, True)
    assert next(found.loader("train", PLACE, 5).epoch()).source.shape == (5, 3, 16, 16)


def test_only_what_is_read_again_and_again_may_lie_on_a_gpu(splits, monkeypatch):
    asked = []
    monkeypatch.setattr(room, "fits_on", lambda *asks: asked.append(asks) or True)
    found = splits(**{"engine.cache": "device"})
    found.read("train")
    stored = found.sources["train"]
    assert found.loader("train", PLACE, 4).stored is stored
    assert asked == []
    again = found.loader("train", PLACE, 4, again=True)
    assert asked == [(CPU, 12 * 2 * 3 * 16 * 16, "device")]
    assert again.stored is not stored
    for mine, theirs in zip(again.epoch(), found.loader("train", PLACE, 4).epoch(), strict=True):
        assert torch.equal(mine.source, theirs.source)


def test_a_split_that_was_not_read_has_no_loader(splits):
    with pytest.raises(KeyError, match="train"):
        splits().loader("train", PLACE, 4)


@pytest.mark.parametrize("augment", [["flip"], ["flip", {"use": "jitter_crop", "params": {"load": 20}}]])
def test_the_training_split_is_read_at_the_size_that_augmentations_crop_from(splits, augment):
    found = splits(Sized, augment=augment)
    found.read("train", "val")
    size = 20 if len(augment) == 2 else 16
    assert found.sources["train"].source.shape[-2:] == (size, size)
    assert found.sources["val"].source.shape[-2:] == (16, 16)
    assert found.checked.dataset.asked == ([(20, 20)] if size == 20 else [])


def test_parts_are_taken_of_files_of_other_proportions(splits):
    class Shaped(Sized):
        own_shapes = True

        def pairs(self, split):
            wide = lambda image: torch.cat([image, torch.full_like(image, 9)], 2)  # noqa: E731
            return [Pair(wide(pair.source), wide(pair.target), pair.name) for pair in super().pairs(split)]

    found = splits(Shaped, augment=[{"use": "jitter_crop", "params": {"load": 20}}])
    found.read("train", "val")
    assert found.checked.dataset.asked == [(20, 20), (16, 16)]
    train = torch.cat([source for source, _ in found.sources["train"].epoch(BatchOrder(4, seed=1))])
    assert train.shape[-2:] == (20, 20)
    shares = (train == 9).float().mean((1, 2, 3))
    assert len(set(shares.tolist())) > 2, "each pair's part is drawn by itself"
    val = torch.cat([source for source, _ in found.sources["val"].epoch(BatchOrder(4))])
    assert val.shape[-2:] == (16, 16)
    assert (val[..., 8:] == 9).all(), "the middle one"


def test_what_is_also_scored_is_read_at_its_own_size(splits):
    found = splits(Sized, augment=[{"use": "jitter_crop", "params": {"load": 20}}], **{"evaluate.split": "train"})
    found.read("train")
    assert found.checked.dataset.asked == []


def test_damaged_files_end_the_reading_or_are_told(splits):
    broken = lambda spec: Sized(spec, broken=(1, 4))  # noqa: E731
    with pytest.raises(DataError, match="2 files can't be read"):
        splits(broken).read("val")
    found = splits(broken, **{"dataset.unreadable": "skip"})
    found.read("val")
    assert found.counts == {"val": 4}
    assert found.reporter.notes == ["left out: 1.png: is damaged", "left out: 4.png: is damaged"]


def test_processes_that_find_other_pairs_are_refused(splits, monkeypatch):
    monkeypatch.setattr("p2pkit.engine.distributed.collectives.all_gather", lambda value: [value, "another digest"])
    with pytest.raises(ConfigError, match="the pairs differ between the main process and process 1"):
        splits().read("val")


def test_the_digest_is_of_the_pairs_names(splits, monkeypatch):
    seen = []
    monkeypatch.setattr("p2pkit.engine.data.splits.check_equal_across_ranks", lambda *said: seen.append(said[1]))
    for data in (Sized, Sized, lambda spec: Sized(spec, broken=(1,))):
        splits(data, **{"dataset.unreadable": "skip"}).read("val")
    assert seen[0] == seen[1] != seen[2]
