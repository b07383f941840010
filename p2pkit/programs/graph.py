"""What is exported: the network, with the padding, the statistics and the values of translating around it."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from p2pkit.errors import ModelError, Problem
from p2pkit.extras.calling import generated
from p2pkit.inference.forms import Form, Layout
from p2pkit.inference.translate import Translator
from p2pkit.types import ExtraSpec, ImageSpec


class PortableGenerator(nn.Module):
    """From images to images, whatever translating does in between included.

    Args:
        translator: The generator, on a CPU.
        stored: Whether images are as stored, and not in [-1, 1].
        layout: Whether channels come before the rows or last.
        half: Whether the network computes in 16 bits.

    Raises:
        ModelError: The generator's dropout draws noise, which a program can't, or it makes volumes.

    Shape: (B, C_source, H, W) -> (B, C_target, H, W), or the channels last.
    """

    def __init__(
        self, translator: Translator, *, stored: bool = False, layout: Layout = "NCHW", half: bool = False
    ) -> None:
        super().__init__()
        if translator.dropout == "on":
            cause = "its dropout stays active, by noise that a program has not"
            raise ModelError(Problem("evaluate.dropout", cause, "export with -s evaluate.dropout=off"))
        if translator.images.dims > 2:
            cause = "it makes volumes, and a program makes images"
            raise ModelError(Problem("generator", cause, "export its weights by --format safetensors"))
        self.images, self.multiple = translator.images, translator.multiple
        self.inputs: dict[str, ExtraSpec] = translator.inputs
        self.form, self.half_precision = Form(stored, layout), half
        network = copy.deepcopy(translator.generator)
        self.network = _by_own_statistics(network) if translator.batch_norm == "batch" else network
        if half:
            self.network.half()

    def forward(self, source: Tensor, *extras: Tensor) -> Tensor:
        """Translate.

        Args:
            source: The sources.
            *extras: What the generator takes beside them, in the order of `inputs`: of noise, the numbers themselves.
        """
        given = zip(self.inputs.items(), (source, *extras), strict=True)
        seen = {name: self.form.seen(values, spec) for (name, spec), values in given}
        rows, columns = seen["source"].shape[2:]
        ready = {name: self._ready(values, self.inputs[name]) for name, values in seen.items()}
        fakes = generated(self.network, ready.pop("source"), ready).float()[:, :, :rows, :columns]
        return self.form.of(fakes, self.images.target)

    def _ready(self, values: Tensor, spec: ExtraSpec) -> Tensor:
        """Fill an image's sides up to what the network takes, in its arithmetic."""
        if self.multiple > 1 and isinstance(spec, ImageSpec):
            rows, columns = values.shape[2:]
            values = values.index_select(2, _mirrored(rows, self.multiple))
            values = values.index_select(3, _mirrored(columns, self.multiple))
        return values.half() if self.half_precision else values


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
