"""Tables that fit the terminal: as they are, else turned on their side, else a block of lines for each row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.box import HEAVY_HEAD, Box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

_ANY_WIDTH = 10_000


@dataclass(frozen=True)
class Grid:
    """A table's texts, shown as they are.

    Args:
        heads: The heads of the columns.
        rows: The cells of each row.
        names: How many columns, from the first, say what a row is; the others hold numbers.
        title: A line above it.
        box: How it is framed.
        labels: What each row is called where the table is turned; by default its first cells.
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[str | Text]]
    names: int = 1
    title: str = ""
    box: Box = HEAVY_HEAD
    labels: Sequence[str] = ()

    def print(self, console: Console) -> None:
        """Print it in the first form that fits."""
        for table in (self._table(), self._turned()):
            if Measurement.get(console, console.options.update(width=_ANY_WIDTH), table).minimum <= console.width:
                console.print(table)
                return
        for line in self._blocks():
            console.print(line, soft_wrap=True)

    def _table(self) -> Table:
        table = Table(title=self.title or None, title_justify="left", box=self.box)
        for index, head in enumerate(self.heads):
            table.add_column(head, justify="left" if index < self.names else "right", no_wrap=index >= self.names)
        for row in self.rows:
            table.add_row(*row)
        return table

    def _called(self) -> list[str]:
        return list(self.labels) or [" ".join(map(str, row[: self.names])) for row in self.rows]

    def _turned(self) -> Table:
        table = Table(title=self.title or None, title_justify="left", box=self.box)
        table.add_column(self.heads[0] if self.names == 1 else "", no_wrap=True)
        for name in self._called():
            table.add_column(name, justify="right")
        for index, head in enumerate(self.heads[self.names :], self.names):
            table.add_row(head.replace("\n", " "), *(row[index] for row in self.rows))
        return table

    def _blocks(self) -> Iterator[str | Text]:
        if self.title:
            yield self.title
        heads = [head.replace("\n", " ") for head in self.heads[self.names :]]
        width = max(map(len, heads), default=0)
        for name, row in zip(self._called(), self.rows, strict=True):
            yield Text(name, "bold")
            yield from (
                f"  {head:<{width}}  {cell}" for head, cell in zip(heads, row[self.names :], strict=True) if cell
            )
