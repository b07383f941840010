"""Which file becomes which: inputs found, outputs named, and nothing of the user's overwritten."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from zlib import crc32

from p2pkit.errors import DataError, Problem
from p2pkit.images.files import is_fake, suffix_for
from p2pkit.images.finding import find_images
from p2pkit.images.formats import is_here, missing, writes
from p2pkit.images.listing import SUFFIXES, VIDEO_SUFFIXES, suffix_of, without_suffix
from p2pkit.images.manifest import is_manifest, manifest_rows, paths_of
from p2pkit.inference.companions import Companions
from p2pkit.inference.video import is_fake_video, is_held, is_video
from p2pkit.types import PairSpec
from p2pkit.untyped import Json, Plain

TIFF = (".tif", ".tiff")


@dataclass(frozen=True, slots=True)
class Job:
    """One fake to make.

    Args:
        sources: The files that make one source.
        out: The file to write.
        sample: Which of several fakes of the source, that differ by noise.
        extras: What a table says of what the generator takes beside the source.
    """

    sources: tuple[Path, ...]
    out: Path
    sample: int = 0
    extras: Plain = field(default_factory=dict)

    def plain(self) -> dict[str, Json]:
        """Return it as plain data, with paths that hold in any working folder; see `from_plain`."""
        extras = {name: _whole(value) if isinstance(value, Path) else value for name, value in self.extras.items()}
        sources = [_whole(path) for path in self.sources]
        return {"sources": sources, "out": _whole(self.out), "sample": self.sample, "extras": extras}

    @classmethod
    def from_plain(cls, plain: Plain) -> Job:
        """Return what `plain` has told."""
        return cls(tuple(map(Path, plain["sources"])), Path(plain["out"]), plain["sample"], plain["extras"])


def _whole(path: Path) -> str:
    return str(path.absolute())


def plan_jobs(
    inputs: Sequence[Path],
    output: Path,
    images: PairSpec,
    *,
    samples: int = 1,
    skip_existing: bool = False,
    overwrite: bool = False,
) -> list[Job]:
    """Pair inputs with the files to write; folders are searched, their structure kept.

    Args:
        inputs: Image files, folders of images, and tables that list sources.
        output: A folder, which is left out of the inputs; or for one image the file to write.
        images: What fakes are.
        samples: How many fakes of each source; the names of several end with their number.
        skip_existing: Whether fakes that are there are left as they are.
        overwrite: Whether files may be replaced of which it can't be told that they are fakes; sources never are.

    Raises:
        DataError: Inputs are missing, or files would be overwritten; nothing has been written.
    """
    problems: list[Problem] = []
    named = _single(inputs, output)
    jobs = [Job((inputs[0],), named)] if named else list(_found(inputs, output, images, problems))
    jobs = [_sample(job, index) for job in jobs for index in range(samples)] if samples > 1 else jobs
    kept = [job for job in jobs if not (skip_existing and job.out.is_file() and job.out not in job.sources)]
    problems += [*_twice(jobs), *_overwritten(kept, overwrite)]
    problems += _folder(named.parent if named else output) if kept else ()
    problems += _videos(kept, images)
    if named and not is_video(named) and (suffix := suffix_of(named)) != suffix_for(images.target, suffix):
        problems.append(Problem(str(named), f"a {suffix} file can't hold what the fakes are", "write .tif or .npy"))
    if problems or not jobs:
        raise DataError(problems or Problem("", "there is nothing to translate"))
    return kept


def fitting_jobs(
    inputs: Sequence[Path],
    output: Path,
    images: PairSpec,
    companions: Companions,
    noisy: Callable[[], bool],
    *,
    samples: int = 1,
    vary: bool = False,
    extras: Plain | None = None,
    skip_existing: bool = False,
    overwrite: bool = False,
) -> list[Job]:
    """Pair inputs with the files to write, as a generator can make them.

    Args:
        inputs: As for `plan_jobs`, like `output`, `samples`, `skip_existing` and `overwrite`.
        output: Where fakes go.
        images: What they are.
        companions: What the generator takes beside a source.
        noisy: Says whether it draws noise.
        samples: How many fakes of each source.
        vary: Whether each source has noise of its own.
        extras: What the generator takes beside each source, where no table says otherwise.
        skip_existing: Whether fakes that are there are left.
        overwrite: Whether other files may be replaced.

    Raises:
        DataError: It can't be so; nothing has been written.
    """
    reader = images.reading.reader
    if reader is not None and not is_here(reader):
        raise DataError(Problem("the sources", missing(reader.use)))
    if (samples > 1 or vary) and not noisy():
        cause = "this network draws no noise: all fakes of a source would be the same"
        asked = "--vary" if vary else "--samples"
        raise DataError(Problem(asked, cause, "leave it out, or keep its dropout by -s evaluate.dropout=on"))
    options = {"skip_existing": skip_existing, "overwrite": overwrite}
    jobs = plan_jobs(inputs, output, images, samples=samples, **options)
    jobs = [replace(job, extras={**(extras or {}), **job.extras}) for job in jobs]
    jobs = [replace(job, sample=job.sample + crc32(job.sources[0].name.encode())) for job in jobs] if vary else jobs
    if wrong := dict.fromkeys(problem for job in jobs for problem in companions.problems(job.extras)):
        raise DataError(list(wrong))
    return jobs


def _single(inputs: Sequence[Path], output: Path) -> Path | None:
    """Return the output where it names a file for one image."""
    if suffix_of(output) not in SUFFIXES | VIDEO_SUFFIXES or output.is_dir():
        return None
    if len(inputs) == 1 and not inputs[0].is_dir() and not is_manifest(inputs[0]):
        return output if inputs[0].exists() else None
    raise DataError(Problem(str(output), "names one file, and there may be several fakes", "name a folder"))


def _found(inputs: Sequence[Path], output: Path, images: PairSpec, problems: list[Problem]) -> Iterator[Job]:
    for given in inputs:
        if given.is_dir():
            found = find_images(given, without=output if output.resolve() != given.resolve() else None)
            yield from (_job((path,), output / path.relative_to(given), images) for path in found)
            if not found:
                problems.append(Problem(str(given), "there are no images in this folder"))
        elif is_manifest(given) and given.is_file():
            yield from _listed(given, output, images, problems)
        elif given.exists():
            yield _job((given,), output / given.name, images)
        else:
            problems.append(Problem(str(given), "there is no such file or folder"))


def _listed(table: Path, output: Path, images: PairSpec, problems: list[Problem]) -> Iterator[Job]:
    for line, row in manifest_rows(table, ("source",)):
        paths = [table.parent / path for path in paths_of(row.get("source"))]
        missing = [path for path in paths if not path.is_file()]
        problems += [Problem(str(table), f"line {line}: source {path} does not exist") for path in missing]
        if not paths:
            problems.append(Problem(str(table), f"line {line}: no source"))
            continue
        name = PurePath(str(row.get("name") or paths_of(row["source"])[0]))
        inside = [part for part in name.parts if part not in (name.anchor, "..", ".")]
        out = output.joinpath(*inside)
        named = out if not row.get("name") else out.with_name(f"{out.name}{suffix_of(paths[0])}")
        yield replace(_job(tuple(paths), named, images), extras=_extras(table, row, images))


def _extras(table: Path, row: Plain, images: PairSpec) -> dict[str, Json]:
    """Return what a line says of what stands beside the source; an image's path begins at the table's folder."""
    written = {name: row[name] for name in images.extras if row.get(name) not in (None, "")}
    paths = {name: table.parent / written[name] for name in written if name in images.images}
    return {**written, **paths}


def _job(sources: tuple[Path, ...], named: Path, images: PairSpec) -> Job:
    bare = without_suffix(named)
    return Job(sources, bare.with_name(f"{bare.name}{fake_suffix(images, sources[0])}"))


def _sample(job: Job, index: int) -> Job:
    bare = without_suffix(job.out)
    named = job.out.with_name(f"{bare.name}-{index + 1}{job.out.name[len(bare.name) :]}")
    return replace(job, out=named, sample=index)


def fake_suffix(images: PairSpec, source: Path | None = None) -> str:
    """Return what a fake's file ends with: a TIFF for a TIFF, or what targets were, or what keeps all values.

    A plugin's format is kept as a TIFF is, where the plugin can write it.
    """
    given = suffix_of(source) if source is not None else ""
    if given in VIDEO_SUFFIXES:
        return given
    if given not in TIFF and not writes(f"image{given}", images.reading.reader):
        given = images.reading.suffix or (given if given == ".npy" else ".png")
    return suffix_for(images.target, given)


def _folder(output: Path) -> Iterator[Problem]:
    existing = next(path for path in (output, *output.absolute().parents) if path.exists())
    if not existing.is_dir():
        yield Problem(str(output), f"{existing} is a file, where a folder is wanted", "give another name")
    elif not os.access(existing, os.W_OK | os.X_OK):
        yield Problem(str(output), f"nothing can be written to {existing}", "choose a folder that you may write to")


def _videos(jobs: Iterable[Job], images: PairSpec) -> Iterator[Problem]:
    """Refuse what would be a video of images, an image of a video, or of fakes that videos don't hold."""
    for job in jobs:
        moving = [is_video(path) for path in (*job.sources, job.out)]
        if any(moving) and not (all(moving) and len(job.sources) == 1):
            cause = f"can't become {job.out}: a video becomes a video, and nothing else does"
            yield Problem(", ".join(map(str, job.sources)), cause, f"write {', '.join(sorted(VIDEO_SUFFIXES))}")
        elif any(moving) and not is_held(images.target):
            cause = "is a video, and what this model makes is none: it has 1 or 3 channels of 8 bits"
            yield Problem(str(job.sources[0]), cause, "translate the video's frames as images")


