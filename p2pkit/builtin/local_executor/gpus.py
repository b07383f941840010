"""The GPUs of this machine, handed out to processes, whole or in shares."""

from __future__ import annotations

import math
import os
import threading

import p2pkit

Devices = tuple[str, ...]


def visible_gpus() -> Devices:
    """Return what CUDA_VISIBLE_DEVICES calls the GPUs that this process may use."""
    import torch

    count = torch.cuda.device_count()
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    return tuple(named[:count] if any(named) else map(str, range(count)))


class Gpus:
    """What is taken and given back.

    Args:
        names: The GPUs.
    """

    def __init__(self, names: Devices) -> None:
        self._free = dict.fromkeys(names, 1.0)
        self._changed = threading.Condition()

    def require(self, count: float | None) -> None:
        """Refuse what this machine never has.

        Raises:
            DeviceError: It has fewer.
        """
        if self._wanted(count) > len(self._free):
            cause = f"asks for {count:g}, and this machine has {len(self._free)}"
            raise p2pkit.DeviceError(p2pkit.Problem("executor.gpus", cause, "ask for fewer, or for none: 0"))

    def take(self, count: float | None) -> Devices:
        """Wait until so many are free, and take them: of a share, from the one that most is left of."""
        wanted = self._wanted(count)
        share = min(wanted, 1.0)
        with self._changed:
            self._changed.wait_for(lambda: len(self._enough(share)) >= math.ceil(wanted))
            taken = tuple(self._enough(share)[: math.ceil(wanted)])
            for name in taken:
                self._free[name] -= share
        return taken

    def give_back(self, taken: Devices, count: float | None) -> None:
        """Let others have them."""
        with self._changed:
            for name in taken:
                self._free[name] += min(self._wanted(count), 1.0)
            self._changed.notify_all()

    def _wanted(self, count: float | None) -> float:
        return float(bool(self._free)) if count is None else count

    def _enough(self, share: float) -> list[str]:
        free = sorted(self._free, key=lambda name: -self._free[name])
        return [name for name in free if self._free[name] > share - 1e-9]
