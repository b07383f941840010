"""Time the loader on real files, beside decoding every image anew as the reference does."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from p2pkit.engine.build.assembly import assemble
from p2pkit.engine.checked import ValidatedRun
from p2pkit.engine.data.decode import load_split
from p2pkit.engine.data.loader import Loader
from p2pkit.types import optional
from p2pkit.untyped import Json

_ROUNDS = 3


class _Files(Dataset[tuple[Tensor, Tensor]]):
    """Side-by-side files, each opened, decoded, resized to 286 and cropped to 256 whenever it is asked for."""

    def __init__(self, files: list[Path], size: int, load: int) -> None:
        self.files = files
        self.size = size
        self.load = load

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        with Image.open(self.files[index]) as opened:
            image = opened.convert("RGB")
        half = image.width // 2
        left, top = (random.randint(0, self.load - self.size) for _ in range(2))
        mirrored = random.random() < 0.5
        sides = (image.crop((half, 0, 2 * half, image.height)), image.crop((0, 0, half, image.height)))
        source, target = (self._prepared(side, left, top, mirrored) for side in sides)
        return source, target

    def _prepared(self, image: Image.Image, left: int, top: int, mirrored: bool) -> Tensor:
        image = image.resize((self.load, self.load), Image.Resampling.BICUBIC)
        image = image.crop((left, top, left + self.size, top + self.size))
        if mirrored:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).float() / 127.5 - 1


def bench_loader(checked: ValidatedRun, root: Path, *, workers: int) -> dict[str, Json]:
    """Measure batches on the device per second, for the recipe's loader and for a decode of every image.

    Args:
        checked: A side-by-side recipe with its data.
        root: The folder with the split train.
        workers: Processes of the other loader.

    Returns:
        Images per second of both, the seconds that decoding once takes, and the ratio.
    """
    assembly = assemble(checked)
    images = checked.spec
    batch = checked.plan.config.engine.batch
    loads = next((size for size in map(optional.loads, assembly.augmentations) if size), None)
    resized = optional.at(checked.dataset)
    dataset = resized(*loads) if loads and resized else checked.dataset
    begun = time.perf_counter()
    stored, _ = load_split(dataset.pairs("train"))
    decoding = time.perf_counter() - begun
    ours = Loader(stored, images, batch=batch, place=assembly.place, augmentations=assembly.augmentations, shuffle=True)
    files = sorted(path for path in (root / "train").iterdir() if path.suffix.lower() in (".jpg", ".png"))
    load = loads[0] if loads else images.height
    theirs = DataLoader(_Files(files, images.height, load), batch_size=batch, shuffle=True, num_workers=workers)
    rates: dict[str, list[float]] = {"p2pkit": [], "decode_each": []}
    for number in range(_ROUNDS):
        rates["p2pkit"].append(_rate(len(batch.source) for batch in ours.epoch(number)))
        rates["decode_each"].append(_rate(len(source) for source, _ in theirs))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    return {
        "images_per_second": medians,
        "ratio": medians["p2pkit"] / medians["decode_each"],
        "decode_once_seconds": decoding,
        "pairs": len(files),
        "batch": batch,
        "workers": workers,
    }


def _rate(sizes: Iterable[int]) -> float:
    begun = time.perf_counter()
    return sum(sizes) / (time.perf_counter() - begun)
