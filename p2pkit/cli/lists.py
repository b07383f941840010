"""How names and parameters look on a terminal; nothing here takes long to import."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from rich.table import Table
from rich.text import Text

from p2pkit.catalog import Entry, allowed, written
from p2pkit.cli.docstrings import reflowed
from p2pkit.cli.fitting import Grid, marked, plain_console
from p2pkit.untyped import Plain


def print_entries(entries: Sequence[Entry]) -> None:
    """Print names by kind."""
    console = plain_console()
    for kind, group in groupby(entries, key=lambda entry: entry.kind):
        console.print(Text(kind, style="bold"))
        table = Table.grid(padding=(0, 2))
        for entry in group:
            origin = entry.alias_of or ("" if entry.plugin == "p2pkit" else entry.plugin)
            table.add_row(f"  {entry.name}", Text.assemble(entry.summary, (f" {origin}" if origin else "", "dim")))
        console.print(table)


def print_component(about: Plain) -> None:
    """Print all about a component."""
    console = plain_console()
    console.print(marked(about["name"], "bold", f" {about['kind']}, {about['component']}"))
    for name, described in about["takes"].items():
        console.print(f"takes {name} beside its images{': ' * bool(described)}{described}")
    for told in filter(None, (about["size"], about["reads"])):
        console.print(told)
    told_below = ("Args",) if about["parameters"] else ()
    console.print(f"\n{reflowed(about['doc'], console.width, leave_out=told_below)}\n", soft_wrap=True, highlight=False)
    rows = [[each["name"], allowed(each), written(each), each["description"]] for each in about["parameters"]]
    if rows:
        Grid(["parameter", "type", "default", "description"], rows, words=True).print(console)


def print_plugins(plugins: Iterable[Plain]) -> None:
    """Print the plugins and what became of them."""
    rows = []
    for plugin in plugins:
        colour = {"loaded": "green", "failed": "red"}.get(plugin["state"], "yellow")
        origin = f"{plugin['origin']} {plugin['version']}".strip()
        offers = plugin["error"] or _offered(plugin["offers"], plugin["events"])
        rows.append([plugin["name"], Text(plugin["state"], style=colour), origin, offers])
    Grid(["plugin", "state", "from", "offers"], rows, words=True).print(plain_console())


def _offered(offers: Sequence[str], events: Sequence[str]) -> str:
    """Write `generator acme:unet` and the like as one line for each kind, and the run events as another."""
    pairs = [offer.split(" ", 1) for offer in offers]
    lines = [f"{kind}: {', '.join(name for _, name in group)}" for kind, group in groupby(pairs, lambda pair: pair[0])]
    heard = ", ".join(event.removeprefix("p2pkit_") for event in events)
    return "\n".join([*lines, f"hears of: {heard}"] if heard else lines)
