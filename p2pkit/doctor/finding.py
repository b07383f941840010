"""One thing that was looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Args:
        part: What it belongs to: `packages`, `devices`, `names`, `plugins`, `store`, `folders`.
        name: What was looked at.
        state: `fine`; `note` for what may surprise but works; `broken` for what does not work.
        fact: What was found.
        remedy: What to do about it; empty where it is fine.
    """

    part: str
    name: str
    state: Literal["fine", "note", "broken"]
    fact: str
    remedy: str = ""
