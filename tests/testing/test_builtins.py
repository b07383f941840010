"""The built-ins keep every rule that plugins have to keep."""

from p2pkit.testing import conformance

TestBuiltins = conformance("p2pkit")
