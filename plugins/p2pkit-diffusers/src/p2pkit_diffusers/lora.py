"""Frozen layers that learn by a product of two small matrices beside them."""

from __future__ import annotations

from torch import Tensor, nn


class LowRank(nn.Module):
    """A frozen layer, and beside it one of low rank that learns; at first it adds nothing.

    Args:
        layer: A linear layer or a convolution.
        rank: Channels between the two layers beside it; 0 for none.

    Source: Hu et al. 2021, arXiv:2106.09685, section 4.1.
    """

    def __init__(self, layer: nn.Linear | nn.Conv2d, rank: int) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.down, self.up = _beside(layer, rank)
        nn.init.normal_(self.down.weight, std=1 / rank)
        nn.init.zeros_(self.up.weight)

    def forward(self, values: Tensor) -> Tensor:
        """Add what the small layers make to what the frozen one does."""
        made: Tensor = self.layer(values) + self.up(self.down(values))
        return made


def _beside(layer: nn.Linear | nn.Conv2d, rank: int) -> tuple[nn.Linear | nn.Conv2d, nn.Linear | nn.Conv2d]:
    if isinstance(layer, nn.Linear):
        return nn.Linear(layer.in_features, rank, bias=False), nn.Linear(rank, layer.out_features, bias=False)
    kernel, stride, padding = layer.kernel_size, layer.stride, layer.padding
    down = nn.Conv2d(layer.in_channels, rank, kernel, stride, padding, bias=False)  # type: ignore[arg-type]  # of two
    return down, nn.Conv2d(rank, layer.out_channels, 1, bias=False)


def adapt(network: nn.Module, rank: int) -> None:
    """Freeze a network, and put small layers beside all of its linear layers and convolutions.

    Args:
        network: The network, changed in place.
        rank: Channels of the small layers; 0 for none, so that nothing learns.
    """
    network.requires_grad_(False)
    found = [(name, each) for name, each in network.named_modules() if isinstance(each, nn.Linear | nn.Conv2d)]
    for name, layer in found if rank else ():
        parent, _, own = name.rpartition(".")
        network.get_submodule(parent).register_module(own, LowRank(layer, rank))
