from __future__ import annotations

import pytest

from p2pkit.images import formats, listing


@pytest.fixture(autouse=True)
def _no_readers_but_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the readers that other tests' plugins have brought: they would be asked about these images."""
    monkeypatch.setattr(formats, "_FORMATS", dict(formats._OWN))
    monkeypatch.setattr(formats, "SUFFIXES", suffixes := set(listing.IMAGE_SUFFIXES))
    monkeypatch.setattr(listing, "SUFFIXES", suffixes)
    monkeypatch.setattr("p2pkit.inference.jobs.SUFFIXES", suffixes)
