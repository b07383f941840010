"""What pytest loads at its start when p2pkit is installed: an option, and nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that says where components are tried."""
    parser.getgroup("p2pkit").addoption(
        "--p2pkit-device",
        metavar="DEVICE",
        help="where conformance tests try components: cpu, cuda; by default the CPU, and a GPU for rules that need one",
    )
