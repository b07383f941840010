"""What is exported: the network, with the padding, the statistics and the values of translating around it."""

from __future__ import annotations

import copy
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from p2pkit.errors import ModelError, Problem
from p2pkit.images.convert import to_network, to_stored
from p2pkit.inference.translate import Translator

Layout = Literal["NCHW", "NHWC"]


class PortableGenerator(nn.Module):
    """From images to images, whatever translating does in between included.

    Args:
        translator: The generator, on a CPU.
        stored: Whether images are as stored, and not in [-1, 1].
        layout: Whether channels come before the rows or last.
        half: Whether the network computes in 16 bits.

    Raises:
        ModelError: The generator draws noise, which a program can't, takes more than its source, or makes volumes.

    Shape: (B, C_source, H, W) -> (B, C_target, H, W), or the channels last.
    """

    def __init__(
        self, translator: Translator, *, stored: bool = False, layout: Layout = "NCHW", half: bool = False
    ) -> None:
        super().__init__()
        if translator.dropout == "on":
            cause = "its dropout stays active, by noise that a program has not"
            raise ModelError(Problem("evaluate.dropout", cause, "export with -s evaluate.dropout=off"))
        if taken := translator.companions.specs:
            cause = f"its generator takes {', '.join(taken)} beside the source, and a program takes images alone"
            raise ModelError(Problem("generator", cause, "export its weights by --format safetensors"))
        if translator.images.dims > 2:
            cause = "it makes volumes, and a program makes images"
            raise ModelError(Problem("generator", cause, "export its weights by --format safetensors"))
        self.images, self.multiple = translator.images, translator.multiple
        self.stored, self.layout, self.half_precision = stored, layout, half
        network = copy.deepcopy(translator.generator)
        self.network = _by_own_statistics(network) if translator.batch_norm == "batch" else network
        if half:
            self.network.half()

    def forward(self, source: Tensor) -> Tensor:
        """Translate."""
        if self.layout == "NHWC":
            source = source.permute(0, 3, 1, 2)
        if self.stored:
            source = to_network(source, self.images.source)
        rows, columns = source.shape[2:]
        if self.multiple > 1:
            source = source.index_select(2, _mirrored(rows, self.multiple))
            source = source.index_select(3, _mirrored(columns, self.multiple))
        fakes: Tensor = self.network(source.half()).float() if self.half_precision else self.network(source)
        fakes = fakes[:, :, :rows, :columns]
        if self.stored:
            fakes = to_stored(fakes, self.images.target)
        return fakes.permute(0, 2, 3, 1).contiguous() if self.layout == "NHWC" else fakes


def _mirrored(size: int, multiple: int) -> Tensor:
    """Return the places that fill a side up to a multiple, by reflection."""
    places = torch.arange((size + multiple - 1) // multiple * multiple)
    return torch.where(places < size, places, (2 * (size - 1) - places).clamp(min=0))


class _OwnStatistics(nn.Module):
    """Batch norm by each image's own statistics, whatever stands beside it in the batch."""

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, maps: Tensor) -> Tensor:
        return functional.instance_norm(maps, weight=self.weight, bias=self.bias, eps=self.eps)


def _by_own_statistics(network: nn.Module) -> nn.Module:
    for name, module in list(network.named_modules()):
        if isinstance(module, _BatchNorm):
            parent, _, own = name.rpartition(".")
            setattr(network.get_submodule(parent), own, _OwnStatistics(module))
    return network
