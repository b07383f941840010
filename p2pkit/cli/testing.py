"""The command that tests a plugin."""

# ruff: noqa: PT028  a command whose name begins with test, and no test

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from p2pkit.cli.options import AsJson, overrides
from p2pkit.untyped import Json

if TYPE_CHECKING:
    from p2pkit.testing import Outcome

Name = Annotated[
    str | None, typer.Argument(help="The plugin's name, `p2pkit` for the built-ins; by default the file's name.")
]
File = Annotated[Path | None, typer.Option("--plugin", metavar="FILE", help="Load a one-file plugin.")]
Example = Annotated[
    list[str] | None,
    typer.Option("--example", "-e", metavar="NAME.PARAMETER=VALUE", help="Build a component with this; repeatable."),
]
On = Annotated[
    str | None,
    typer.Option("--device", help="Where to try components; by default the CPU, and a GPU for rules that need one."),
]


def test_plugin(
    name: Name = None,
    plugin: File = None,
    example: Example = None,
    device: On = None,
    as_json: AsJson = False,
) -> None:
    """Test whether a plugin's components keep the rules that the engine relies on; exit code 1 where one does not."""
    from p2pkit.testing.suite import Suite

    tested = name or (plugin.stem if plugin else None)
    if tested is None:
        raise typer.BadParameter("name a plugin, or a file with --plugin")
    suite = Suite(tested, _examples(example), device, (plugin,) if plugin else ())
    outcomes = list(_watched(suite.outcomes()))
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(outcome) for outcome in outcomes], indent=2))
    else:
        _print(tested, outcomes)
    raise typer.Exit(int(any(outcome.state == "failed" for outcome in outcomes)))


def _examples(written: list[str] | None) -> dict[str, dict[str, Json]]:
    """Read `my_dataset.root=tests/data` and the like."""
    examples: dict[str, dict[str, Json]] = {}
    for key, value in overrides(written).items():
        name, dot, parameter = key.partition(".")
        if not dot:
            raise typer.BadParameter(f"{key} is not of the form NAME.PARAMETER=VALUE", param_hint="--example")
        examples.setdefault(name, {})[parameter] = value
    return examples


def _watched(outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
    """Say on a terminal which component's turn it is."""
    from rich.console import Console

    with Console(stderr=True).status("loading") as status:
        for outcome in outcomes:
            status.update(f"{outcome.kind} {outcome.component}")
            yield outcome


def _print(name: str, outcomes: Sequence[Outcome]) -> None:
    """Print a row for each component, and below it what to change and what was skipped."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(markup=False, emoji=False)
    table = Table("component", "passed", "failed", "skipped", show_edge=False)
    for (kind, component), group in groupby(outcomes, key=lambda outcome: (outcome.kind, outcome.component)):
        found = list(group)
        counts = Counter(outcome.state for outcome in found)
        colour = "red" if counts["failed"] else "green"
        numbers = str(counts["passed"]), str(counts["failed"] or ""), str(counts["skipped"] or "")
        table.add_row(Text.assemble(f"{kind} ", (component, colour)), *numbers)
    console.print(table)
    for outcome in (outcome for outcome in outcomes if outcome.state == "failed"):
        where = f"{outcome.kind} {outcome.component}, {outcome.rule}"
        console.print(Text.assemble(("failed", "red"), f" {where}: {outcome.reason}"), soft_wrap=True)
    skipped = [outcome for outcome in outcomes if outcome.state == "skipped"]
    for reason in dict.fromkeys(outcome.reason for outcome in skipped):
        rules = Counter(outcome.rule for outcome in skipped if outcome.reason == reason)
        console.print(Text.assemble(("skipped", "yellow"), f" {', '.join(rules)}: {reason}"), soft_wrap=True)
    counts = Counter(outcome.state for outcome in outcomes)
    total = f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped"
    console.print(f"{name}: {total}" if outcomes else f"{name} offers no components to test")


COMMANDS = (test_plugin,)
