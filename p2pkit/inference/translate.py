"""Translate images by a trained generator: one, an array of many, files and folders, or pairs of a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from p2pkit.config import Plan
from p2pkit.engine.data.decode import decode_in_threads
from p2pkit.engine.data.prefetch import map_in_threads
from p2pkit.engine.device.placement import Placement, choose_placement
from p2pkit.engine.evaluation.inference_mode import InferenceMode, Statistics, set_mode
from p2pkit.engine.storage.checkpoint import load_generator, load_statistics
from p2pkit.engine.storage.state import read_state
from p2pkit.errors import DataError, Problem
from p2pkit.images.convert import to_network, to_stored
from p2pkit.images.files import image_tensor
from p2pkit.images.listing import suffix_of
from p2pkit.images.reading import Given, cut_slices, slices_of
from p2pkit.inference.companions import Companions, Input, Vectors, stacked
from p2pkit.inference.flow import THREADS, Read, Report, Translated, translate_all
from p2pkit.inference.forms import like
from p2pkit.inference.jobs import OVERWRITE, Job, fake_suffix, fitting_jobs, is_ours
from p2pkit.inference.large import LargeTiff
from p2pkit.inference.running import Running
from p2pkit.inference.sources import Sources, check_asked
from p2pkit.inference.tiles import Axis, Seam, Tiling, padded, translate_rows, whole_image_layers
from p2pkit.inference.video import Video, is_video
from p2pkit.types import ExtraSpec, Pair, PairDataset, PairSpec, optional
from p2pkit.untyped import Plain, Untyped


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
        self,
        image: Untyped,
        *,
        given: Given = "auto",
        tile: int | None = None,
        overlap: int | None = None,
        **extras: Untyped,
    ) -> Untyped:
        """Translate one image, or an array or tensor of many.

        What the data set did to its files is done to the image: a half is cut out of a file of both images, the edges
        of a photo are drawn.

        Args:
            image: A file, a Pillow image, an array (H, W), (H, W, C) or (B, H, W, C), or a tensor (C, H, W) or
                (B, C, H, W), where the network makes volumes with a depth before H; what a reader has read; or a list
                of images that make one source. Of any size: sides are padded by reflection to what the network needs,
                and cropped back. A network of images translates a volume slice by slice.
            given: `source` for sources as the network sees them, `file` for files as the data set's, `auto` to tell
                them by their looks.
            tile: Side of tiles that are translated one by one and blended; None for where an image is too large to be
                translated at once, 0 for never.
            overlap: By how much tiles overlap; None for an eighth of them.
            **extras: What the generator takes beside the source: a class by its name or index, numbers, an image. Noise
                that is not given is drawn by the seed.

        Returns:
            The fake, in the form of what was given (a Pillow image for a file, where Pillow can hold it), in the
            target's type and units.

        Raises:
            DataError: The image can't be read, or it can't be made a source; or the generator lacks something.
        """
        if isinstance(image, np.ndarray | Tensor) and image.ndim == self.images.dims + 2:
            fakes = [self.translate(one, given=given, tile=tile, overlap=overlap, **extras) for one in image]
            return torch.stack(fakes) if isinstance(image, Tensor) else np.stack(fakes)
        check_asked(given)
        several = list(image) if isinstance(image, list | tuple) else [image]
        if not several:
            raise DataError(Problem("the image", "is an empty list"))
        names = [str(one) for one in several if isinstance(one, str | Path)]
        try:
            indexed = self.images.source.kind == "labels"
            reader = self.images.reading.reader
            stored = [image_tensor(one, indexed=indexed, reader=reader) for one in several]
            source = self.sources.make(stored, given, None)
            asked = self.companions.read(source, extras, self.seed)
        except OSError as error:
            name = ", ".join(names) or "the image"
            raise DataError(Problem(name, f"can't be translated: {error.strerror or error}")) from None
        return like(several[0], self.tiled(tile, overlap).fakes([asked])[0])

    def tiled(self, tile: int | None = None, overlap: int | None = None) -> Translator:
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
        vary: bool = False,
        extras: Plain | None = None,
        skip_existing: bool = False,
        overwrite: bool = False,
        report: Report | None = None,
    ) -> list[Path]:
        """Translate files and folders of sources.

        A TIFF that is too large to be translated at once is read, translated and written by rows of tiles.

        Args:
            inputs: Image files, folders whose images are meant, and tables (CSV or JSON lines) with a column source,
                and columns of what the generator takes beside it.
            output: Folder for the fakes, made if it is not there; or for one image the file to write. Names are kept;
                the format is the targets' (TIFF for TIFF).
            batch: Images of one forward pass; only images of one size go together.
            size: (height, width) to resize sources to; by default they keep their size.
            given: As for `translate`.
            tile: As for `translate`.
            overlap: As for `translate`.
            samples: How many fakes of each source, for networks with noise; their names end with -1, -2 and so on.
            vary: Whether each source has noise of its own, by its file's name; else all have the same. It is slower, as
                each goes through the network by itself.
            extras: What the generator takes beside each source, by name, where no table says otherwise.
            skip_existing: Whether fakes that are there are left as they are.
            overwrite: Whether files may be replaced of which it can't be told that they are fakes; sources never are.
            report: Called with (done, total).

        Returns:
            The files written, in the order of the inputs.

        Raises:
            DataError: Files can't be read or written, or there are none; the others have been translated. Or files
                would be overwritten; then nothing has been.
        """
        options: dict[str, Untyped] = {"samples": samples, "vary": vary, "extras": extras}
        options |= {"skip_existing": skip_existing, "overwrite": overwrite}
        check_asked(given, size)
        jobs = self.jobs(inputs, output, **options)
        made = self.tiled(tile, overlap).translate_jobs(jobs, batch, report, size=size, given=given)
        return made.files(len(jobs))

    def jobs(self, inputs: str | Path | Iterable[str | Path], output: str | Path, **options: Untyped) -> list[Job]:
        """Say which files become which; arguments and errors as for `translate_files`."""
        listed = [inputs] if isinstance(inputs, str | Path) else list(inputs)
        files = [Path(path) for path in listed]
        return fitting_jobs(files, Path(output), self.images, self.companions, self.noisy, **options)

    def translate_jobs(
        self,
        jobs: Sequence[Job],
        batch: int = 8,
        report: Report | None = None,
        **reading: Untyped,
    ) -> Translated:
        """Make these fakes: arguments as for `translate_files`, those of `reading` are `size` and `given`."""
        read = map_in_threads(partial(self._read, **reading), jobs, threads=THREADS, depth=2 * batch)
        return self._translate_all(read, len(jobs), batch, report)

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
        self.companions.require(dataset.spec)
        spec, suffix = dataset.spec.source, fake_suffix(self.images)

        def read(pair: Pair) -> Read | Problem | None:
            out = Path(output) / f"{pair.name}{suffix}"
            if out.exists() and skip_existing:
                return None
            if out.exists() and not overwrite and not is_ours(out):
                return Problem(str(out), "exists, and can't be told to be a fake", OVERWRITE)
            return Read(out, self.companions.of_pair(to_network(pair.source[None], spec)[0], pair, self.seed))

        pairs = dataset.pairs(split)
        outcomes = (
            outcome.problems[0] if isinstance(outcome, DataError) else outcome
            for outcome in decode_in_threads(pairs, read)
        )
        wanted = (each for each in outcomes if each is not None)
        return self._translate_all(wanted, len(pairs), batch, report).files(len(pairs))

    def _translate_all(
        self, outcomes: Iterable[Read | Problem], total: int, batch: int, report: Report | None
    ) -> Translated:
        def make(group: Sequence[Read]) -> list[Tensor] | Path | Problem:
            own = replace(self, seed=self.seed + group[0].sample)
            if isinstance(whole := group[0].source, LargeTiff | Video):
                return own._translate_by_parts(whole, group[0].out, batch, report)
            return own.fakes([read.source for read in group if isinstance(read.source, Input)], batch)

        return translate_all(outcomes, make, total, batch, report)

    def _read(self, job: Job, size: tuple[int, int] | None = None, given: Given = "auto") -> Read | Problem:
        seed = self.seed + job.sample

        def see(frame: Tensor) -> Input:
            return self.companions.read(self.sources.make([frame], given, size), job.extras, seed)

        if is_video(job.sources[0]):
            return Read(job.out, Video(job.sources[0], see), sample=job.sample)
        try:
            whole = size is not None or self.companions.specs
            large = None if whole else LargeTiff.found(job, self.images, self.tiling)
            if large is not None:
                return Read(job.out, large, sample=job.sample)
            kinds = (suffix_of(job.sources[0]), suffix_of(job.out))
            taken = self.sources.read(job.sources, kinds, given=given, size=size, extras=job.extras, seed=seed)
        except OSError as error:
            return Problem(", ".join(map(str, job.sources)), f"can't be read: {error.strerror or error}")
        kept: dict[str, Untyped] = {"beside": taken.beside, "meta": taken.meta, "reader": self.images.reading.reader}
        return Read(job.out, taken.source, tuple(taken.tags), job.sample, **kept)

    def _translate_by_parts(
        self, whole: LargeTiff | Video, out: Path, batch: int, report: Report | None
    ) -> Path | Problem:
        """Translate what is never in memory as a whole: noise is the same for all frames of a video."""
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(whole, Video):
                return whole.translate(out, partial(self.fakes, batch=batch), batch, report)
            return self._translate_rows(whole, out, batch)
        except OSError as error:
            return Problem(str(whole.path), f"can't be translated: {error.strerror or error}")

    def _translate_rows(self, large: LargeTiff, out: Path, batch: int) -> Path:
        """Translate a TIFF by rows, of which few are in memory at a time."""
        axes = [Axis(side, self.multiple, self.tiling) for side in (large.height, large.width)]
        seam, run = Seam(), partial(self._running, vectors={})
        with large.rows() as source:
            fakes = translate_rows(source, run, axes, seam, batch=batch, see=large.see)
            written = large.write(out, fakes)
        self._tell(seam)
        return written

    def fakes(self, inputs: Sequence[Input], batch: int = 1) -> list[Tensor]:
        """Run the generator on sources of one size; none of the fakes depends on the others.

        Args:
            inputs: What the network is given.
            batch: Tiles of one forward pass.

        Shape: -> (C_stored, H, W) each, as stored, of volumes (C_stored, D, H, W).
        """
        size = inputs[0].planes.shape[1:]
        if len(size) > self.images.dims:
            return [self._in_slices(each, batch) for each in inputs]
        if self.tiling.along(len(size)).wanted(*size):
            return [to_stored(self._in_tiles(each, batch)[None], self.images.target)[0] for each in inputs]
        return list(to_stored(self.network_values(*stacked(inputs)), self.images.target))

    def noisy(self) -> bool:
        """Say whether fakes of one source differ by the noise that the network draws, or that is drawn for it."""
        return self._running.draws(self.companions.blank(self.images.size))

    @property
    def _running(self) -> Running:
        mode = InferenceMode(self.batch_norm, self.dropout)
        return Running(self.generator, self.companions, self.place, mode, self.statistics, self.seed)

    @property
    def inputs(self) -> dict[str, ExtraSpec]:
        """What the generator takes, by name: the source, and what stands beside it."""
        return {"source": self.images.source, **self.companions.specs}

    @property
    def sources(self) -> Sources:
        """How its sources are made."""
        return Sources(self.images, self.companions)

    @cached_property
    def companions(self) -> Companions:
        """What the generator takes beside a source."""
        return Companions.of(self.generator, self.images)

    def network_values(self, sources: Tensor, vectors: Vectors | None = None) -> Tensor:
        """Translate what the network sees into what it makes, before that becomes values to store.

        Args:
            sources: Sources of any size, with the planes of images that stand beside them.
            vectors: What else the generator takes.

        Shape: (B, C_source, H, W) -> (B, C_target, H, W), in [-1, 1].
        """
        size = sources.shape[2:]
        made = self._running(
            padded(sources, [Axis(side, self.multiple, self.tiling).padded for side in size]), vectors or {}
        )
        return made[(slice(None), slice(None), *(slice(side) for side in size))]

    def _in_slices(self, volume: Input, batch: int) -> Tensor:
        """Translate a volume by a network of images."""
        slices = slices_of(self.images)
        inputs = [Input(planes, volume.vectors) for planes in cut_slices(volume.planes, slices)]
        groups = (inputs[first : first + batch] for first in range(0, len(inputs), batch))
        return torch.stack([fake for group in groups for fake in self.fakes(group, batch)], slices.axis + 1)

    def _in_tiles(self, asked: Input, batch: int) -> Tensor:
        planes = asked.planes
        tiling = self.tiling.along(planes.ndim - 1)
        axes = [Axis(side, self.multiple, tiling) for side in planes.shape[1:]]
        seam = Seam()
        run = partial(self._running, vectors={name: vector[None] for name, vector in asked.vectors.items()})
        done = translate_rows(lambda first, last: planes[:, first:last], run, axes, seam, batch=batch)
        fake = torch.cat(list(done), 1)
        self._tell(seam)
        return fake

    def _tell(self, seam: Seam) -> None:
        layers = whole_image_layers(self.generator, self.batch_norm)
        why = f", and each tile is an image of its own to this network's {', '.join(layers)}" if layers else ""
        if self.note is not None:
            self.note(f"{seam}{why}")
