"""The rules that every component of p2pkit keeps, at sizes for tests."""

from __future__ import annotations

from p2pkit.testing import conformance

PLAIN = {
    "init_gain": 1.0,
    "spectral_norm": False,
}  # no denormal numbers; torch's spectral norm is slow on the meta device
SMALL = {"width": 2, "upsamplings": 4, "middle": 1, **PLAIN}

TestSpade = conformance(
    "spade",
    examples={
        "generator/spade": {**SMALL, "style": "z"},
        "discriminator/oasis": {"width": 4, "halvings": 3, **PLAIN},
        "style": {"width": 2, "side": 16},
    },
    long=("spade-compile", "oasis-compile"),
)
