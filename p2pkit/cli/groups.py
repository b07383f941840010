"""Commands below commands, and finding each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typer.core import TyperGroup


class DefaultGroup(TyperGroup):
    """A group whose first command is meant where none is named."""

    def defaulted(self, arguments: Sequence[str]) -> list[str]:
        """Return the arguments with the command that they mean."""
        known = {*self.commands, "-h", "--help"}
        return list(arguments) if arguments and arguments[0] in known else [next(iter(self.commands)), *arguments]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments."""
        return super().parse_args(ctx, self.defaulted(args))


def every_command(group: Any, prefix: str = "") -> dict[str, Any]:
    """Return all commands by their whole names, as `data shard`."""
    found: dict[str, Any] = {}
    for name, command in group.commands.items():
        whole = f"{prefix}{name}"
        found |= every_command(command, f"{whole} ") if hasattr(command, "commands") else {whole: command}
    return found


def find_command(group: Any, arguments: Sequence[str]) -> tuple[str, Any, list[str]]:
    """Return the name of the command that a line means, the command, and the arguments that are left for it."""
    name, *rest = group.defaulted(arguments) if isinstance(group, DefaultGroup) else arguments
    command = group.commands[name]
    return find_command(command, rest) if hasattr(command, "commands") else (name, command, rest)
