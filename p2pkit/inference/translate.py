"""Translate images by a trained generator: one, an array of many, files and folders, or pairs of a data set."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from p2pkit.config import Plan
from p2pkit.engine.data.decode import decode_in_threads
from p2pkit.engine.data.prefetch import map_in_threads
from p2pkit.engine.device.malloc import keep_freed_memory
from p2pkit.engine.device.placement import Placement, choose_placement
from p2pkit.engine.evaluation.inference_mode import InferenceMode, Statistics, run_in_mode, set_mode
from p2pkit.engine.storage.checkpoint import load_generator, load_statistics
from p2pkit.engine.storage.state import read_state
from p2pkit.errors import DataError, Problem
from p2pkit.images.beside import Beside, read_beside
from p2pkit.images.convert import to_network, to_stored
from p2pkit.images.files import image_tensor, read_image
from p2pkit.images.reading import Given, read_source
from p2pkit.images.tiff import Tag, read_georeference, rescaled
from p2pkit.inference.flow import Read, batches, finished, save, sound
from p2pkit.inference.jobs import OVERWRITE, Job, fake_suffix, is_ours, plan_jobs
from p2pkit.inference.large import LargeTiff
from p2pkit.inference.noise import without_noise
from p2pkit.inference.tiles import Axis, Seam, Tiling, padded, translate_rows, whole_image_layers
from p2pkit.types import Pair, PairDataset, PairSpec, optional
from p2pkit.untyped import Untyped

_THREADS = 4
"""Threads that decode, and as many that encode; most of the time they hold no lock of Python."""
_ROWS = 64
"""Rows of a large image that become stored values at a time."""
Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Translator:
    """A trained generator.

    Args:
        generator: The network, on its device, in the mode in which it translates.
        images: What it was trained on.
        place: Where and how it computes.
        batch_norm: `running`, `recalibrated`, or `batch` for each image's own statistics.
        dropout: `on` or `off`.
        statistics: Those that were gathered anew, for the mode that wants them.
        seed: What noise is drawn by, for each image anew.
        tiling: How large tiles are, and when there are any.
        note: Hears what is to be known of what was done.
    """

    generator: nn.Module
    images: PairSpec
    place: Placement
    batch_norm: str = "running"
    dropout: str = "off"
    statistics: Statistics | None = None
    seed: int = 0
    tiling: Tiling = field(default_factory=Tiling)
    note: Callable[[str], None] | None = None

    @property
    def multiple(self) -> int:
        """The number that the sides of what the network is given are divisible by."""
        return optional.multiple(self.generator)

    @classmethod
    def from_checkpoint(cls, checkpoint: Path, plan: Plan) -> Translator:
        """Build the generator that a checkpoint's config names, load its weights, and put it into its mode."""
        images: PairSpec = read_state(checkpoint)["images"]
        generator = plan.part("generator").build(images)
        load_generator(checkpoint, generator)
        place = choose_placement(plan.config.engine, generator)
        modes = plan.config.evaluate
        statistics = load_statistics(checkpoint) if modes.batch_norm == "recalibrated" else None
        set_mode(generator, InferenceMode(modes.batch_norm, modes.dropout), statistics)
        seed = plan.config.engine.seed
        return cls(place.put(generator), images, place, modes.batch_norm, modes.dropout, statistics, seed)

    def translate(
        self, image: Untyped, *, given: Given = "auto", tile: int | None = None, overlap: int | None = None
    ) -> Untyped:
        """Translate one image, or an array or tensor of many.

        What the data set did to its files is done to the image: a half is cut out of a file of both images, the edges
        of a photo are drawn.

        Args:
            image: A file, a Pillow image, an array (H, W), (H, W, C) or (B, H, W, C), or a tensor (C, H, W) or
                (B, C, H, W); or a list of images that make one source. Of any size: sides are padded by reflection to
                what the network needs, and cropped back.
            given: `source` for sources as the network sees them, `file` for files as the data set's, `auto` to tell
                them by their looks.
            tile: Side of tiles that are translated one by one and blended; None for where an image is too large to be
                translated at once, 0 for never.
            overlap: By how much tiles overlap; None for an eighth of them.

        Returns:
            The fake, in the form of what was given (a Pillow image for a file, where Pillow can hold it), in the
            target's type and units.

        Raises:
            DataError: The image can't be read, or it can't be made a source.
        """
        if isinstance(image, np.ndarray | Tensor) and image.ndim == 4:
            fakes = [self.translate(one, given=given, tile=tile, overlap=overlap) for one in image]
            return torch.stack(fakes) if isinstance(image, Tensor) else np.stack(fakes)
        several = list(image) if isinstance(image, list | tuple) else [image]
        if not several:
            raise DataError(Problem("the image", "is an empty list"))
        names = [str(one) for one in several if isinstance(one, str | Path)]
        try:
            indexed = self.images.source.kind == "labels"
            source = self.source([image_tensor(one, indexed=indexed) for one in several], given, None)
        except OSError as error:
            name = ", ".join(names) or "the image"
            raise DataError(Problem(name, f"can't be translated: {error.strerror or error}")) from None
        return _like(several[0], self.tiled(tile, overlap).fakes([source])[0])

    def tiled(self, tile: int | None, overlap: int | None = None) -> Translator:
        """Return the translator with tiles of a size; see `translate`.

        Raises:
            DataError: Tiles can't overlap like this.
        """
        return self if tile is overlap is None else replace(self, tiling=Tiling.asked(tile, overlap))

    def translate_files(
        self,
        inputs: str | Path | Iterable[str | Path],
        output: str | Path,
        *,
        batch: int = 8,
        size: tuple[int, int] | None = None,
        given: Given = "auto",
        tile: int | None = None,
        overlap: int | None = None,
        samples: int = 1,
        skip_existing: bool = False,
        overwrite: bool = False,
        report: Report | None = None,
    ) -> list[Path]:
        """Translate files and folders of sources.

        A TIFF that is too large to be translated at once is read, translated and written by rows of tiles.

        Args:
            inputs: Image files, folders whose images are meant, and tables (CSV or JSON lines) with a column source.
            output: Folder for the fakes, made if it is not there; or for one image the file to write. Names are kept;
                the format is the targets' (TIFF for TIFF).
            batch: Images of one forward pass; only images of one size go together.
            size: (height, width) to resize sources to; by default they keep their size.
            given: As for `translate`.
            tile: As for `translate`.
            overlap: As for `translate`.
            samples: How many fakes of each source, for networks with noise; their names end with -1, -2 and so on.
            skip_existing: Whether fakes that are there are left as they are.
            overwrite: Whether files may be replaced of which it can't be told that they are fakes; sources never are.
            report: Called with (done, total).

        Returns:
            The files written, in the order of the inputs.

        Raises:
            DataError: Files can't be read or written, or there are none; the others have been translated. Or files
                would be overwritten; then nothing has been.
        """
        listed = [inputs] if isinstance(inputs, str | Path) else list(inputs)
        if samples > 1 and not self.noisy():
            cause = "this network draws no noise: all fakes of a source would be the same"
            raise DataError(Problem("--samples", cause, "give 1, or keep its dropout by -s evaluate.dropout=on"))
        options = {"skip_existing": skip_existing, "overwrite": overwrite}
        jobs = plan_jobs([Path(path) for path in listed], Path(output), self.images, samples=samples, **options)
        read = map_in_threads(lambda job: self._read(job, size, given), jobs, threads=_THREADS, depth=2 * batch)
        return self.tiled(tile, overlap)._translate_all(read, len(jobs), batch, report)

    def translate_pairs(
        self,
        dataset: PairDataset,
        split: str,
        output: str | Path,
        *,
        batch: int = 8,
        skip_existing: bool = False,
        overwrite: bool = False,
        report: Report | None = None,
    ) -> list[Path]:
        """Translate the sources of a split, each to a file with the pair's name.

        Args:
            dataset: The data.
            split: The part of it.
            output: Folder for the fakes.
            batch: Images of one forward pass.
            skip_existing: Whether fakes that are there are left as they are.
            overwrite: As for `translate_files`.
            report: Called with (done, total).

        Returns:
            The files written.

        Raises:
            DataError: Pairs can't be read; the others have been translated.
        """
        spec, suffix = dataset.spec.source, fake_suffix(self.images)

        def read(pair: Pair) -> Read | Problem | None:
            out = Path(output) / f"{pair.name}{suffix}"
            if out.exists() and skip_existing:
                return None
            if out.exists() and not overwrite and not is_ours(out):
                return Problem(str(out), "exists, and can't be told to be a fake", OVERWRITE)
            return Read(out, to_network(pair.source[None], spec)[0])

        pairs = dataset.pairs(split)
        outcomes = (
            outcome.problems[0] if isinstance(outcome, DataError) else outcome
            for outcome in decode_in_threads(pairs, read)
        )
        return self._translate_all((each for each in outcomes if each is not None), len(pairs), batch, report)

    @keep_freed_memory()
    def _translate_all(
        self, outcomes: Iterable[Read | Problem], total: int, batch: int, report: Report | None
    ) -> list[Path]:
        """Translate what has been read, and write it in threads; what fails is named at the end."""
        written: list[Path] = []
        problems: list[Problem] = []
        saving: deque[Future[Path | Problem]] = deque()

        def collect(most: int) -> None:
            while len(saving) > most:  # what waits for the disk does not fill the memory
                saved = saving.popleft().result()
                problems.append(saved) if isinstance(saved, Problem) else written.append(saved)

        with ThreadPoolExecutor(_THREADS) as writer:
            for group in batches(sound(outcomes, problems), batch):
                own = replace(self, seed=self.seed + group[0].sample)
                if isinstance(group[0].source, LargeTiff):
                    saving.append(finished(own._translate_large(group[0].source, group[0], batch)))
                else:
                    sources = [read.source for read in group if isinstance(read.source, Tensor)]
                    for read, fake in zip(group, own.fakes(sources, batch), strict=True):
                        saving.append(writer.submit(save, fake, read))
                collect(2 * batch)
                if report is not None:
                    report(len(written) + len(saving) + len(problems), total)
            collect(0)
        if problems:
            known = Problem("", f"{len(written)} of {total} images have been translated", "")
            raise DataError([*problems, known] if written else problems)
        return written

    def _read(self, job: Job, size: tuple[int, int] | None, given: Given) -> Read | Problem:
        try:
            large = LargeTiff.found(job, self.images, self.tiling) if size is None else None
            if large is not None:
                return Read(job.out, large, sample=job.sample)
            kinds = (job.sources[0].suffix.lower(), job.out.suffix.lower())
            source, tags, beside = self.read(job.sources, kinds, given=given, size=size)
        except OSError as error:
            return Problem(", ".join(map(str, job.sources)), f"can't be read: {error.strerror or error}")
        return Read(job.out, source, tuple(tags), job.sample, beside)

    def read(
        self,
        files: Sequence[Path | IO[bytes]],
        kinds: tuple[str, str],
        *,
        given: Given = "auto",
        size: tuple[int, int] | None = None,
    ) -> tuple[Tensor, list[Tag], Beside]:
        """Read the files of one source.

        Args:
            files: Paths or open files.
            kinds: The suffixes of the first one and of the fake's file.
            given: As for `translate`.
            size: Height and width to resize it to.

        Returns:
            What the network is given, (C, H, W); and what the fake keeps of the file: its place on earth, and what is
            beside the pixels.

        Raises:
            OSError: They can't be read, or can't be made a source.
        """
        indexed = self.images.source.kind == "labels"
        stored = [read_image(file, indexed=indexed) for file in files]
        source = self.source(stored, given, size)
        for file in files:
            if not isinstance(file, Path):
                file.seek(0)
        tags = self._tags(files[0], kinds, stored[0], source)
        return source, tags, read_beside(files[0], kinds, stored[0], self.images, (source.shape[1], source.shape[2]))

    def _tags(self, file: Path | IO[bytes], kinds: tuple[str, str], stored: Tensor, source: Tensor) -> list[Tag]:
        """Where on earth the fake of a TIFF lies; a half of a file lies nowhere."""
        if not set(kinds) <= {".tif", ".tiff"}:
            return []
        tags = read_georeference(file)
        if not tags or self.images.reading.half != "whole":
            return []
        height, width = stored.shape[1] / source.shape[1], stored.shape[2] / source.shape[2]
        return tags if height == width == 1 else rescaled(tags, height, width)

    def source(self, stored: Sequence[Tensor], given: Given, size: tuple[int, int] | None) -> Tensor:
        """Return what the network is given of the images of one source.

        Args:
            stored: The images, as stored.
            given: As for `translate`.
            size: Height and width to resize them to.

        Raises:
            OSError: They can't be made a source.

        Shape: (C, H, W) each -> (C_source, H, W), in [-1, 1].
        """
        if len(stored) == 1:
            return read_source(stored[0], self.images, given=given, size=size)
        spec = self.images.source
        wanted = self.images.reading.stacked or tuple(image.shape[0] for image in stored)
        if len(wanted) != len(stored) or sum(wanted) != spec.channels:
            raise OSError(f"{len(stored)} files do not make a source of {spec.channels} channels")
        each = [replace(self.images, source=replace(spec, channels=channels)) for channels in wanted]
        parts = [read_source(image, images, given=given, size=size) for image, images in zip(stored, each, strict=True)]
        if any(part.shape[1:] != parts[0].shape[1:] for part in parts):
            raise OSError("the files of one source are of different sizes; say --size")
        return torch.cat(parts)

    def _translate_large(self, large: LargeTiff, read: Read, batch: int) -> Path | Problem:
        """Translate a TIFF by rows, of which few are in memory at a time."""
        columns, rows = (Axis(side, self.multiple, self.tiling) for side in (large.width, large.height))
        seam = Seam()
        try:
            with large.rows() as source:
                fakes = translate_rows(source, self._run, rows, columns, seam, batch=batch, see=large.see)
                few = (part for fake in fakes for part in torch.split(fake, _ROWS, 1))
                read.out.parent.mkdir(parents=True, exist_ok=True)
                written = large.write(read.out, (to_stored(part[None], self.images.target)[0] for part in few))
        except OSError as error:
            return Problem(str(large.path), f"can't be translated: {error.strerror or error}")
        self._tell(seam)
        return written

    def fakes(self, sources: Sequence[Tensor], batch: int = 1) -> list[Tensor]:
        """Run the generator on sources of one size; none of the fakes depends on the others.

        Args:
            sources: What the network is given.
            batch: Tiles of one forward pass.

        Shape: (C_source, H, W) each, in [-1, 1] -> (C_stored, H, W) each, as stored.
        """
        height, width = sources[0].shape[1:]
        if self.tiling.wanted(height, width):
            return [to_stored(self._in_tiles(source, batch)[None], self.images.target)[0] for source in sources]
        return list(to_stored(self.network_values(torch.stack(list(sources))), self.images.target))

    def noisy(self) -> bool:
        """Say whether fakes of one source differ by the noise that the network draws."""
        side = (self.images.height, self.images.width)
        source = torch.zeros(1, self.images.source.channels, *side, device=self.place.device)
        with run_in_mode(self.generator, InferenceMode(self.batch_norm, self.dropout), self.statistics):
            return without_noise(lambda: self.generator(source), self.place.device) is None

    def network_values(self, sources: Tensor) -> Tensor:
        """Translate what the network sees into what it makes, before that becomes values to store.

        Args:
            sources: Sources of any size.

        Shape: (B, C_source, H, W) -> (B, C_target, H, W), in [-1, 1].
        """
        height, width = sources.shape[2:]
        rows, columns = (Axis(side, self.multiple, self.tiling).padded for side in (height, width))
        return self._run(padded(sources, rows, columns))[..., :height, :width]

    def _in_tiles(self, source: Tensor, batch: int) -> Tensor:
        rows, columns = (Axis(side, self.multiple, self.tiling) for side in source.shape[1:])
        seam = Seam()
        done = translate_rows(lambda first, last: source[:, first:last], self._run, rows, columns, seam, batch=batch)
        fake = torch.cat(list(done), 1)
        self._tell(seam)
        return fake

    def _tell(self, seam: Seam) -> None:
        layers = whole_image_layers(self.generator, self.batch_norm)
        why = f", and each tile is an image of its own to this network's {', '.join(layers)}" if layers else ""
        if self.note is not None:
            self.note(f"{seam}{why}")

    def _run(self, sources: Tensor) -> Tensor:
        """Run the generator on what it can take; a fake does not depend on what stands beside it.

        Shape: (B, C_source, H, W) -> (B, C_target, H, W), in [-1, 1].
        """
        sources = sources.to(self.place.device).contiguous(memory_format=self.place.memory_format)
        mode = InferenceMode(self.batch_norm, self.dropout)
        with run_in_mode(self.generator, mode, self.statistics), self.place.precision.autocast():
            alone = self.batch_norm == "batch" or self.dropout == "on" or len(sources) == 1
            made = None if alone else without_noise(lambda: self.generator(sources), self.place.device)
            if made is None:  # each image by itself, and by the same noise
                parts = []
                for source in torch.split(sources, 1):
                    torch.manual_seed(self.seed)
                    parts.append(self.generator(source))
                made = torch.cat(parts)
        return made.float().cpu()


def _like(given: object, fake: Tensor) -> Tensor | NDArray[np.generic] | Image.Image:
    if isinstance(given, Tensor):
        return fake
    array = fake.permute(1, 2, 0).numpy()
    held = array.dtype == np.uint8 and array.shape[2] <= 4
    held = held or (array.shape[2] == 1 and array.dtype in (np.uint16, np.int32, np.float32))
    if isinstance(given, np.ndarray) or not held:
        return array
    return Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)
