"""What goes to the terminal goes there whatever its encoding, and soon."""

from __future__ import annotations

import codecs
import io
import sys

_PLAIN = {"↑": "^", "↓": "v", "±": "+-", "→": "->", "…": "..."}


def survive_any_encoding() -> None:
    """Let characters that the output's encoding lacks be written as others, and never end in an error."""
    codecs.register_error("p2pkit", _substitute)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="p2pkit")


def say_waiting(what: str) -> None:
    """Say at once on a terminal what takes its time."""
    if sys.stderr.isatty():
        print(f"{what} ...", file=sys.stderr, flush=True)


def _substitute(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = "".join(_PLAIN.get(character, "?") for character in error.object[error.start : error.end])
    return text, error.end
