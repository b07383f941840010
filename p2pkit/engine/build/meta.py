"""Networks built for their shapes alone, on the meta device, which holds no values."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def trial_device(device: str = "meta") -> Iterator[None]:
    """Make tensors on a device on which a network is tried.

    Args:
        device: The device. On the meta device a network that reads its weights from a file gets none, as it should.
    """
    with torch.device(device), warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*copying from a non-meta parameter", UserWarning)
        yield
