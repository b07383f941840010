"""What becomes of an error that nobody foresaw: one line for the user, and all of it in a file."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from p2pkit.untyped import Plain

_PACKAGES = ("p2pkit", "torch", "torchvision", "torchmetrics", "mlflow", "kornia", "numpy", "pydantic")


def write_report(error: BaseException) -> Path | None:
    """Write versions, command, config and traceback to `p2pkit-error-TIME.txt`.

    Args:
        error: The error.

    Returns:
        The file: in the working folder, else in the folder for temporary files; None where neither can be written to.
    """
    name = f"p2pkit-error-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    for folder in (Path.cwd, tempfile.gettempdir):
        try:
            file = Path(folder(), name)
            file.write_text(_report(error), encoding="utf-8", errors="replace")
        except OSError:
            continue
        return file
    return None


def summary(error: BaseException) -> str:
    """Say in one line what happened."""
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror[0].lower()}{error.strerror[1:]}"
    said = (str(error).strip() or "no more is known").partition("\n")[0]
    return f"{type(error).__name__}: {said[:300]}"


def _report(error: BaseException) -> str:
    parts = {
        "command": " ".join(["p2pkit", *sys.argv[1:]]),
        "versions": "\n".join(_versions()),
        "config": _config(error),
        "traceback": "".join(traceback.format_exception(error)),
    }
    return "\n".join(f"# {title}\n{text}\n" for title, text in parts.items() if text)


def _versions() -> Iterator[str]:
    yield f"python {platform.python_version()} on {platform.platform()}"
    for package in _PACKAGES:
        try:
            yield f"{package} {version(package)}"
        except PackageNotFoundError:
            yield f"{package} is not installed"


def _config(error: BaseException) -> str:
    """Find the config as written on the way that the error took."""
    from p2pkit.config import Plan, Source
    from p2pkit.engine.checked import ValidatedRun

    raw: Plain = {}
    for frame, _ in traceback.walk_tb(error.__traceback__):
        for value in frame.f_locals.values():
            plan = value.plan if isinstance(value, ValidatedRun) else value
            source = plan.source if isinstance(plan, Plan) else plan
            raw = source.raw if isinstance(source, Source) else raw
    try:
        import yaml

        return yaml.safe_dump(dict(raw), sort_keys=False) if raw else ""
    except Exception:  # values from Python that YAML has no words for
        return repr(raw)
