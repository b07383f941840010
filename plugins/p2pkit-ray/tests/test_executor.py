"""The rules of an executor, on a cluster."""

from __future__ import annotations

from p2pkit.testing import conformance

TestRay = conformance("ray", examples={"ray": {"workers": 2}})
