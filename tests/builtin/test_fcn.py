"""The network for segmentation."""

import pytest
import torch
from torch import nn

from p2pkit import ComponentError, ImageSpec, PairSpec
from p2pkit.builtin.generators.fcn import FCN


def photos_to_labels(height=48, width=64, classes=4):
    return PairSpec(ImageSpec(3), ImageSpec(classes, kind="labels"), height, width)


@pytest.mark.parametrize("stride", [2, 4, 8, 16, 32])
@pytest.mark.parametrize("size", [(48, 64), (33, 50)])
def test_shares_of_the_classes_for_any_size(stride, size):
    planes = FCN(photos_to_labels(), width=4, stride=stride)(torch.randn(2, 3, *size))
    assert planes.shape == (2, 4, *size)
    torch.testing.assert_close(((planes + 1) / 2).sum(1), torch.ones(2, *size))


@pytest.mark.parametrize(("stride", "votes"), [(32, 1), (16, 2), (8, 3), (4, 4), (2, 5)])
def test_each_stage_from_its_stride_on_votes(stride, votes):
    network = FCN(photos_to_labels(), width=4, stride=stride)
    assert len(network.votes) == votes
    network(torch.randn(2, 3, 48, 64)).square().mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_votes_are_cast_for_squares_of_the_stride():
    """Without the coarse votes, what a fine vote says reaches as far as its enlargement does, and no further."""
    network = FCN(photos_to_labels(64, 64), width=4, stride=8).eval()
    for vote in network.votes[1:]:
        nn.init.zeros_(vote.weight)
    source = torch.zeros(1, 3, 64, 64)
    changed = source.clone()
    changed[..., :8, :8] = 1
    moved = (network(changed) - network(source)).abs().sum(1)[0]
    assert moved[:8, :8].max() > 0
    assert moved[48:, 48:].max() == 0


def test_it_learns_four_squares():
    torch.manual_seed(0)
    labels = torch.arange(4).view(1, 2, 2).repeat_interleave(16, 1).repeat_interleave(16, 2)
    photo = torch.stack([labels % 2, labels // 2, labels * 0], 1).float() * 2 - 1
    network = FCN(photos_to_labels(32, 32), width=4, stride=4)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    batch = photo.expand(2, -1, -1, -1) + 0.1 * torch.randn(2, 3, 32, 32)
    for _ in range(20):
        shares = (network(batch) + 1) / 2
        optimizer.zero_grad()
        nn.functional.nll_loss((shares + 1e-6).log(), labels.expand(2, -1, -1)).backward()
        optimizer.step()
    assert (network(batch).argmax(1) == labels).float().mean() > 0.9


def test_targets_that_are_not_labels():
    with pytest.raises(ComponentError, match="fcn is for targets that are labels"):
        FCN(PairSpec(ImageSpec(3), ImageSpec(3), 32, 32))
