"""What a run gives to components that are not built for its images: parameters, its length, itself."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

from p2pkit.config.model import RunConfig
from p2pkit.types import DatasetFacts, ImageSpec, PairSpec, Report, Run, RunLength, Samples
from p2pkit.untyped import Untyped

RATE = 1e-2


def network(device: str = "cpu") -> nn.Module:
    """Return a small network with parameters of one, two and four dimensions, always the same."""
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8 * 16, 2)
    return nn.Sequential(*layers).to(device)


def groups(built: nn.Module) -> list[dict[str, Untyped]]:
    """Return a network's parameters as an optimiser is given them: here two groups with learning rates of their own."""
    parameters = list(built.parameters())
    return [_group(parameters[:2], RATE), _group(parameters[2:], RATE / 2)]


def _group(parameters: list[nn.Parameter], rate: float) -> dict[str, Untyped]:
    held = torch.tensor(rate, device="cuda") if parameters[0].is_cuda else rate
    return {"params": parameters, "lr": held, "initial_lr": rate}


def run(*, folder: Path | None = None, resumed: bool = False) -> Run:
    """Return a training in a folder of its own."""
    where = folder or Path(tempfile.mkdtemp(dir=_root().name))
    config = RunConfig.model_validate({"dataset": {"use": "shapes"}, "tracking": {"folder": where.parent}})
    images = PairSpec(ImageSpec(3), ImageSpec(3), 32, 32)
    data = DatasetFacts("shapes", images, {"train": 8, "val": 2}, "none")
    return Run(where.name, "training", where, config.model_dump(mode="json"), data, {"p2pkit": "0"}, {}, resumed)


def report() -> Report:
    """Return what an evaluation measured."""
    directed = {"l1": False, "psnr": True}
    return Report("val", 2, {"l1": 0.25, "psnr": 12.5}, {"source": {"l1": 0.5, "psnr": 6.0}}, directed, {"size": 32})


def samples(folder: Path) -> Samples:
    """Return the pictures of an evaluation, and write their sheet."""
    sheet = folder / "samples.png"
    sheet.write_bytes(b"")
    return Samples(("one", "two"), tuple(np.zeros((32, 96, 3), np.uint8) for _ in range(2)), sheet)


@cache
def _root() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="p2pkit-testing-")


GIVEN: Mapping[str, Callable[[str], object]] = {
    "parameters": lambda device: groups(network(device)),
    "length": lambda device: RunLength(100, 10, 50),
    "run": lambda device: run(),
}
"""By what a kind is given, how it is made for a device."""
