"""Versions of Python and of the packages p2pkit stands on, and whether they can be imported."""

from __future__ import annotations

import importlib
import importlib.metadata
import platform
import sys
from collections.abc import Iterator

from p2pkit.doctor.finding import Finding
from p2pkit.errors import first_line

_PART = "packages"
_IMPORTED = ("torch", "torchvision", "torchmetrics", "kornia", "mlflow")
"""Packages with compiled or far-reaching parts, which may be installed and yet fail to import."""


def look() -> Iterator[Finding]:
    """Look at Python, p2pkit, and every package that p2pkit requires."""
    yield Finding(_PART, "python", "fine", f"{platform.python_version()} at {sys.executable}")
    yield Finding(_PART, "p2pkit", "fine", importlib.metadata.version("p2pkit"))
    for requirement in importlib.metadata.requires("p2pkit") or ():
        if "extra ==" not in requirement:
            yield _package(requirement)


def _package(written: str) -> Finding:
    from packaging.requirements import Requirement

    wanted = Requirement(written)
    remedy = f"pip install --upgrade '{written}'"
    try:
        version = importlib.metadata.version(wanted.name)
    except importlib.metadata.PackageNotFoundError:
        return Finding(_PART, wanted.name, "broken", "not installed", remedy)
    if not wanted.specifier.contains(version, prereleases=True):
        return Finding(_PART, wanted.name, "broken", f"{version}, and p2pkit needs {wanted.specifier}", remedy)
    if wanted.name in _IMPORTED:
        try:
            importlib.import_module(wanted.name)
        except Exception as error:  # a broken build may raise anything
            cause = f"{version} can't be imported: {first_line(error, typed=True)}"
            return Finding(_PART, wanted.name, "broken", cause, "reinstall torch and it together, from one source")
    return Finding(_PART, wanted.name, "fine", version)
