"""Images beside those they are to be like: one and one, a batch and a batch, or two folders matched by names."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from p2pkit.errors import DataError, Problem
from p2pkit.images.files import image_tensor
from p2pkit.images.finding import find_images
from p2pkit.images.listing import image_key

if TYPE_CHECKING:
    from p2pkit.images.files import AnyImage

Read = Callable[[], tuple[Tensor, Tensor]]


def image_pairs(image: AnyImage, reference: AnyImage) -> list[Read]:
    """Return a function for each pair that reads it, as stored.

    Args:
        image: A folder, a tensor or array of several images, or one image in any form.
        reference: The same in the same form.

    Raises:
        DataError: Folders have no images, or other names. What is returned raises it for what can't be read.
    """
    paths = [Path(given) for given in (image, reference) if isinstance(given, str | Path)]
    folders = [path for path in paths if path.is_dir()]
    if len(folders) == 2:
        return _in_folders(*folders)
    if folders:
        raise DataError(Problem("", "one is a folder and the other is none", "give two folders, or two images"))
    if isinstance(image, Tensor) and isinstance(reference, Tensor) and image.ndim == reference.ndim == 4:
        if len(image) != len(reference) or not len(image):
            raise DataError(Problem("", f"there are {len(image)} images and {len(reference)} to compare them with"))
        return [partial(_read, *pair) for pair in zip(image, reference, strict=True)]
    return [partial(_read, image, reference)]


def _in_folders(image: Path, reference: Path) -> list[Read]:
    first, second = (_by_name(folder) for folder in (image, reference))
    alone = sorted(first.keys() ^ second.keys())
    if alone or not first:
        cause = f"{alone[0]} is in one of the folders only" if alone else "there are no images in this folder"
        raise DataError(Problem(str(image), cause, f"images are matched by name with those of {reference}"))
    return [partial(_read, first[name], second[name]) for name in sorted(first)]


def _by_name(folder: Path) -> dict[str, Path]:
    return {image_key(path.relative_to(folder)): path for path in find_images(folder)}


def _read(image: AnyImage, reference: AnyImage) -> tuple[Tensor, Tensor]:
    return _one(image), _one(reference)


def _one(image: AnyImage) -> Tensor:
    try:
        return image_tensor(image)
    except OSError as error:
        name = str(image) if isinstance(image, str | Path) else "the image"
        raise DataError(Problem(name, f"can't be read: {error.strerror or error}")) from None
