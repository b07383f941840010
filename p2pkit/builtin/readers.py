"""The formats of image files that p2pkit reads itself, offered as those of plugins are."""

from __future__ import annotations

from collections.abc import Iterator

import p2pkit


@p2pkit.hookimpl
def p2pkit_readers() -> Iterator[p2pkit.Reader]:
    """Offer the built-in readers."""
    for name, codec in p2pkit.CODECS.items():
        yield p2pkit.Reader(name, codec, suffixes=codec.suffixes)
