"""Docstrings as a terminal of any width shows them."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence

_SECTION = re.compile(r"(Args|Yields|Returns|Raises|Shape|Source):")
_OF_ITEMS = ("Args", "Raises")


def reflowed(doc: str, width: int, *, leave_out: Sequence[str] = ()) -> str:
    """Break a docstring's paragraphs and items anew, and no word.

    Args:
        doc: The cleaned docstring.
        width: Of the terminal.
        leave_out: Sections that are not wanted.
    """
    written = []
    for section, indent, text in _blocks(doc):
        if section in leave_out:
            continue
        spaces = " " * indent
        further = spaces + "    " * bool(section)
        broken = textwrap.wrap(
            text,
            width,
            initial_indent=spaces,
            subsequent_indent=further,
            break_long_words=False,
            break_on_hyphens=False,
        )
        written.append("\n".join(broken))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(written)).strip()


def _blocks(doc: str) -> Iterator[tuple[str, int, str]]:
    """Yield each paragraph and each item with its section ('' before the first) and indentation; '' for a gap."""
    section, indent, gathered = "", 0, ""
    for line in [*doc.splitlines(), ""]:
        text, deep = line.strip(), len(line) - len(line.lstrip())
        begun = _SECTION.match(text) if deep == 0 else None
        goes_on = text and gathered and not begun and not gathered.endswith(":") and not text.startswith("- ")
        if goes_on and (deep > indent or section not in _OF_ITEMS):
            gathered += f" {text}"
            continue
        if gathered:
            yield section, indent, gathered
        if not text:
            yield section, 0, ""
        section = begun[1] if begun else section
        indent, gathered = deep, text
