"""The rules that every component of p2pkit keeps, at sizes for tests."""

from __future__ import annotations

from p2pkit.testing import conformance

TestBicycle = conformance(
    "bicycle",
    examples={
        "bicycle_unet": {"width": 4, "depth": 3},
        "bicycle_patch": {"width": 4, "layers": 2},
        "bicycle": {"encoder_width": 4, "halvings": 3, "judge_width": 4, "judge_layers": 2},
    },
    long=("bicycle_unet-compile", "bicycle_patch-compile"),  # test_networks.py compiles the generator
)
