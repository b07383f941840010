"""Kinds of image files, as HTTP names them."""

from __future__ import annotations

from http import HTTPStatus

from p2pkit.errors import Problem
from p2pkit.images.files import suffix_for
from p2pkit.serving.problems import Refused
from p2pkit.serving.sent import JSON
from p2pkit.types import ImageSpec

NPY = "application/x-npy"
KINDS = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "image/tiff": ".tif",
    NPY: ".npy",
}
"""What is read and written; a body of unnamed bytes is looked at, and JSON holds images in base64."""
UNNAMED = "application/octet-stream"
_LOSSY = (".jpg", ".webp")
_MAGIC = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"RIFF": ".webp", b"\x93NUM": ".npy"}
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def check_sent(content_type: str) -> None:
    """Refuse a body of another kind than an image's.

    Raises:
        Refused: By 415.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in (*KINDS, UNNAMED, JSON):
        cause = f"is {kind}, and no image that is taken" if kind else "is missing: it says what kind of image this is"
        raise Refused(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, Problem("header.content-type", cause, f"send {', '.join(KINDS)}")
        )


def sent_suffix(content: bytes) -> str:
    """Return the suffix of a file by how it begins; empty for kinds of which nothing is kept beside the pixels."""
    if content[:4] in _TIFF:
        return ".tif"
    return next((suffix for magic, suffix in _MAGIC.items() if content.startswith(magic)), "")


def wanted_kind(accept: str, target: ImageSpec, *, picture: bool) -> tuple[str, str]:
    """Choose what is sent back.

    Args:
        accept: The request's header; empty for anything.
        target: What fakes are.
        picture: Whether a picture for people is wanted, of three channels of 8 bits.

    Returns:
        The kind as HTTP names it, and its suffix.

    Raises:
        Refused: By 406; none of what is accepted can hold the fake.
    """
    spec = ImageSpec(3) if picture else target
    held = [kind for kind, suffix in KINDS.items() if _holds(spec, suffix)]
    for asked in _by_preference(accept):
        start = asked.removesuffix("*")
        found = [
            kind for kind in held if kind == asked or (asked.endswith("*") and kind.startswith(start.lstrip("*/")))
        ]
        if found:
            return found[0], KINDS[found[0]]
    remedy = f"accept one of {', '.join(held)}"
    raise Refused(HTTPStatus.NOT_ACCEPTABLE, Problem("header.accept", f"{accept}: can't hold the fake", remedy))


def _holds(spec: ImageSpec, suffix: str) -> bool:
    """Say whether a kind of file keeps an image's values, or a picture's looks; classes are no looks."""
    return suffix_for(spec, suffix) == suffix and not (spec.kind == "labels" and suffix in _LOSSY)


def _by_preference(accept: str) -> list[str]:
    """Return the kinds of a header, best first."""
    weighed = []
    for part in accept.lower().split(",") if accept.strip() else ["*/*"]:
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        weights = [parameter[2:] for parameter in parameters if parameter.startswith("q=")]
        try:
            weight = float(weights[0]) if weights else 1.0
        except ValueError:
            weight = 0.0
        if weight > 0:
            weighed.append((-weight, kind))
    return [kind for _, kind in sorted(weighed, key=lambda pair: pair[0])]
