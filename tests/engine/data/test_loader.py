from __future__ import annotations

import pytest
import torch

from p2pkit import DataError, ImageSpec, Pair, PairSpec, Problem
from p2pkit.engine.data.decode import load_split
from p2pkit.engine.data.loader import Loader
from p2pkit.engine.data.pair_sources import Cached, Uncached
from p2pkit.engine.device.placement import Placement
from p2pkit.engine.device.precision import Precision

CPU = torch.device("cpu")
PLACE = Placement(CPU, Precision("fp32", CPU), torch.channels_last)
IMAGES = PairSpec(ImageSpec(1), ImageSpec(1), 2, 2)


class Numbers:
    """Pairs whose images hold their own index; some can't be read."""

    def __init__(self, count, broken=()):
        self.count = count
        self.broken = broken
        self.reads = 0

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        self.reads += 1
        if index in self.broken:
            raise DataError(Problem(f"{index}.png", "is damaged"))
        image = torch.full((1, 2, 2), index, dtype=torch.uint8)
        return Pair(image, image + 100, str(index))


def loader(stored, **options):
    return Loader(stored, IMAGES, batch=4, place=PLACE, **options)


def indices(batches):
    return [((batch.source[:, 0, 0, 0] + 1) * 127.5).round().int().tolist() for batch in batches]


@pytest.mark.parametrize(("cache", "kind"), [("memory", Cached), ("disk", Cached), ("off", Uncached)])
def test_all_caches_give_the_same_batches(cache, kind):
    stored, left_out = load_split(Numbers(10), cache=cache)
    assert isinstance(stored, kind)
    assert left_out == []
    batches = list(loader(stored).epoch())
    assert indices(batches) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert batches[0].target[0, 0, 0, 0].item() == pytest.approx(100 / 127.5 - 1)
    assert batches[0].source.is_contiguous(memory_format=torch.channels_last)


def test_workers_decode_where_nothing_is_kept():
    stored, _ = load_split(Numbers(8), cache="off", workers=1)
    assert indices(loader(stored).epoch()) == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_cached_pairs_are_decoded_once():
    numbers = Numbers(6)
    stored, _ = load_split(numbers)
    for _ in range(3):
        list(loader(stored).epoch())
    assert numbers.reads == 6


def test_order_is_settled_by_seed_and_epoch():
    stored, _ = load_split(Numbers(10))
    first = indices(loader(stored, shuffle=True, seed=1).epoch(0))
    assert [len(batch) for batch in first] == [4, 4]
    assert first == indices(loader(stored, shuffle=True, seed=1).epoch(0))
    assert first != indices(loader(stored, shuffle=True, seed=1).epoch(1))
    assert first != indices(loader(stored, shuffle=True, seed=2).epoch(0))
    assert first[1:] == indices(loader(stored, shuffle=True, seed=1).epoch(0, skip=1))


def test_unreadable_files_stop_the_run_and_are_all_named():
    with pytest.raises(DataError) as caught:
        load_split(Numbers(10, broken=(2, 7)))
    text = str(caught.value)
    assert "2.png: is damaged" in text
    assert "7.png: is damaged" in text
    assert "dataset.unreadable: 2 files can't be read" in text
    assert "write skip here" in text


@pytest.mark.parametrize("cache", ["memory", "disk", "off"])
def test_unreadable_files_can_be_left_out(cache):
    stored, left_out = load_split(Numbers(6, broken=(2, 3)), unreadable="skip", cache=cache)
    assert list(stored.names) == ["0", "1", "4", "5"]
    assert indices(loader(stored).epoch()) == [[0, 1, 4, 5]]
    assert [problem.path for problem in left_out] == ["2.png", "3.png"]


def test_nothing_readable_is_an_error_even_when_skipping():
    with pytest.raises(DataError, match="can't be read"):
        load_split(Numbers(2, broken=(0, 1)), unreadable="skip")


def test_progress_is_reported():
    seen = []
    load_split(Numbers(3), what="reading", report=lambda *said: seen.append(said))
    assert seen == [("reading", 1, 3), ("reading", 2, 3), ("reading", 3, 3)]


def test_augmentations_run_in_order_on_network_images():
    stored, _ = load_split(Numbers(4))
    steps = [lambda s, t: (s + 1, t), lambda s, t: (s * 2, t)]
    (batch,) = loader(stored, augmentations=steps).epoch()
    plain = next(iter(loader(stored).epoch()))
    torch.testing.assert_close(batch.source, (plain.source + 1) * 2)
    torch.testing.assert_close(batch.target, plain.target)
