"""What a request holds: the bytes of an image, or JSON of an image with what stands beside it."""

from __future__ import annotations

import base64
import binascii
import io
import json
from http import HTTPStatus

from p2pkit.errors import Problem
from p2pkit.images.files import read_image
from p2pkit.inference.companions import Companions
from p2pkit.serving.problems import Refused
from p2pkit.untyped import Json

JSON = "application/json"
_FORM = 'send {"source": the image in base64, and by name what the model takes beside it}'


def is_json(content_type: str) -> bool:
    """Say whether a body is JSON, by its header."""
    return content_type.partition(";")[0].strip().lower() == JSON


def from_json(body: bytes, companions: Companions) -> tuple[bytes, dict[str, Json]]:
    """Return the bytes of an image, and what stands beside it; no text of a request is taken for a file's name.

    Args:
        body: The JSON: images in base64, classes by name or index, numbers as lists.
        companions: What the model takes.

    Raises:
        Refused: It is no such JSON.
        OSError: An image can't be read.
    """
    try:
        held = json.loads(body)
    except (ValueError, RecursionError):
        raise _refused("body", "is no JSON") from None
    if not isinstance(held, dict):
        raise _refused("body", "is JSON of another form")
    source = _bytes("source", held.pop("source", None))
    for name in held.keys() & companions.images.keys():
        indexed = companions.images[name].kind == "labels"
        held[name] = read_image(io.BytesIO(_bytes(name, held[name])), indexed=indexed)
    return source, held


def _bytes(name: str, text: object) -> bytes:
    """Read an image's bytes; the head of a data URL may stand before them."""
    try:
        if isinstance(text, str):
            return base64.b64decode(text.partition(";base64,")[2] or text, validate=True)
    except (binascii.Error, ValueError):
        pass
    raise _refused(f"body.{name}", "is no image in base64" if text is not None else "is missing")


def _refused(where: str, cause: str) -> Refused:
    return Refused(HTTPStatus.BAD_REQUEST, Problem(where, cause, _FORM))
