"""Devices and arithmetic: what `auto` means here, autocast, and the scaler that fp16 needs."""

from __future__ import annotations

import platform
import sys
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from p2pkit.config import RunConfig
from p2pkit.config.model import EngineConfig
from p2pkit.engine.convolutions import Products
from p2pkit.engine.processes import processes
from p2pkit.errors import Problem

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
        self._updated = False

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context of a forward pass."""
        if self.name == "fp32":
            return Products() if self.products else nullcontext()
        return torch.autocast(self.device.type, dtype=_TYPES[self.name])

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


@dataclass(frozen=True, slots=True)
class Place:
    """Where and how networks compute.

    Args:
        device: The device.
        precision: The arithmetic.
        memory_format: The layout of images in memory.
    """

    device: torch.device
    precision: Precision
    memory_format: torch.memory_format

    def facts(self) -> dict[str, object]:
        """Return the place in words, for trackers."""
        return {
            "device": device_name(self.device),
            "precision": self.precision.name,
            "convolutions": "products" if self.precision.products else "direct",
            "channels_last": self.memory_format == torch.channels_last,
        }

    def put(self, network: nn.Module) -> nn.Module:
        """Move a network here.

        On a CPU weights of transposed convolutions stay contiguous: those that lie channels last are copied in each
        fused update, and the backward pass copies more too.
        """
        network.to(device=self.device).to(memory_format=self.memory_format)
        transposed = (module for module in network.modules() if isinstance(module, nn.ConvTranspose2d))
        for module in transposed if self.device.type == "cpu" else ():
            module.weight.data = module.weight.data.contiguous()
        return network


def choose_place(engine: EngineConfig, *networks: nn.Module) -> Place:
    """Settle what `auto` means on this machine, for these networks."""
    device = choose_device(engine.device)
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)  # streams and graphs belong to the present one
    precision = choose_precision(engine.precision, device, products=engine.convolutions == "products")
    return Place(device, precision, choose_memory_format(engine.memory_format, device, *networks))


def choose_device(wanted: str) -> torch.device:
    """Return the device that a config's `engine.device` means to this process; each of several has a GPU of its own."""
    here = processes()
    if wanted == "auto" and torch.cuda.is_available():
        wanted = "cuda"
    if wanted == "auto":
        wanted = "mps" if torch.backends.mps.is_available() and not here.several else "cpu"
    return torch.device(wanted, here.local_rank) if wanted == "cuda" and here.several else torch.device(wanted)


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


def choose_memory_format(wanted: str, device: torch.device, *networks: nn.Module) -> torch.memory_format:
    """Return the layout that a config's `engine.memory_format` means on a device, for these networks."""
    last = wanted == "channels_last" or (wanted == "auto" and device.type in ("cpu", "cuda"))
    if last and device.type == "cpu" and any(map(_crashes_channels_last, networks)):
        if wanted != "auto":
            warnings.warn(
                "engine.memory_format: channels_last crashes torch with this network, so it is not used", stacklevel=2
            )
        last = False
    return torch.channels_last if last else torch.contiguous_format


def _crashes_channels_last(network: nn.Module) -> bool:
    """Whether the backward pass on a CPU would write past its memory.

    Seen in torch 2.15: a strided 1 x 1 convolution of fewer than 16 channels, channels last, ends the process.
    """
    convolutions = (module for module in network.modules() if isinstance(module, nn.Conv2d))
    return any(c.kernel_size == (1, 1) and c.stride != (1, 1) and c.in_channels < 16 for c in convolutions)


def _has_gradients(optimizer: Optimizer) -> bool:
    return any(p.grad is not None for group in optimizer.param_groups for p in group["params"])


def device_name(device: torch.device) -> str:
    """Return what people call the device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type} ({platform.machine()})"


def device_problems(config: RunConfig) -> list[Problem]:
    """List what this machine can't do of what a config asks."""
    wanted = config.engine.device
    problems = []
    if wanted.startswith("cuda"):
        count = torch.cuda.device_count()
        if int(wanted.partition(":")[2] or 0) >= count:
            cause = f"there is no {wanted} here: torch {torch.__version__} sees {count} CUDA devices"
            problems.append(Problem("engine.device", cause, "write auto or cpu, or install a driver that fits torch"))
    if wanted == "mps" and not torch.backends.mps.is_available():
        problems.append(Problem("engine.device", "there is no mps device here", "write auto or cpu"))
    problems += _problems_among_several(wanted)
    device = wanted if wanted != "auto" else choose_device(wanted).type
    if config.engine.precision == "fp16" and device == "cpu":
        problems.append(Problem("engine.precision", "fp16 is of no use on a CPU", "write auto, fp32 or bf16"))
    return problems


def _problems_among_several(wanted: str) -> list[Problem]:
    here = processes()
    if not here.several:
        return []
    path, count = "engine.device", torch.cuda.device_count()
    if wanted == "mps" or wanted.startswith("cuda:"):
        return [Problem(path, f"{wanted} can't serve {here.count} processes", "write auto, cuda or cpu")]
    if choose_device(wanted).type == "cuda" and 0 < count <= here.local_rank:
        cause = f"{here.local_count} processes on this machine need a GPU each, and torch sees {count}"
        return [Problem(path, cause, f"start torchrun with --nproc-per-node {count}, or write cpu")]
    return []
