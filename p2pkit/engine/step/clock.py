"""The number of the step, on the device, where losses of a captured step read it."""

from __future__ import annotations

import torch


class Clock:
    """Counts steps by itself, as a captured step does, and is set only where a step does not follow the one before.

    Args:
        device: Where it is read.
    """

    def __init__(self, device: torch.device) -> None:
        self.step = torch.full((), -1, dtype=torch.int64, device=device)
        """The number of the present step."""
        self._latest = -1

    def set(self, number: int) -> None:
        """Make sure that the next step will have this number."""
        if number != self._latest + 1:
            self.step.fill_(number - 1)
        self._latest = number

    def count(self) -> None:
        """Begin the next step."""
        self.step.add_(1)
