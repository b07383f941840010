"""p2pkit's rules for plugins, with small encoders."""

from __future__ import annotations

from p2pkit.testing import conformance

OTHERS = (
    *("smp_unet_plus_plus", "smp_manet", "smp_linknet", "smp_fpn", "smp_deeplabv3_plus", "smp_upernet"),
    *("smp_segformer", "smp_dpt"),
)
LONG = (*OTHERS, *(f"{name}-foreign_files" for name in OTHERS), "smp_unet-compile")
"""One class makes all nine; test_generators.py builds and runs them, and here one keeps all rules in each run."""
SMALL = {"encoder": "tu-resnet10t", "channels": (32, 16, 8)}
TestSmp = conformance(
    "smp",
    examples={
        "smp_unet": SMALL,
        "smp_unet_plus_plus": SMALL,
        "smp_manet": {**SMALL, "attention_channels": 8},
        "smp_linknet": {"encoder": "resnet18"},
        "smp_fpn": {"encoder": "tu-test_efficientnet", "pyramid_channels": 16, "channels": 32},
        "smp_deeplabv3_plus": {"encoder": "tu-test_efficientnet", "channels": 16},
        "smp_upernet": {"encoder": "tu-test_efficientnet", "channels": 16},
        "smp_segformer": {"encoder": "tu-test_efficientnet", "channels": 16},
        "smp_dpt": {"encoder": "tu-test_vit", "channels": 16},
    },
    long=LONG,
)