def _twice(jobs: Iterable[Job]) -> Iterator[Problem]:
    taken: dict[Path, Path] = {}
    for job in jobs:
        if job.out in taken:
            cause = f"would be written to {job.out}, as {taken[job.out]} is"
            yield Problem(str(job.sources[0]), cause, "rename one")
        taken[job.out] = job.sources[0]


def _overwritten(jobs: Sequence[Job], overwrite: bool) -> Iterator[Problem]:
    """Compare what would be written with what is read, whatever it is called there, and with what is there."""
    read = {_identity(path): path for job in jobs for path in job.sources}
    for job in jobs:
        if not os.path.lexists(job.out):
            continue
        source = read.get(_identity(job.out))
        if source is not None:
            yield Problem(str(job.out), f"would overwrite its own source {source}", "give another folder")
        elif not overwrite and not is_ours(job.out):
            yield Problem(str(job.out), "exists, and can't be told to be a fake", OVERWRITE)


OVERWRITE = "give another folder, or say --skip-existing or --overwrite"


def is_ours(path: Path) -> bool:
    """Say whether a file that exists is a fake."""
    try:
        return path.is_file() and not path.is_symlink() and (is_fake_video if is_video(path) else is_fake)(path)
    except OSError:
        return False


def _identity(path: Path) -> object:
    try:
        facts = path.stat()
    except OSError:
        return path
    return facts.st_dev, facts.st_ino
