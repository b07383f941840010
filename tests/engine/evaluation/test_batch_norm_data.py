"""The training sources from which batch norm's statistics are gathered anew."""

from __future__ import annotations

import pytest
import torch

from p2pkit import ImageSpec, PairSpec
from p2pkit.engine.data.pair_sources import Cached
from p2pkit.engine.device.placement import Placement
from p2pkit.engine.device.precision import Precision
from p2pkit.engine.evaluation import batch_norm_data
from p2pkit.engine.evaluation.batch_norm_data import BatchNormCalibrationSet

CPU = torch.device("cpu")
PLACE = Placement(CPU, Precision("fp32", CPU), torch.channels_last)
COLOUR = PairSpec(ImageSpec(3), ImageSpec(1), 4, 4)


def stored(count, size=4, channels=3):
    """Pairs whose sources hold their own index."""
    source = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(count, channels, size, size)
    return Cached([str(index) for index in range(count)], source.contiguous(), torch.zeros(count, 1, size, size))


def indices(batches):
    return [((batch[:, 0, 0, 0] + 1) * 127.5).round().int().tolist() for batch, _ in batches]


def test_all_sources_come_as_networks_see_them():
    batches = list(BatchNormCalibrationSet(stored(5), COLOUR, 2, PLACE))
    assert indices(batches) == [[0, 1], [2, 3], [4]]
    assert batches[0][0].shape == (2, 3, 4, 4)
    assert batches[0][0].is_contiguous(memory_format=torch.channels_last)
    assert indices(BatchNormCalibrationSet(stored(5), COLOUR, 2, PLACE)) == indices(batches)


def test_larger_ones_are_brought_to_the_size_of_the_runs_images():
    ((batch, _),) = BatchNormCalibrationSet(stored(2, size=9), COLOUR, 4, PLACE)
    assert batch.shape == (2, 3, 4, 4)
    assert indices([(batch, {})]) == [[0, 1]]


def test_labels_stay_whole_when_they_are_resized():
    images = PairSpec(ImageSpec(3, kind="labels"), ImageSpec(1), 4, 4)
    maps = torch.randint(3, (2, 1, 10, 10), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    pairs = Cached(["a", "b"], maps, torch.zeros(2, 1, 10, 10))
    ((batch, _),) = BatchNormCalibrationSet(pairs, images, 2, PLACE)
    assert set(batch.unique().tolist()) <= {-1.0, 1.0}
    assert (batch.sum(1) == -1).all()  # one plane of three is set


@pytest.mark.parametrize(("batch", "batches"), [(4, 3), (5, 2)])
def test_of_many_some_are_drawn_always_the_same(monkeypatch, batch, batches):
    monkeypatch.setattr(batch_norm_data, "MOST", 10)
    found = [indices(BatchNormCalibrationSet(stored(40), COLOUR, batch, PLACE)) for _ in range(2)]
    assert found[0] == found[1]
    assert [len(each) for each in found[0]] == [batch] * batches
    drawn = [index for each in found[0] for index in each]
    assert len(set(drawn)) == len(drawn)
    assert drawn != sorted(drawn)


def test_scores_say_what_the_statistics_depend_on(monkeypatch):
    assert BatchNormCalibrationSet(stored(5), COLOUR, 2, PLACE).protocol() == {
        "recalibrated": "5 training pairs, 2 at a time"
    }
    monkeypatch.setattr(batch_norm_data, "MOST", 3)
    assert "3 training pairs" in BatchNormCalibrationSet(stored(5), COLOUR, 2, PLACE).protocol()["recalibrated"]
