"""Python in processes of its own, which import nothing that lies in the working folder."""

from __future__ import annotations

import os

SAFE_PATH = {"PYTHONSAFEPATH": "1"}
"""Keeps Python from putting the working folder, where anybody's mlflow.py may lie, before all packages."""


def environment(**variables: str) -> dict[str, str]:
    """Return the environment for a process of Python and all that it starts itself.

    Args:
        **variables: What is to be different from this process's own.
    """
    return {**os.environ, **SAFE_PATH, **variables}
