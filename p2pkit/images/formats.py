"""Who reads a file: readers by name, by what a file's name ends with, and by how its content begins."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import IO, TYPE_CHECKING

from p2pkit.errors import first_line
from p2pkit.images.codec import HEAD, open_regular
from p2pkit.images.decode import CODECS, is_known
from p2pkit.images.limits import check_size
from p2pkit.images.listing import SUFFIXES, is_hidden, is_image_name, suffix_of
from p2pkit.types import FileReader, ImageFile, ReaderChoice, optional
from p2pkit.untyped import Plain

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OWN = "p2pkit"
Make = Callable[[Plain], FileReader]
Head = Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Format:
    """A reader that may be asked for.

    Args:
        name: Its full name.
        suffixes: What names of its files end with, in lower case.
        make: Makes it of its parameters, when the first file is read.
    """

    name: str
    suffixes: tuple[str, ...]
    make: Make

    @property
    def own(self) -> bool:
        """Whether it is one of p2pkit's own."""
        return self.name.partition(":")[0] == OWN


_OWN = {
    f"{OWN}:{name}": Format(f"{OWN}:{name}", codec.suffixes, lambda params, codec=codec: codec(**params))  # type: ignore[misc]  # bound early
    for name, codec in CODECS.items()
}
_FORMATS: dict[str, Format] = dict(_OWN)
"""By full name: p2pkit's own, which need no plugin to be loaded, and those of the plugins that are."""
_MADE: dict[tuple[str, str, Make], FileReader] = {}


def register(name: str, suffixes: tuple[str, ...], make: Make) -> None:
    """Let files be read by a plugin's reader.

    Args:
        name: The reader's full name; one of the same name is replaced.
        suffixes: What names end with, in lower case.
        make: Makes the reader.
    """
    _FORMATS[name] = Format(name, suffixes, make)
    SUFFIXES.update(suffixes)


def reader_of(name: str | PurePath, head: Head = bytes, choice: ReaderChoice | str | None = None) -> FileReader | None:
    """Return the reader for a file; None where p2pkit's own tell it by its content, or nobody can.

    The reader that is chosen reads all files but those whose suffix is another's alone, or that have none and are
    p2pkit's by their content. Else a suffix that p2pkit knows is its own; of plugins that share a suffix, and where
    nobody knows it, content decides.

    Args:
        name: What the file is called.
        head: Returns how it begins.
        choice: The reader that a data set names.

    Raises:
        OSError: The reader is not here or can't be made, or several plugins would read the file.
    """
    found = _chosen(suffix_of(name), head, choice)
    return None if found is None else _made(*found)


def reader_choice(name: str | PurePath, head: Head = bytes) -> ReaderChoice | None:
    """Return which plugin's reader reads a file of which nothing else is said; None for p2pkit's own."""
    found = _chosen(suffix_of(name), head, None)
    return None if found is None else ReaderChoice(found[0].name, found[1])


def memory_choice(name: str, head: Head, choice: ReaderChoice | None) -> ReaderChoice | None:
    """Return which reader is chosen for what lies in no file: p2pkit's own, with parameters, or none.

    Args:
        name: What it is called.
        head: Returns how it begins.
        choice: The reader that a data set names.

    Raises:
        OSError: A plugin's reader would read it in its own way, and plugins read files alone.
    """
    if choice is None or _named(choice.use).own:
        return choice
    found = _chosen(suffix_of(name), head, choice)
    if found is not None and found[0] is _named(choice.use):
        raise OSError(f"{choice.use} reads such sources of this model, and from files alone: use p2pkit translate")
    return None


def _chosen(suffix: str, head: Head, choice: ReaderChoice | str | None) -> tuple[Format, Plain] | None:
    offered = [format for format in _FORMATS.values() if suffix in format.suffixes]
    if choice is not None:
        choice = ReaderChoice(choice) if isinstance(choice, str) else choice
        chosen = _named(choice.use)
        if chosen in offered or (not offered and _takes(chosen, choice.params, head())):
            return chosen, choice.params
    if any(format.own for format in offered):
        return None
    if len(offered) != 1:
        offered = _by_content(offered, head, suffix)
    return (offered[0], {}) if offered else None


def _by_content(shared: list[Format], head: Head, suffix: str) -> list[Format]:
    """Return the one format whose reader says that a file is its own, if there is any."""
    able = [format for format in shared or _FORMATS.values() if not format.own]
    begins = head() if able else b""
    if not shared and (not begins or is_known(begins)):
        return []
    found = [format for format in able if _sniffs(format, begins, {})]
    if len(found) > 1 or (shared and not found):
        names = " and ".join(sorted(format.name for format in found or shared))
        remedy = "name one, {use: NAME}, where the data set says its reader, or block one in registry.yaml"
        raise OSError(f"{names} both read {f'{suffix} files' if suffix else 'it'}; {remedy}")
    return found


