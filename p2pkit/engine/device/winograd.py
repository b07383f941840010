"""Winograd's minimal filtering: convolutions of stride 1 with a fraction of the multiplications.

A tile of m x m outputs of an r x r kernel takes (m r)^2 multiplications directly, and (m + r - 1)^2 between transformed
tiles and transformed kernels. The transforms are small matrices, so that everything here is a matrix product.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

SIDE = 6
"""Side of a transformed tile."""
_POINTS = tuple(map(Fraction, ("0", "1", "-1", "2", "-1/2")))
"""Where the polynomials behind the transforms are evaluated, besides infinity: these lose least in fp32."""


def winograd(image: Tensor, weight: Tensor, padding: int = 0) -> Tensor:
    """Convolve, with stride 1.

    Args:
        image: The images.
        weight: The kernels; r is at most 5.
        padding: Zeros around the images.

    Returns:
        What `conv2d` returns, to within fp32's rounding.

    Shape: (B, C, H, W), (O, C, r, r) -> (B, O, H + 2 padding - r + 1, W + 2 padding - r + 1).
    Source: Lavin and Gray 2016, arXiv:1509.09308, section 4.1; Barabasz et al. 2020, arXiv:1803.10986 (the points).
    """
    (batch, channels, *sides), (outputs, _, kernel, _) = image.shape, weight.shape
    tile = SIDE + 1 - kernel
    own = [side + 2 * padding - kernel + 1 for side in sides]
    rows, columns = (-(-side // tile) for side in own)
    beyond = [count * tile - side for count, side in zip((rows, columns), own, strict=True)]
    padded = functional.pad(image, (padding, padding + beyond[1], padding, padding + beyond[0]))
    tiles = padded.unfold(2, SIDE, tile).unfold(3, SIDE, tile).permute(4, 5, 1, 0, 2, 3)
    of_output, of_kernel, of_tile = transforms(kernel)
    transformed = (of_tile @ tiles.reshape(SIDE**2, -1)).view(SIDE**2, channels, -1)
    kernels = (of_kernel @ weight.permute(2, 3, 0, 1).reshape(kernel**2, -1)).view(SIDE**2, outputs, channels)
    products = torch.bmm(kernels, transformed).view(SIDE**2, -1)
    result = (of_output @ products).view(tile, tile, outputs, batch, rows, columns).permute(3, 2, 4, 0, 5, 1)
    return result.reshape(batch, outputs, rows * tile, columns * tile)[..., : own[0], : own[1]]


@cache
def transforms(kernel: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the matrices A, G, B of y = A [(G w) * (B d)], for flattened tiles d and kernels w.

    Polynomials are multiplied by evaluating both at as many points as the product has coefficients, multiplying the
    values, and solving for the coefficients; filtering is the transpose of that.

    Args:
        kernel: Side of the kernel.
    """
    tile = SIDE + 1 - kernel
    solve = torch.linalg.inv(_powers(SIDE))
    matrices = (_powers(tile).T, _powers(kernel), solve.T)
    a, g, b = (torch.kron(matrix, matrix).float() for matrix in matrices)
    return a, g, b


def _powers(count: int) -> Tensor:
    """Return each point's powers up to `count`; of infinity only the last counts."""
    finite = [[float(point**power) for power in range(count)] for point in _POINTS]
    return torch.tensor([*finite, [0.0] * (count - 1) + [1.0]], dtype=torch.float64)
