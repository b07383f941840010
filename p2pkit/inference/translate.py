"""Translate images by a trained generator: one, an array of many, or files and folders."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from p2pkit.config import Plan
from p2pkit.engine.data.prefetch import map_in_threads
from p2pkit.engine.device.malloc import keep_freed_memory
from p2pkit.engine.device.placement import Placement, choose_placement
from p2pkit.engine.evaluation.inference_mode import InferenceMode, Statistics, run_in_mode
from p2pkit.engine.storage.checkpoint import load_generator, load_statistics, read_state
from p2pkit.errors import DataError, Problem
from p2pkit.images.convert import conform, fake_spec, full_scale, resize, to_network, to_stored
from p2pkit.images.files import IMAGE_SUFFIXES, image_tensor, read_image, write_image
from p2pkit.types import PairSpec

Job = tuple[Path, Path]
_THREADS = 4
"""Threads that decode, and as many that encode; most of the time they hold no lock of Python."""


@dataclass(frozen=True)
class Translator:
    """A trained generator.

    Args:
        generator: The network, on its device.
        images: What it was trained on.
        place: Where and how it computes.
        batch_norm: `running`, `recalibrated`, or `batch` for each image's own statistics.
        dropout: `on` or `off`.
        statistics: Those that were gathered anew, for the mode that wants them.
    """

    generator: nn.Module
    images: PairSpec
    place: Placement
    batch_norm: str = "running"
    dropout: str = "off"
    statistics: Statistics | None = None

    @classmethod
    def from_checkpoint(cls, checkpoint: Path, plan: Plan) -> Translator:
        """Build the generator that a checkpoint's config names, and load its weights."""
        images: PairSpec = read_state(checkpoint)["images"]
        generator = plan.part("generator").build(images)
        load_generator(checkpoint, generator)
        place = choose_placement(plan.config.engine, generator)
        modes = plan.config.evaluate
        statistics = load_statistics(checkpoint) if modes.batch_norm == "recalibrated" else None
        return cls(place.put(generator), images, place, modes.batch_norm, modes.dropout, statistics)

    def translate(self, image: Any) -> Any:
        """Translate one image, or an array of many.

        Args:
            image: A file, a Pillow image, an array (H, W), (H, W, C) or (B, H, W, C), or a tensor (C, H, W). Of any
                size: sides are padded by reflection to what the network needs, and cropped back.

        Returns:
            The fake, in the form of what was given (a Pillow image for a file), in its bit depth.

        Raises:
            DataError: The image has channels that the generator can't be given.
        """
        if isinstance(image, np.ndarray) and image.ndim == 4:
            return np.stack([self.translate(one) for one in image])
        stored = image_tensor(image)
        fake = self._fakes([self._prepared(stored, "the image")], [stored])[0]
        return _like(image, fake)

    @keep_freed_memory()
    def translate_files(
        self,
        inputs: Iterable[Path],
        output: Path,
        *,
        batch: int = 8,
        size: tuple[int, int] | None = None,
        report: Callable[[int, int], None] | None = None,
    ) -> list[Path]:
        """Translate files and folders of sources.

        Args:
            inputs: Image files, and folders whose images are meant.
            output: Folder for the fakes, made if it is not there; names are kept, the format is PNG (TIFF for TIFF).
            batch: Images of one forward pass; only images of one size go together.
            size: (height, width) to resize sources to; by default they keep their size.
            report: Called with (done, total).

        Returns:
            The files written, in the order of the inputs.

        Raises:
            DataError: Files can't be read or there are none; what could be read has been translated.
        """
        jobs = _jobs(list(inputs), output)
        written: list[Path] = []
        problems: list[Problem] = []
        output.mkdir(parents=True, exist_ok=True)
        saving: deque[Future[Path]] = deque()
        with ThreadPoolExecutor(_THREADS) as writer:
            for group in _batches(self._read_ahead(jobs, size, problems, 2 * batch), batch):
                fakes = self._fakes([source for _, source, _ in group], [stored for _, _, stored in group])
                for (path, _, _), fake in zip(group, fakes, strict=True):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    saving.append(writer.submit(write_image, fake, path, fast=True))
                    written.append(path)
                while len(saving) > 2 * batch:  # what waits for the disk does not fill the memory
                    saving.popleft().result()
                if report is not None:
                    report(len(written) + len(problems), len(jobs))
            for saved in saving:
                saved.result()
        if problems:
            raise DataError(problems)
        return written

    def _read_ahead(
        self, jobs: Sequence[Job], size: tuple[int, int] | None, problems: list[Problem], depth: int
    ) -> Iterator[tuple[Path, Tensor, Tensor]]:
        """Decode in threads, a bounded number ahead of the network."""

        def read(job: Job) -> tuple[Path, Tensor, Tensor] | Problem:
            try:
                stored = read_image(job[0], indexed=self.images.source.kind == "labels")
                stored = resize(stored, *size, nearest=self.images.source.kind == "labels") if size else stored
                return job[1], self._prepared(stored, str(job[0])), stored
            except DataError as error:
                return error.problems[0]
            except OSError as error:
                return Problem(str(job[0]), f"can't be read: {error}")

        for outcome in map_in_threads(read, jobs, threads=_THREADS, depth=depth):
            if isinstance(outcome, Problem):
                problems.append(outcome)
            else:
                yield outcome

    def _prepared(self, stored: Tensor, name: str) -> Tensor:
        """Return the image as the network sees it, (C, H, W)."""
        spec = self.images.source
        if spec.kind != "labels" and not stored.is_floating_point():
            spec = replace(spec, high=full_scale(stored))
        try:
            return to_network(conform(stored, spec)[None], spec)[0]
        except OSError as error:
            raise DataError(Problem(name, f"can't be translated: {error}")) from None

    def _fakes(self, sources: Sequence[Tensor], stored: Sequence[Tensor]) -> list[Tensor]:
        """Run the generator on sources of one size; the fakes come in the bit depth of what was given."""
        batch = torch.stack(list(sources))
        padded = _padded(batch, getattr(self.generator, "multiple", 1))
        padded = padded.to(self.place.device).contiguous(memory_format=self.place.memory_format)
        parts = torch.split(padded, 1) if self.batch_norm == "batch" else (padded,)
        mode = InferenceMode(self.batch_norm, self.dropout)
        with run_in_mode(self.generator, mode, self.statistics), self.place.precision.autocast():
            fakes = torch.cat([self.generator(part) for part in parts]).float().cpu()
        fakes = fakes[..., : batch.shape[2], : batch.shape[3]]
        specs = (fake_spec(self.images, each.dtype) for each in stored)
        return [to_stored(fake[None], spec)[0] for fake, spec in zip(fakes, specs, strict=True)]


