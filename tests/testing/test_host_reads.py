"""What counts as asking the device for a value."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from p2pkit.testing.host_reads import HostRead, no_host_read

HERE = torch.device("cpu")
READS = {
    "item": lambda x: x.sum().item(),
    "float": lambda x: float(x.sum()),
    "branch": lambda x: 1 if x.sum() > 0 else 0,
    "tolist": lambda x: x.tolist(),
    "numpy": lambda x: x.numpy(),
    "cpu": lambda x: x.cpu(),
    "mask": lambda x: x[x > 0],
    "masked assignment": lambda x: x.clone().__setitem__(x > 0, 0),
    "nonzero": lambda x: (x > 0).nonzero(),
    "where": lambda x: torch.where(x > 0),
    "unique": lambda x: torch.unique(x),
    "equal": lambda x: torch.equal(x, x + 1),
    "made there": lambda x: torch.tensor([1.0], device=x.device),
    "drawn there": lambda x: torch.rand((), device=x.device).item(),
    "brought there": lambda x: torch.rand(()).to(x.device).item(),
}
FINE = {
    "arithmetic": lambda x: (x * 2 + 1).sum(),
    "shapes": lambda x: x.view(-1, x.shape[1] * 2),
    "drawn on the host": lambda x: x.roll(torch.randint(3, ()).item()),
    "computed on the host": lambda x: x * (torch.rand(2) * 2 + torch.tensor([1.0, 2.0])).tolist()[0],
    "brought to the device": lambda x: x * (torch.rand(4, 1) < 0.5).to(x.device),
    "where": lambda x: torch.where(x > 0, x, -x),
}


@pytest.fixture
def images():
    return torch.rand(4, 2) - 0.5


@pytest.mark.parametrize("name", READS)
def test_reads(images, name):
    with no_host_read(), pytest.raises(HostRead):
        READS[name](images)


@pytest.mark.parametrize("name", FINE)
def test_no_reads(images, name):
    with no_host_read():
        FINE[name](images)


def test_a_backward_pass_is_looked_at_too(images):
    class Reads(torch.autograd.Function):
        @staticmethod
        def forward(context: object, values: Tensor) -> Tensor:
            return values.clone()

        @staticmethod
        def backward(context: object, *gradients: Tensor) -> Tensor:
            return gradients[0] * gradients[0].sum().item()

    with no_host_read(), pytest.raises(HostRead):
        Reads.apply(images.requires_grad_()).sum().backward()
    images.sum().item()
