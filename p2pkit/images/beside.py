"""What a file holds beside its pixels, which its fake keeps: colour profile, EXIF, and how opaque it is."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import torch
from PIL import Image
from torch import Tensor

from p2pkit.images.convert import full_scale, resize_to, stored_type
from p2pkit.images.pictures import Pictures
from p2pkit.images.tiff import Tiff
from p2pkit.types import PairSpec

_WITH_ALPHA = (".png", ".webp")
_TIFF = Tiff.suffixes
_HOLDING = {*Pictures.suffixes, *_TIFF}
_ORIENTATION = 0x0112


@dataclass(frozen=True, slots=True)
class Beside:
    """What a fake gets beside its pixels.

    Args:
        profile: The ICC profile of its colours; empty for none.
        exif: EXIF, without the orientation, since images are turned upright; empty for none.
        alpha: How opaque it is, as stored; None where it is so all over.
    """

    profile: bytes = b""
    exif: bytes = b""
    alpha: Tensor | None = None


def read_beside(
    file: Path | IO[bytes], kinds: tuple[str, str], stored: Tensor, images: PairSpec, size: Sequence[int]
) -> Beside:
    """Read what the fake of a file keeps of it.

    A profile says what colours mean, and is kept where fakes have as many as sources.

    Args:
        file: The source's file.
        kinds: The suffixes of the source's file and of the fake's.
        stored: The source, as stored: of a file of both images its half.
        images: What the network was trained on.
        size: Height and width of the fake.
    """
    if not {*kinds} <= _HOLDING:
        return Beside()
    profile, exif = b"", b""
    with suppress(OSError, ValueError, SyntaxError, Image.DecompressionBombError), Image.open(file) as image:
        if images.source.channels == images.target.channels and images.target.kind == "intensity":
            profile = image.info.get("icc_profile") or b""
        if kinds[0] not in _TIFF:
            found = image.getexif()
            found.pop(_ORIENTATION, None)
            exif = found.tobytes() if len(found) else b""
    return Beside(profile, exif, _alpha(kinds, stored, images, size))


def _alpha(kinds: tuple[str, str], stored: Tensor, images: PairSpec, size: Sequence[int]) -> Tensor | None:
    """Return how opaque the fake is, where the network has not been given that as a channel."""
    kind = stored_type(images.target)
    transparent = stored.shape[0] in (2, 4) and images.source.channels in (1, 3)
    held = (
        images.target.kind == "intensity" and images.target.channels in (1, 3) and kind in (torch.uint8, torch.uint16)
    )
    known = all(kind in _WITH_ALPHA for kind in kinds)
    if not (transparent and held and known) or stored.is_floating_point():
        return None
    alpha, opaque = stored[-1:], full_scale(stored)
    if bool((alpha == int(opaque)).all()):
        return None
    share = resize_to(alpha, size).float() / opaque
    return (share * full_scale(torch.empty(0, dtype=kind))).round().to(kind)
