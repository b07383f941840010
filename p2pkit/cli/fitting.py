"""Tables that fit the terminal: as they are, else with broken heads, else on their side, else a block for each row."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.box import HEAVY_HEAD, Box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from p2pkit.untyped import Untyped


def plain_console(**options: Untyped) -> Console:
    """Return a console that shows names as they are, whatever brackets and colons they hold."""
    return Console(markup=False, emoji=False, **options)


def marked(mark: str, style: str, text: str) -> Text:
    """Return a text after a word in a colour."""
    return Text.assemble((mark, style), f" {text}")


@dataclass(frozen=True)
class Grid:
    """A table's texts, shown as they are.

    Args:
        heads: The heads of the columns.
        rows: The cells of each row.
        names: How many columns, from the first, say what a row is.
        words: Whether the others hold words, which go on in the next line, and not numbers, which are never broken.
        title: A line above it.
        box: How it is framed.
        labels: What each row is called where the table is turned; by default its first cells.
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[str | Text]]
    names: int = 1
    words: bool = False
    title: str = ""
    box: Box = HEAVY_HEAD
    labels: Sequence[str] = ()

    def print(self, console: Console) -> None:
        """Print it in the first form that fits."""
        if self.title:
            console.print(Text(self.title, "italic"), soft_wrap=True)
        for table in self._tables():
            if _least(table) <= console.width:
                console.print(table)
                return
        for line in self._blocks(console.width):
            console.print(line, soft_wrap=True)

    def _tables(self) -> Iterator[Table]:
        yield self._table(self.heads, self.rows, names=self.names)
        if not self.words:
            yield self._table([head.replace(" ", "\n") for head in self.heads], self.rows, names=self.names)
            yield self._table(*self._turned(), names=1)

    def _table(self, heads: Sequence[str], rows: Sequence[Sequence[str | Text]], *, names: int) -> Table:
        table = Table(box=self.box, show_edge=not self.words)
        for index, head in enumerate(heads):
            number = index >= names and not self.words
            cells = [head, *(str(row[index]) for row in rows)]
            least = max(map(len, "\n".join(cells).split("\n" if number else None)), default=0)
            table.add_column(Text(head), justify="right" if number else "left", no_wrap=number, min_width=least)
        for row in rows:
            table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
        return table

    def _called(self) -> list[str]:
        return list(self.labels) or [" ".join(map(str, row[: self.names])) for row in self.rows]

    def _turned(self) -> tuple[list[str], list[list[str | Text]]]:
        heads = [self.heads[0] if self.names == 1 else "", *self._called()]
        rows = [
            [head.replace("\n", " "), *(row[index] for row in self.rows)]
            for index, head in enumerate(self.heads[self.names :], self.names)
        ]
        return heads, rows

    def _blocks(self, width: int) -> Iterator[Text]:
        heads = [head.replace("\n", " ") for head in self.heads[self.names :]]
        left = max(map(len, heads), default=0) + 4
        for name, row in zip(self._called(), self.rows, strict=True):
            yield Text(name, "bold")
            for head, cell in zip(heads, row[self.names :], strict=True):
                if self.words:
                    lines = [line for part in str(cell).splitlines() for line in _broken(part, max(width - left, 20))]
                    yield from (Text(f"{f'  {head}' * (not at):<{left}}{line}") for at, line in enumerate(lines))
                elif cell:
                    yield Text.assemble(f"{f'  {head}':<{left}}", cell)


def _broken(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def _least(table: Table) -> int:
    """Return in how many columns each name's longest word, and every number, can be seen."""
    frame = len(table.columns) - 1 + 2 * table.show_edge
    return sum((column.min_width or 0) + 2 for column in table.columns) + frame
