"""A format of image files to begin with: a line of text that says what follows, then the values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import p2pkit

P2PKIT_PLUGIN_API = 2


class Grid:
    """Files of grids: a line of JSON with the shape, the type and the place, and then the values, row by row.

    Data sets of files read what ends with its suffixes, and `translate` writes fakes of such files in kind.
    """

    def read(self, path: Path) -> p2pkit.ImageFile:
        """Read a file; whatever is raised becomes an error that names it.

        Args:
            path: The file.

        Returns:
            Its values, (H, W) or (H, W, C), and what the file holds beside them, which `write` is given back.
        """
        head, _, values = path.read_bytes().partition(b"\n")
        facts = json.loads(head)
        pixels = np.frombuffer(values, facts["type"]).reshape(facts["shape"])
        return p2pkit.ImageFile(pixels, facts.get("place"))

    def write(self, path: Path, image: p2pkit.ImageFile) -> None:
        """Write a file; without this method fakes of such files are PNGs, or what the targets are.

        Args:
            path: The file.
            image: The fake, and what the source's file held beside its values; None where the fake is of another size.
        """
        pixels = np.ascontiguousarray(image.pixels)
        facts = {"shape": pixels.shape, "type": pixels.dtype.str, "place": image.meta}
        path.write_bytes(json.dumps(facts).encode() + b"\n" + pixels.tobytes())


@p2pkit.hookimpl
def p2pkit_readers() -> Iterator[p2pkit.Reader]:
    """Offer this plugin's readers."""
    yield p2pkit.Reader("grid", Grid, suffixes=(".grid",))
