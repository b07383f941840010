"""Passwords and keys in addresses: never written down, sent on or shown."""

from __future__ import annotations

import re

from p2pkit.errors import Problem

_HELD = re.compile(r"(://[^/@:]*):(?!\d+/)([^/]+|[^@]+)@")
"""Keys of stores have slashes in them, where a parser of URLs sees an end; a port has none."""


def without_password(address: str) -> str:
    """Return an address as it may be shown."""
    return _HELD.sub(r"\1@", address, count=1)


def password_problems(path: str, address: str, where: str) -> list[Problem]:
    """Refuse an address with a password in it, for stores that fsspec knows.

    Args:
        path: What it is blamed on.
        address: The address.
        where: What would hold the password too.
    """
    if not _HELD.search(address):
        return []
    cause = f"the address holds a password, which {where} would hold too"
    return [Problem(path, cause, "leave it out: fsspec finds it in its own config, or in the environment")]
