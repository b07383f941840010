"""Narrow, dumb and old terminals."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys

import pytest
import typer
from rich.console import Console

from p2pkit.cli import app
from p2pkit.cli.docstrings import reflowed
from p2pkit.cli.fitting import Grid
from p2pkit.cli.groups import Command, every_command
from p2pkit.progress import Bar, LogLines, reporter, timespan

SCALARS = {
    **{f"train/generator/{name}": 0.123 for name in ("gan", "l1", "perceptual", "feature_matching", "total_variation")},
    "train/discriminator/gan": 0.38,
    "speed/images_per_second": 210.0,
}


def console(width: int, *, terminal: bool = True) -> Console:
    return Console(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None)


def printed(grid: Grid, width: int) -> str:
    to = console(width)
    grid.print(to)
    assert isinstance(to.file, io.StringIO)
    return to.file.getvalue()


@pytest.mark.parametrize("width", [200, 80, 40])
def test_a_table_shows_each_name_and_figure_whole(width):
    metrics = [f"a_metric_of_some_length_{index}" for index in range(4)]
    rows = [[f"network_{index}", *(f"0.1234 ± 0.0{index}{column}1" for column in range(4))] for index in range(2)]
    text = printed(Grid(["generator", *metrics], rows), width)
    for part in (*metrics, *(cell for row in rows for cell in row)):
        assert part in text
    assert max(map(len, text.splitlines())) <= max(width, 46)


@pytest.mark.parametrize("width", [80, 60, 40])
def test_heads_of_several_words_push_no_column_out(width):
    heads = ["metric", "fake", "source itself", "mean target", "better by", "protocol"]
    rows = [[name, "0.8730", "0.3044", "0.3710", "-186.8%", "39ee65a1"] for name in ("l1 v", "a_metric_of_some_length")]
    text = printed(Grid(heads, rows, title="runs/a/folder/whose/name/is/long/checkpoints/step-00000018"), width)
    for word in (*" ".join(heads[1:]).split(), *rows[0], *rows[1], "step-00000018"):
        assert word in text
    assert "…" not in text


@pytest.mark.parametrize("width", [80, 60, 40])
def test_a_table_of_words_cuts_none(width):
    rows = [["dropout_blocks", "[int, ...] | null", "null", "Blocks free of checkerboards, as in most of the others."]]
    text = printed(Grid(["parameter", "type", "default", "description"], rows, words=True), width)
    for word in " ".join(rows[0]).split():
        assert word in text.split()
    assert max(map(len, text.splitlines())) <= width


def test_five_terms_fit_a_terminal_of_80_columns():
    to = console(80)
    bar = Bar(to)
    bar.trained(10, 100, "1/2", SCALARS)
    bar.close()
    assert isinstance(to.file, io.StringIO)
    text = to.file.getvalue()
    for part in ("epoch 1/2", "10/100", "left", "total_variation 0.123", "D gan 0.38", "210 images/s"):
        assert part in text
    assert "…" not in text


def test_a_dumb_terminal_gets_lines(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(reporter(True), Bar)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(reporter(True), LogLines)


@pytest.mark.parametrize(("seconds", "text"), [(12.4, "12 s"), (90, "1.5 min"), (11520, "3.2 h")])
def test_times_are_short(seconds, text):
    assert timespan(seconds) == text


def in_terminal(arguments: list[str], **environment: str) -> str:
    """Run the command in a pseudo-terminal, and return what it shows."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "p2pkit", *arguments]
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "COLUMNS": "80", **environment}
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            read = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not read:
            break
        shown += read
    os.close(ours)
    process.wait()
    return shown.decode("utf-8", errors="replace")


def test_a_wrong_command_in_a_terminal():
    text = in_terminal(["trian"])
    assert "p2pkit: no such command 'trian'" in text
    assert "-> did you mean train" in text
    assert "commands: demo, train" in in_terminal(["foo"])


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_no_encoding_ends_in_a_traceback(tmp_path, encoding):
    code = (
        "import sys; sys.argv = ['p2pkit', 'show', 'unet']\n"
        "from p2pkit.cli.output import survive_any_encoding\nsurvive_any_encoding()\n"
        "from p2pkit.cli.tables import print_report\nfrom p2pkit.types import Report\n"
        "print_report(Report('val', 2, {'l1': 0.1, 'psnr': 9.0}, {}, {'l1': False, 'psnr': True}))\n"
        "print('0.1 \\N{PLUS-MINUS SIGN} 0.2 \\N{SNOWMAN}')\n"
    )
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "COLUMNS": "80"}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, check=False)
    assert ran.returncode == 0, ran.stderr
    text = ran.stdout.decode(encoding)
    assert "l1 v" in text
    assert "psnr ^" in text
    assert "?" in text


def test_help_names_no_type_beside_a_flag_and_splits_no_word():
    text = in_terminal(["sweep", "--help"])
    assert "<bool>" not in text
    assert "-q, --quiet " in text
    assert "--seeds <int> " in text
    assert "<list" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_mistakes_are_written_in_one_way(p2pkit):
    for arguments in (["train"], ["train", "--fo"], ["list", "lozz"], ["bench", "--batch", "q"], ["foo"]):
        failed = p2pkit(*arguments)
        assert failed.code == 2
        assert failed.err.startswith("error:\n  ")


DOC = """The first sentence, which is of
some length.

Args:
    depth: How deep, said in a way that
        goes on.
    width: How wide.

Raises:
    ComponentError: Never.

Shape: (B, C) -> (B, C)
Source: Somebody 2017,
section 3.
"""


def test_a_docstring_is_broken_anew_for_the_terminal():
    assert reflowed(DOC, 40, leave_out=["Raises"]).splitlines() == [
        "The first sentence, which is of some",
        "length.",
        "",
        "Args:",
        "    depth: How deep, said in a way that",
        "        goes on.",
        "    width: How wide.",
        "",
        "Shape: (B, C) -> (B, C)",
        "Source: Somebody 2017, section 3.",
    ]


def test_ranges_are_shown(p2pkit):
    assert "int >= 1, <= 8192 | null" in p2pkit("show", "unet").out
    assert "int >= 2, <= 10" in p2pkit("show", "unet").out
    assert "float >= 0, < 1" in p2pkit("show", "unet").out


def test_the_first_words_come_before_anything_is_imported_that_takes_seconds():
    code = (
        "import builtins, sys\nsys.argv = ['p2pkit', 'train', 'demo']\nsys.stderr.isatty = lambda: True\n"
        "from p2pkit.cli import main\nloaded = {'torch', 'mlflow', 'numpy'} & {*sys.modules}\n"
        "def importing(name, *rest, real=builtins.__import__):\n"
        "    if name.partition('.')[0] in ('torch', 'mlflow', 'numpy'):\n        raise SystemExit(f'imports {name}')\n"
        "    return real(name, *rest)\n"
        "builtins.__import__ = importing\nprint(loaded, file=sys.stderr)\nmain()\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    first, second, third = ran.stderr.splitlines()
    assert (first, second) == ("set()", "loading ...")
    assert third.startswith("imports ")


def test_every_command_speaks_first():
    commands = every_command(typer.main.get_command(app))
    assert {"train", "data shard", "tracking replay", "bench train"} <= commands.keys()
    assert [name for name, command in commands.items() if not isinstance(command, Command)] == []
