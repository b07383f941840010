"""The arithmetic of the forward passes."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.optim import Optimizer

from p2pkit.engine.device.cpu_convolutions import CpuConvolutionMode

_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Precision:
    """The arithmetic of the networks; losses are always computed in fp32 outside of it.

    Args:
        name: `fp32`, `bf16` or `fp16`.
        device: Where.
        products: Whether a CPU may compute convolutions in fp32 as matrix products.
    """

    def __init__(self, name: str, device: torch.device, *, products: bool = False) -> None:
        self.name = name
        self.device = device
        self.products = products and name == "fp32" and device.type == "cpu"
        self.scaler = torch.amp.GradScaler(device.type, enabled=name == "fp16")

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context of a forward pass."""
        if self.name == "fp32":
            return CpuConvolutionMode() if self.products else nullcontext()
        return torch.autocast(self.device.type, dtype=_TYPES[self.name])

    def scale(self, loss: Tensor) -> Tensor:
        """Scale a loss, where fp16 would underflow."""
        return self.scaler.scale(loss)

    def unscale(self, optimizer: Optimizer) -> None:
        """Take the scale out of an optimiser's gradients."""
        self.scaler.unscale_(optimizer)

    def step(self, optimizer: Optimizer) -> None:
        """Update an optimiser's parameters; fp16 leaves out an update that overflowed."""
        if any(p.grad is not None for group in optimizer.param_groups for p in group["params"]):
            self.scaler.step(optimizer)

    def update(self) -> None:
        """Adapt the scale after a step."""
        if self.scaler.is_enabled():
            self.scaler.update()


def choose_precision(wanted: str, device: torch.device, *, products: bool = False) -> Precision:
    """Return the arithmetic that a config's `engine.precision` means on a device."""
    if wanted == "auto":
        wanted = "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    return Precision(wanted, device, products=products)
