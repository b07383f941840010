"""Instance edges: where one object ends and the next begins, which a map of classes does not show."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def instance_edges(instances: Tensor) -> Tensor:
    """Mark the pixels whose instance is not that of all four neighbours.

    Args:
        instances: Any numbers or colours that tell instances apart.

    Returns:
        True at the edges, which are two pixels wide: one on each side.

    Shape: (C, H, W) -> (1, H, W) of bool.
    Source: Wang et al. 2018, arXiv:1711.11585, section 3.3.
    """
    ids = instances.float()  # exact below 2**24; unsigned 16-bit tensors can't be compared everywhere
    right = (ids[:, :, 1:] != ids[:, :, :-1]).any(0, keepdim=True)
    below = (ids[:, 1:] != ids[:, :-1]).any(0, keepdim=True)
    across = functional.pad(right, (1, 0)) | functional.pad(right, (0, 1))
    return across | functional.pad(below, (0, 0, 1, 0)) | functional.pad(below, (0, 0, 0, 1))


def source_planes(labels: Tensor, instances: Tensor, classes: int) -> Tensor:
    """Lay out a label map and its instances as the source of a generator: a plane for each class, and the edges.

    Args:
        labels: Indices of classes.
        instances: Numbers or colours of instances.
        classes: Number of classes.

    Returns:
        The stored source: 255 where a pixel is of the class or at an edge, else 0.

    Shape: labels (1, H, W), instances (C, H, W) -> (classes + 1, H, W) of uint8.
    Source: Wang et al. 2018, arXiv:1711.11585, section 3.3.
    """
    planes = labels.long() == torch.arange(classes, device=labels.device)[:, None, None]
    return torch.cat([planes, instance_edges(instances)]).to(torch.uint8) * 255
