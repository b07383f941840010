"""The arithmetic of the forward passes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from p2pkit.engine.device.cpu_convolutions import CpuConvolutionMode
from p2pkit.engine.device.fewer_launches import FewerLaunches
from p2pkit.untyped import Made

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
        self.together = device.type == "cuda"  # a CPU launches nothing, so there is nothing to save
        self._updated = False

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context of a forward pass."""
        if self.name == "fp32":
            return CpuConvolutionMode() if self.products else nullcontext()
        return torch.autocast(self.device.type, dtype=_TYPES[self.name])

    def asking(self, network: nn.Module) -> Callable[..., Made]:
        """Return how a network is asked between two of its updates: itself, or in fewer launches.

        Where gradients are exchanged among processes, that is done as they come, one by one.
        """
        compiled = network._compiled_call_impl is not None
        if not self.together or compiled or isinstance(network, DistributedDataParallel):
            return network
        return FewerLaunches(network, _TYPES.get(self.name))

    @contextmanager
    def one_by_one(self) -> Iterator[None]:
        """Context in which weights are cast one by one, so that each is found in the history of what it made."""
        before, self.together = self.together, False
        try:
            yield
        finally:
            self.together = before

    def scale(self, loss: Tensor) -> Tensor:
        """Scale a loss, where fp16 would underflow."""
        return self.scaler.scale(loss)

    def unscale(self, optimizer: Optimizer) -> None:
        """Take the scale out of an optimiser's gradients."""
        if _has_gradients(optimizer):
            self.scaler.unscale_(optimizer)

    def step(self, optimizer: Optimizer) -> None:
        """Update an optimiser's parameters; fp16 leaves out an update that overflowed."""
        if _has_gradients(optimizer):
            self.scaler.step(optimizer)
            self._updated = True

    def update(self) -> None:
        """Adapt the scale after a step; where no term was due there is nothing to go by."""
        if self.scaler.is_enabled() and self._updated:
            self.scaler.update()
        self._updated = False


def choose_precision(wanted: str, device: torch.device, *, products: bool = False) -> Precision:
    """Return the arithmetic that a config's `engine.precision` means on a device."""
    if wanted == "auto":
        wanted = _fastest_on_gpu(device) if device.type == "cuda" else "fp32"
    return Precision(wanted, device, products=products)


def _fastest_on_gpu(device: torch.device) -> str:
    """Return what a GPU computes in hardware: compute capability 7 has fp16 alone, and emulates bf16 slowly."""
    with torch.cuda.device(device):
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bf16"
        return "fp16" if torch.cuda.get_device_capability() >= (7, 0) else "fp32"


def allow_tf32(allowed: bool) -> None:
    """Let a GPU round the factors of fp32 products and convolutions to TF32, or not."""
    torch.set_float32_matmul_precision("high" if allowed else "highest")
    torch.backends.cudnn.allow_tf32 = allowed


@contextmanager
def full_fp32() -> Iterator[None]:
    """Context without TF32, so that what is computed in fp32 is the same on every device."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    allow_tf32(False)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def forked(device: torch.device) -> AbstractContextManager[None]:
    """Return a context that puts the random numbers of the CPU and of a device back at its end."""
    context: AbstractContextManager[None] = torch.random.fork_rng([device] if device.type == "cuda" else [])
    return context


def uncompiled(wanted: bool = True) -> AbstractContextManager[object]:
    """Return a context in which compiled networks compute step by step: their gradient can be differentiated."""
    import_is_dear = "torch._dynamo" not in sys.modules  # and without it nothing is compiled
    return nullcontext() if import_is_dear or not wanted else torch.compiler.set_stance("force_eager")


def _has_gradients(optimizer: Optimizer) -> bool:
    return any(p.grad is not None for group in optimizer.param_groups for p in group["params"])
