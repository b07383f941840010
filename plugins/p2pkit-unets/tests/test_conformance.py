"""One test for each of the networks and each rule of p2pkit, at sizes for tests."""

from p2pkit.testing import conformance

NAMES = ("attention_unet", "residual_unet", "unet_plus_plus", "unet_3_plus")
TestUNets = conformance("unets", examples={name: {"depth": 3, "width": 4} for name in NAMES}, long=NAMES[1:])
