"""Commands below commands, and finding each of them."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence

from typer.core import TyperCommand, TyperGroup

from p2pkit.cli.output import say_waiting
from p2pkit.errors import Problem
from p2pkit.untyped import Untyped


class Interrupted(Exception):
    """A signal ended the command.

    Args:
        error: What was raised; its `signal`, where it has one, is the signal's number.
    """

    def __init__(self, error: KeyboardInterrupt) -> None:
        super().__init__(str(error))
        self.signal = signal.Signals(getattr(error, "signal", signal.SIGINT))


class Command(TyperCommand):
    """A command that speaks before it imports anything that takes seconds, and whose help names no Python type."""

    def invoke(self, ctx: Untyped) -> Untyped:
        """Say that something comes, and run."""
        say_waiting("loading")
        return super().invoke(ctx)

    def format_options(self, ctx: Untyped, formatter: Untyped) -> None:
        """Write arguments by their names, and options with what they take."""
        records: dict[str, list[tuple[str, str]]] = {"argument": [], "option": []}
        for parameter in self.get_params(ctx):
            if (record := parameter.get_help_record(ctx)) is not None:
                wanted = " <.*>" if parameter.param_type_name == "argument" else r" range(?=>)"
                records[parameter.param_type_name].append((re.sub(wanted, "", record[0]), record[1]))
        for kind, found in records.items():
            if found:
                with formatter.section(f"{kind.capitalize()}s"):
                    formatter.write_dl(found)


class Group(TyperGroup):
    """A group whose help has each command's whole sentence."""

    def invoke(self, ctx: Untyped) -> Untyped:
        """Run a command; an interruption goes on as what it was, where typer would make a bare exit code of it."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise Interrupted(error) from error

    def format_commands(self, ctx: Untyped, formatter: Untyped) -> None:
        """Write the commands with what they do."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, (command.help or "").partition("\n\n")[0]) for name, command in self.commands.items()]
            )


class DefaultGroup(Group):
    """A group whose first command is meant where none is named."""

    def defaulted(self, arguments: Sequence[str]) -> list[str]:
        """Return the arguments with the command that they mean."""
        known = {*self.commands, "-h", "--help"}
        return list(arguments) if arguments and arguments[0] in known else [next(iter(self.commands)), *arguments]

    def parse_args(self, ctx: Untyped, args: list[str]) -> list[str]:
        """Read the arguments."""
        return super().parse_args(ctx, self.defaulted(args))


def usage_problem(error: Untyped) -> Problem:
    """Say a mistake in a command line as all others are said: where, what, and what to do."""
    context = getattr(error, "ctx", None)
    where = context.command_path if context else ""
    known = getattr(context.command, "commands", {}) if context else {}
    message, _, near = re.sub(r"^Invalid value: ", "", error.format_message()).partition(". Did you mean ")
    message = re.sub(r"(?<!\.)\.$", "", message)
    shown = f"commands: {', '.join(known)}" if known else f"{where} --help shows what it takes"
    remedy = f"did you mean {near.replace(chr(39), '')}" if near else shown
    return Problem(where, message[:1].lower() + message[1:], remedy)


def every_command(group: Untyped, prefix: str = "") -> dict[str, Untyped]:
    """Return all commands by their whole names, as `data shard`."""
    found: dict[str, Untyped] = {}
    for name, command in group.commands.items():
        whole = f"{prefix}{name}"
        found |= every_command(command, f"{whole} ") if hasattr(command, "commands") else {whole: command}
    return found


def find_command(group: Untyped, arguments: Sequence[str]) -> tuple[str, Untyped, list[str]]:
    """Return the name of the command that a line means, the command, and the arguments that are left for it."""
    name, *rest = group.defaulted(arguments) if isinstance(group, DefaultGroup) else arguments
    command = group.commands[name]
    return find_command(command, rest) if hasattr(command, "commands") else (name, command, rest)
