"""What goes to the terminal goes there whatever its encoding, and soon."""

from __future__ import annotations

import codecs
import io
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import typer

_PLAIN = {"↑": "^", "↓": "v", "±": "+-", "→": "->", "…": "..."}


def survive_any_encoding() -> None:
    """Let characters that the output's encoding lacks be written as others, and never end in an error."""
    codecs.register_error("p2pkit", _substitute)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="p2pkit")


@contextmanager
def plain_lines() -> Iterator[None]:
    """Let warnings, and what came of a run where no progress is shown, be a line each on standard error."""
    logger, handler, show = logging.getLogger("p2pkit"), _Lines(), warnings.showwarning
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    warnings.showwarning = _show_warning
    try:
        yield
    finally:
        warnings.showwarning = show
        logger.setLevel(level)
        logger.removeHandler(handler)


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        print(record.getMessage(), file=sys.stderr, flush=True)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    print(f"warning: {' '.join(str(message).split())}", file=file or sys.stderr, flush=True)


def say_waiting(what: str) -> None:
    """Say at once on a terminal what takes its time."""
    if sys.stderr.isatty():
        print(f"{what} ...", file=sys.stderr, flush=True)


def _substitute(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = "".join(_PLAIN.get(character, "?") for character in error.object[error.start : error.end])
    return text, error.end


def echo_way(heading: str, way: str | None) -> None:
    """Print where a page is, if there is one."""
    if way is not None:
        typer.echo(f"{heading}{way}")