def _padded(batch: Tensor, multiple: int) -> Tensor:
    """Pad at the right and bottom to a multiple, by reflection as far as that reaches, then by the border."""
    down, right = (-batch.shape[2] % multiple, -batch.shape[3] % multiple)
    reflect = (min(right, batch.shape[3] - 1), min(down, batch.shape[2] - 1))
    batch = functional.pad(batch, (0, reflect[0], 0, reflect[1]), mode="reflect")
    return functional.pad(batch, (0, right - reflect[0], 0, down - reflect[1]), mode="replicate")


def _like(given: Any, fake: Tensor) -> Any:
    if isinstance(given, Tensor):
        return fake
    array = fake.permute(1, 2, 0).numpy()
    if isinstance(given, np.ndarray):
        return array
    return Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)


def _jobs(inputs: Sequence[Path], output: Path) -> list[Job]:
    """Pair each input file with the file to write; folders are searched, their structure kept."""
    jobs: list[Job] = []
    problems: list[Problem] = []
    for given in inputs:
        if given.is_dir():
            found = sorted(path for path in given.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
            jobs += [(path, output / path.relative_to(given)) for path in found]
            if not found:
                problems.append(Problem(str(given), "there are no images in this folder"))
        elif given.is_file():
            jobs.append((given, output / given.name))
        else:
            problems.append(Problem(str(given), "there is no such file or folder"))
    jobs = [(path, out.with_suffix(_suffix(path))) for path, out in jobs]
    taken: dict[Path, Path] = {}
    for path, out in jobs:
        if out in taken:
            problems.append(Problem(str(path), f"would be written to {out}, as {taken[out]} is", "rename one"))
        taken[out] = path
    if problems or not jobs:
        raise DataError(problems or Problem("", "there is nothing to translate"))
    return jobs


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    return suffix if suffix in (".tif", ".tiff", ".npy") else ".png"


def _batches(read: Iterable[tuple[Path, Tensor, Tensor]], size: int) -> Iterator[list[tuple[Path, Tensor, Tensor]]]:
    """Group what follows one another and is of one size."""
    group: list[tuple[Path, Tensor, Tensor]] = []
    for item in read:
        if group and (len(group) == size or item[1].shape != group[0][1].shape):
            yield group
            group = []
        group.append(item)
    if group:
        yield group
