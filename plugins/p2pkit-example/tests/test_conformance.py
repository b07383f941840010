"""One test for each component of this plugin and each rule of p2pkit."""

from p2pkit.testing import conformance

TestExample = conformance("example")
