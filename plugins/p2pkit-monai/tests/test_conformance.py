"""The rules that every component of p2pkit keeps, at sizes for tests."""

from __future__ import annotations

import tempfile

from conftest import SMALL
from phantoms import write_phantoms

from p2pkit.testing import conformance

_FOLDER = tempfile.TemporaryDirectory(prefix="p2pkit-monai-")
write_phantoms(_FOLDER.name, 12, (12, 10, 8))

TestMonai = conformance(
    "monai",
    examples={
        **SMALL,
        "volume_slices": {"root": _FOLDER.name, "neighbours": 1, "target_window": "ct"},
        "volumes": {"root": _FOLDER.name, "target_window": [0, 400]},
    },
)
