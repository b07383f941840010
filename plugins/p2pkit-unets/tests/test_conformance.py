"""One test for each of the networks and each rule of p2pkit."""

from p2pkit.testing import conformance

TestUNets = conformance("unets")
