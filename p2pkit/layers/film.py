"""Maps that a vector scales and shifts."""

from __future__ import annotations

from torch import Tensor, nn

from p2pkit.errors import ComponentError
from p2pkit.types import PairSpec, VectorSpec


class FiLM(nn.Module):
    """Scales and shifts each channel by what a linear layer makes of a vector.

    Args:
        size: Numbers of the vector.
        channels: Channels of the maps.
        std: Standard deviation of the initial weights.

    Shape: maps (B, C, H, W), vector (B, size) -> (B, C, H, W).
    Source: Perez et al. 2018, arXiv:1709.07871, section 2.
    """

    def __init__(self, size: int, channels: int, std: float = 0.02) -> None:
        super().__init__()
        self.linear = nn.Linear(size, 2 * channels)
        nn.init.normal_(self.linear.weight, 0.0, std)
        nn.init.zeros_(self.linear.bias)

    def forward(self, maps: Tensor, vector: Tensor) -> Tensor:
        """Scale and shift."""
        factor, shift = self.linear(vector)[:, :, None, None].chunk(2, 1)
        changed: Tensor = maps * (1 + factor) + shift
        return changed


def condition_size(images: PairSpec, name: str, parameter: str = "condition") -> int:
    """Return how many numbers the vector has that a network is conditioned on.

    Args:
        images: What the run's images are, and what stands beside them.
        name: The vector's name.
        parameter: The parameter that names it.

    Raises:
        ComponentError: There is no such vector.
    """
    spec = images.extras.get(name)
    if isinstance(spec, VectorSpec):
        return spec.size
    vectors = [key for key, each in images.extras.items() if isinstance(each, VectorSpec)]
    known = f"name one of {', '.join(vectors)}, or " if vectors else ""
    remedy = f"{known}write noise: {{{name}: 8}} in the config for numbers that are drawn"
    raise ComponentError(f"no vector {name!r} stands beside the images", remedy=remedy, parameter=parameter)
