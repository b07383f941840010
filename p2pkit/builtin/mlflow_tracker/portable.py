"""The generator as a program of torch's own, from stored images to stored images, which runs without p2pkit."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.fx.experimental import _config as symbolic_shapes
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

import p2pkit
from p2pkit import PairSpec, Translator
from p2pkit.untyped import Untyped

PROGRAM = "model.pt2"
FACTS = "images.json"
_Shape = tuple[int, int, int]


class NotPortable(Exception):
    """The network can't be had as a program of its own; the text says why."""


class Portable(nn.Module):
    """From stored images to stored images, all that translating does in between included.

    Args:
        translator: The generator.

    Shape: (B, H, W, C_source) -> (B, H, W, C_target).
    """

    def __init__(self, translator: Translator) -> None:
        super().__init__()
        self.images = translator.images
        self.multiple = translator.multiple
        self.network = translator.generator
        if translator.batch_norm == "batch":
            self.network = _with_own_statistics(self.network)
        self.requires_grad_(False)

    def forward(self, stored: Tensor) -> Tensor:
        """Translate."""
        source = p2pkit.to_network(stored.permute(0, 3, 1, 2), self.images.source)
        rows, columns = source.shape[2:]
        if self.multiple > 1:  # as translating pads: by reflection as far as that reaches, then by the border
            source = source.index_select(2, _mirrored(rows, self.multiple))
            source = source.index_select(3, _mirrored(columns, self.multiple))
        fakes = self.network(source)[:, :, :rows, :columns]
        return p2pkit.to_stored(fakes, self.images.target).permute(0, 2, 3, 1).contiguous()


def export(checkpoint: Path, folder: Path) -> None:
    """Write a checkpoint's generator as a program, and what its images are.

    Batch, height and width are free where the network allows it, else the size is that of training.

    Args:
        checkpoint: The checkpoint's folder.
        folder: Where to write.

    Raises:
        NotPortable: The network has no such form.
    """
    plain = {"precision": "fp32", "memory_format": "contiguous", "convolutions": "direct"}
    translator = p2pkit.load(checkpoint, engine={**plain, "device": "cpu"})
    if translator.dropout == "on":
        raise NotPortable("its dropout stays active, by noise of p2pkit's own")
    whole = Portable(translator)
    program, size = _exported(whole, translator.images)
    torch.export.save(program, folder / PROGRAM)
    source, target = translator.images.source, translator.images.target
    facts = {"channels": 1 if source.kind == "labels" else source.channels, "labels": source.kind == "labels"}
    types = {"source": _name(p2pkit.stored_type(source)), "target": _name(p2pkit.stored_type(target))}
    (folder / FACTS).write_text(json.dumps({**facts, **types, "size": size}), encoding="utf-8")


def _exported(whole: Portable, images: PairSpec) -> tuple[torch.export.ExportedProgram, list[int] | None]:
    """Export, with free sizes or else of one size, and make sure that the program does what the network does."""
    auto = torch.export.Dim.AUTO
    step, height, width = max(whole.multiple, 4), images.height, images.width
    free: tuple[dict[int, object], _Shape, list[_Shape]] = (
        {0: auto, 1: auto, 2: auto},
        (2, 2 * step, 3 * step),
        [(1, height, width), (3, step + 3, 2 * step - 1)],
    )
    fixed: tuple[dict[int, object], _Shape, list[_Shape]] = (
        {0: auto},
        (2, height, width),
        [(1, height, width), (3, height, width)],
    )
    why = ""
    for dynamic, example, probes in (free, fixed):
        try:
            with torch.no_grad(), warnings.catch_warnings(), _sizes_like_others():
                warnings.simplefilter("ignore")
                program = torch.export.export(whole, (_noise(example, images),), dynamic_shapes=(dynamic,))
                _compare(program, whole, [_noise(shape, images) for shape in probes])
        except Exception as error:  # torch raises what it likes at networks it can't follow
            why = why or p2pkit.first_line(error)
            continue
        return program, None if dynamic is free[0] else [height, width]
    raise NotPortable(why)


def _sizes_like_others() -> AbstractContextManager[None]:
    """Let sides of one be like others; else a program wants them to be as large as those it was exported with."""
    change: Untyped = symbolic_shapes
    context: AbstractContextManager[None] = change.patch(backed_size_oblivious=True)  # put there by torch, untyped
    return context


def _compare(program: torch.export.ExportedProgram, whole: Portable, probes: Sequence[Tensor]) -> None:
    run = program.module()
    for probe in probes:
        wanted, made = whole(probe).double(), run(probe).double()
        spread = float(wanted.max() - wanted.min())
        if (wanted - made).abs().max() > max(spread / 255, 1e-6):
            raise NotPortable("its program makes other images than the network")


def _noise(shape: _Shape, images: PairSpec) -> Tensor:
    """Return stored sources of a shape, without touching the caller's dice."""
    spec = images.source
    dice = torch.Generator().manual_seed(0)
    if spec.kind == "labels":
        stored = torch.randint(0, spec.channels, (*shape, 1), generator=dice)
    else:
        stored = spec.low + torch.rand((*shape, spec.channels), generator=dice) * (spec.high - spec.low)
    return stored.to(p2pkit.stored_type(spec))


def _mirrored(size: int, multiple: int) -> Tensor:
    """Return the places that fill a side up to a multiple."""
    places = torch.arange((size + multiple - 1) // multiple * multiple)
    return torch.where(places < size, places, (2 * (size - 1) - places).clamp(min=0))


class _OwnStatistics(nn.Module):
    """Batch norm by each image's own statistics, whatever stands beside it in the batch."""

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, maps: Tensor) -> Tensor:
        return functional.instance_norm(maps, weight=self.weight, bias=self.bias, eps=self.eps)


def _with_own_statistics(network: nn.Module) -> nn.Module:
    for name, module in list(network.named_modules()):
        if isinstance(module, _BatchNorm):
            parent, _, own = name.rpartition(".")
            setattr(network.get_submodule(parent), own, _OwnStatistics(module))
    return network


def _name(kind: torch.dtype) -> str:
    return str(kind).removeprefix("torch.")
