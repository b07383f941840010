"""How files become sources: the same for the data set that trains a network and for what it translates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from p2pkit.images.convert import conform, full_scale, resize, stored_type, to_network
from p2pkit.types import Edges, ImageSpec, PairSpec, Reading, Slices

Given = Literal["auto", "source", "file"]
"""What files are: sources as they are, files as the data set's, or whichever of them a file looks like."""
_ALIKE = 0.02
_COLOUR = 8 / 255
_PAPER = 0.5
_SINGLE = 0.75
_STEP, _COLOURS, _ENOUGH = 32, 96, 1024
_RARE, _FLAT = 0.002, 0.9
"""A colour that fewer pixels have is a trace of a JPEG or of a smooth edge; the others cover a painted image."""
_SAY = "say what files are by --given source or --given file"


def cut_half(image: Tensor, half: str) -> Tensor:
    """Take one half of an image's width, or all of it.

    Raises:
        OSError: It has no halves.

    Shape: (C, H, W) -> (C, H, W) or (C, H, W / 2).
    """
    if half == "whole":
        return image
    width = image.shape[2]
    if width % 2:
        raise OSError(f"is {width} pixels wide, which can't be cut into two halves")
    start = 0 if half == "left" else width // 2
    return image[:, :, start : start + width // 2].contiguous()


def choose_bands(image: Tensor, bands: Sequence[int]) -> Tensor:
    """Take bands of an image, or all of them where none is named.

    Raises:
        OSError: It has fewer.

    Shape: (C, H, W) -> (C_chosen, H, W).
    """
    if not bands:
        return image
    if max(bands) >= image.shape[0]:
        raise OSError(f"has {image.shape[0]} bands, from 0 to {image.shape[0] - 1}, and no band {max(bands)}")
    return torch.stack([image[band] for band in bands])


def stretch(image: Tensor, percentiles: tuple[float, float]) -> Tensor:
    """Bring an image's values at two percentiles to 0 and 1, and cut off what lies outside.

    Args:
        image: As it is stored.
        percentiles: The lower and the upper one, of 0 to 100.

    Shape: the same, float32.
    """
    low, high = np.percentile(image.numpy(), percentiles)
    return ((image.float() - float(low)) / max(float(high - low), 1e-6)).clamp(0, 1)


def cut_slices(volume: Tensor, slices: Slices, chosen: Sequence[int] | None = None) -> Tensor:
    """Cut a volume into slices, each with its neighbours as channels.

    Args:
        volume: As it is stored, or as networks see it.
        slices: How it is cut.
        chosen: Which slices; by default all of them.

    Shape: (C, D, H, W) -> (slices, C * (2 * neighbours + 1), h, w).
    """
    planes = volume.movedim(slices.axis + 1, 0)
    index = torch.arange(len(planes)) if chosen is None else torch.tensor(chosen)
    offsets = range(-slices.neighbours, slices.neighbours + 1)
    return torch.cat([planes[(index + offset).clamp(0, len(planes) - 1)] for offset in offsets], 1)


def draw_edges(photo: Tensor, spec: ImageSpec, edges: Edges) -> Tensor:
    """Draw the edges of a stored photo, dark on white.

    Args:
        photo: The photo.
        spec: What it is.
        edges: How they are drawn.

    Shape: (C, H, W) -> (1, H, W), uint8.
    """
    from kornia.filters import canny, sobel

    luma = replace(spec, channels=1)
    grey = (to_network(conform(photo, luma)[None], luma) + 1) / 2
    if edges.detector == "canny":
        lines: Tensor = canny(grey, edges.low, edges.high)[1][0]
    else:
        lines = (sobel(grey, normalized=False)[0] - edges.low) / (edges.high - edges.low)
    return ((1 - lines.clamp(0, 1)) * 255).round().to(torch.uint8)


def read_source(
    image: Tensor, images: PairSpec, *, given: Given = "auto", size: tuple[int, int] | None = None
) -> Tensor:
    """Do to the image of a file what the data set did to it, and return what the network is given.

    Args:
        image: The file's image, as stored.
        images: What the network was trained on.
        given: What the file is.
        size: Height and width to resize it to.

    Raises:
        OSError: It can't be told what it is, or it can't be made a source.

    Shape: (C, H, W) -> (C_source, H', W') in [-1, 1].
    """
    reading = images.reading
    image = _of_dimensions(image, images)
    if given == "file" or (given == "auto" and reading.bands and image.shape[0] != images.source.channels):
        image = choose_bands(image, reading.bands)
    image = source_part(image, reading, given)
    spec = images.source
    if reading.edges is not None and (given == "file" or (given == "auto" and _is_photo(image))):
        photo = at_depth(images.target, image)
        image = draw_edges(_resized(conform(image, photo), photo, size), photo, reading.edges)
    elif given == "auto" and reading.painted:
        _refuse_photo(image, reading)
    if reading.percentiles is not None:
        image = stretch(image, reading.percentiles)
    if image.ndim - 1 > images.dims:  # slices get their neighbours when they are cut
        spec = replace(spec, channels=spec.channels // (2 * slices_of(images).neighbours + 1))
    spec = at_depth(spec, image)
    return to_network(_resized(conform(image, spec), spec, size)[None], spec)[0]


def source_part(image: Tensor, reading: Reading, given: Given = "auto") -> Tensor:
    """Return what of a file's image a source is made of: of a file of both images one half.

    Args:
        image: The file's image, as stored.
        reading: What the data set did to its files.
        given: What the file is.

    Raises:
        OSError: It can't be told what it is.

    Shape: (C, H, W) -> (C, H, W) or (C, H, W / 2).
    """
    cut = reading.half != "whole" and (given == "file" or (given == "auto" and _is_pair(image, reading)))
    return cut_half(image, reading.half) if cut else image


def slices_of(images: PairSpec) -> Slices:
    """Return how a volume is cut for a network of images: as its data set did, or from front to back of the array."""
    return images.reading.slices or Slices()


def _of_dimensions(image: Tensor, images: PairSpec) -> Tensor:
    """Return an image as a network's data are; a single slice is a volume too.

    Raises:
        OSError: The network has learnt from slices with their neighbours, and there is one slice alone.
    """
    if image.ndim - 1 == images.dims == 2 and slices_of(images).neighbours:
        raise OSError("is one slice, and its neighbours are wanted too: give the volume")
    return image[:, None] if image.ndim - 1 < images.dims else image


def painted_colours(images: Sequence[Tensor]) -> tuple[tuple[int, int, int], ...]:
    """Return the few colours that images are painted in; none where they are grey or of many colours.

    Args:
        images: Stored images of a data set.
    """
    found: dict[tuple[int, int, int], int] = {}
    for image in images:
        if image.shape[0] != 3 or image.dtype != torch.uint8 or image[0].numel() < _ENOUGH:
            return ()
        colours, counts = torch.unique(_coarse(image), dim=1, return_counts=True)
        common = counts > counts.sum() * _RARE
        if counts[common].sum() < counts.sum() * _FLAT:
            return ()
        for colour, count in zip(colours[:, common].T.tolist(), counts[common].tolist(), strict=True):
            found[tuple(colour)] = found.get(tuple(colour), 0) + count
    few = len(found) <= _COLOURS and any(max(colour) - min(colour) > 255 * _COLOUR for colour in found)
    return tuple(sorted(found)) if few else ()


def _coarse(image: Tensor) -> Tensor:
    """Return pixels with colours rounded, so that what a JPEG does to them is lost: (3, H W)."""
    return ((image[:3].int() + _STEP // 2) // _STEP * _STEP).clamp(max=255).flatten(1)


def _refuse_photo(image: Tensor, reading: Reading) -> None:
    """Refuse a photo where sources are painted in few colours; other colours than theirs may be in a drawing."""
    if image.shape[0] < 3:
        return
    eight = (image[:3].float() * (255 / full_scale(image))).round().to(torch.uint8)
    pixels, counts = torch.unique(_coarse(eight), dim=1, return_counts=True)
    known = torch.tensor(reading.painted).T
    near = (pixels[:, :, None] - known[:, None]).abs().amax(0).amin(1) <= _STEP
    share = float(counts[near].sum()) / float(counts.sum())
    if share < 0.5:
        raise OSError(
            f"looks like a photo, where sources are painted in {len(reading.painted)} colours: "
            f"{1 - share:.0%} of its pixels have none of them (--given source takes it as it is)"
        )


def at_depth(spec: ImageSpec, image: Tensor) -> ImageSpec:
    """Return a spec on the full scale of an image's own depth, where it is on a full scale."""
    full = {torch.uint8: 255.0, torch.uint16: 65535.0}
    whole = spec.kind == "intensity" and spec.low == 0 and full.get(stored_type(spec)) == spec.high
    return replace(spec, high=full[image.dtype], dtype="") if whole and image.dtype in full else spec


def _resized(image: Tensor, spec: ImageSpec, size: tuple[int, int] | None) -> Tensor:
    if size and image.ndim > 3:
        raise OSError("is a volume, which is translated at its own size: leave --size out")
    return resize(image, *size, nearest=spec.kind == "labels") if size else image


def _is_pair(image: Tensor, reading: Reading) -> bool:
    """Tell files of both images from sources alone by their shape."""
    height, width = image.shape[-2:]
    wide = width / height / reading.aspect if reading.aspect else 0.0
    if abs(wide - 1) <= _ALIKE:
        return True
    if 0 < wide <= _SINGLE:
        return False
    known = f"; files of a pair were {reading.aspect:.3g} times as wide as high" if reading.aspect else ""
    raise OSError(f"is {width} x {height}: it can't be told whether it is a source or a pair{known} ({_SAY})")


def _is_photo(image: Tensor) -> bool:
    """Tell photos from drawings: colours are none of a drawing's, and paper is white."""
    values = image[:3].float() / full_scale(image)
    if len(values) == 3 and (values.amax(0) - values.amin(0)).mean() > _COLOUR:
        return True
    if (values > 1 - _COLOUR).float().mean() >= _PAPER:
        return False
    raise OSError(
        f"is grey and not mostly white: it can't be told whether it is a photo or a drawing of its edges ({_SAY})"
    )
