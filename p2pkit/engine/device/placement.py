"""Where the networks lie and in which layout: what `auto` means on this machine."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from p2pkit.config.model import EngineConfig
from p2pkit.engine.device.choose import choose_device, device_name
from p2pkit.engine.device.precision import Precision, choose_precision


@dataclass(frozen=True, slots=True)
class Placement:
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

    def lay(self, tensor: Tensor) -> Tensor:
        """Lay out images; of vectors there is one layout only."""
        return tensor.contiguous(memory_format=self.memory_format) if tensor.ndim == 4 else tensor

    def put(self, network: nn.Module) -> nn.Module:
        """Move a network here.

        On a CPU weights of transposed convolutions stay contiguous: those that lie channels last are copied in each
        fused update, and the backward pass copies more too.
        """
        lay_out(network.to(device=self.device), self.memory_format)
        transposed = (module for module in network.modules() if isinstance(module, nn.ConvTranspose2d))
        for module in transposed if self.device.type == "cpu" else ():
            module.weight.data = module.weight.data.contiguous()
        return network


def lay_out(network: nn.Module, memory_format: torch.memory_format) -> None:
    """Lay out the weights of two-dimensional convolutions; of volumes and vectors there is one layout only."""
    for weight in (*network.parameters(), *network.buffers()):
        if weight.ndim == 4:
            weight.data = weight.data.contiguous(memory_format=memory_format)


def choose_placement(engine: EngineConfig, *networks: nn.Module) -> Placement:
    """Settle what `auto` means on this machine, for these networks."""
    device = choose_device(engine.device)
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)  # streams and graphs belong to the present one
    precision = choose_precision(engine.precision, device, products=engine.convolutions == "products")
    return Placement(device, precision, choose_memory_format(engine.memory_format, device, *networks))


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
