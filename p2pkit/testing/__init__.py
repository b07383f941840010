"""Conformance: rules that every component of a plugin has to keep, for pytest and for the command line.

In a test file of a plugin:

    from p2pkit.testing import conformance

    TestAcme = conformance("acme")
"""

from __future__ import annotations

from p2pkit.testing.suite import Outcome, conformance, run

__all__ = ["Outcome", "conformance", "run"]
