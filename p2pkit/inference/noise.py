"""Whether a network draws random numbers when it translates."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def without_noise(forward: Callable[[], Tensor], device: torch.device) -> Tensor | None:
    """Return what a forward pass makes; None where it draws random numbers, which images of a batch would share.

    Args:
        forward: The pass.
        device: Where it computes.
    """
    before = _states(device)
    made = forward()
    drawn = any(not torch.equal(one, other) for one, other in zip(before, _states(device), strict=True))
    return None if drawn else made


def _states(device: torch.device) -> list[Tensor]:
    states = [torch.get_rng_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    return states