def _takes(format: Format, params: Plain, head: bytes) -> bool:
    """Say whether a reader that is chosen takes a file of a name that tells nothing: but for pictures and the like."""
    return not is_known(head) or _sniffs(format, head, params)


def _sniffs(format: Format, head: bytes, params: Plain) -> bool:
    with suppress(OSError):
        sniff = optional.sniff(_made(format, params))
        with _told_of(format.name, "can't look at it"):
            return sniff is not None and bool(sniff(head))
    return False


def is_image(path: str | PurePath, head: Head) -> bool:
    """Say whether a file below a folder is an image: by its name, or, where that has no suffix, by its content.

    Args:
        path: The path from the folder that was given.
        head: Returns how it begins.
    """
    if is_image_name(path):
        return True
    unnamed = not suffix_of(path) and not is_hidden(path) and len(_FORMATS) > len(_OWN)
    if not unnamed:
        return False
    try:
        return bool(_by_content([], head, ""))
    except OSError:
        return False


def head_of_path(path: Path) -> bytes:
    """Return how a file begins."""
    with open_regular(path) as file:
        return file.read(HEAD)


def _named(name: str) -> Format:
    full = name if ":" in name else f"{OWN}:{name}"
    found = [_FORMATS[full]] if full in _FORMATS else []
    found = found or [format for format in _FORMATS.values() if format.name.endswith(f":{name}")]
    if len(found) != 1:
        raise OSError(missing(name))
    return found[0]


def missing(name: str) -> str:
    """Say that a reader is not here, and what brings it."""
    plugin = name.partition(":")[0] if ":" in name else ""
    remedy = f": install the plugin {plugin}, or name its file, --plugin {plugin}.py" if plugin else ""
    return f"is to be read by {name}, which is no reader that is here{remedy}"


def is_here(choice: ReaderChoice) -> bool:
    """Say whether the plugin of a reader is loaded."""
    return choice.use in _FORMATS


def _made(format: Format, params: Plain) -> FileReader:
    key = (format.name, json.dumps(params, sort_keys=True, default=str), format.make)
    if key not in _MADE:
        with _told_of(format.name, "can't be made"):
            _MADE[key] = format.make(params)
    return _MADE[key]


def writes(name: str | PurePath, choice: ReaderChoice | None = None) -> bool:
    """Say whether a plugin's reader writes files of a name too."""
    reader = reader_of(name, choice=choice)
    return reader is not None and optional.write(reader) is not None


def read_by(reader: FileReader, file: Path | IO[bytes], suffix: str) -> ImageFile:
    """Let a reader read a file.

    Args:
        reader: The reader.
        file: A path, or an open file, whose content is then written to a file of its own.
        suffix: What the file's name ends with.

    Raises:
        OSError: The file can't be read; whatever the reader raises becomes one.
    """
    import numpy as np  # not where names are listed: it takes long

    if not isinstance(file, Path):
        with tempfile.TemporaryDirectory(prefix="p2pkit-") as folder:
            copy = Path(folder, f"image{suffix}")
            copy.write_bytes(file.read())
            return read_by(reader, copy, suffix)
    file.stat()  # its own error says more than the reader's
    with _told_of(suffix, "files' reader"):
        found: object = reader.read(file)
        image = found if isinstance(found, ImageFile) else ImageFile(np.asarray(found))
    if image.pixels.ndim in (2, 3):
        check_size(*image.pixels.shape)
    elif image.pixels.ndim == 4:  # of a volume each voxel counts
        depth, height, width, channels = image.pixels.shape
        check_size(depth * height, width, channels)
    return image


def write_by(reader: FileReader, path: Path, pixels: NDArray[np.generic], meta: object) -> None:
    """Let a reader write a file.

    Args:
        reader: The reader.
        path: Where to.
        pixels: (H, W) or (H, W, C), of a volume (D, H, W, C).
        meta: What the file that the image was made of held beside its pixels; None for nothing.

    Raises:
        OSError: It can't be written.
    """
    write = optional.write(reader)
    if write is None:
        raise OSError(f"{suffix_of(path)} files can be read, but not written")
    with _told_of(suffix_of(path), "files' reader"):
        write(path, ImageFile(pixels, meta))


@contextmanager
def _told_of(whose: str, what: str) -> Iterator[None]:
    try:
        yield
    except OSError:
        raise
    except Exception as error:  # a plugin may raise anything
        raise OSError(f"{whose} {what}: {first_line(error, typed=True)}") from error
