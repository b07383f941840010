"""Run the command line in this process."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import pytest
import yaml

from p2pkit.cli import main


@dataclass
class Ran:
    code: int
    out: str
    err: str


@pytest.fixture
def p2pkit(environment_as_it_was, monkeypatch, capsys, tmp_path):
    """Call `p2pkit(*arguments)` in an empty working folder without trackers."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "registry.yaml").write_text("plugins: {block: [p2pkit.mlflow]}\n")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["p2pkit", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return Ran(ended.value.code or 0, captured.out, captured.err)

    return run


@pytest.fixture
def tiny(tiny, tmp_path):
    """A config file that trains in a moment."""
    path = tmp_path / "tiny.yaml"
    data = {"use": "shapes", "params": {"size": 16, "count": 8}}
    path.write_text(yaml.safe_dump({**tiny, "dataset": data, "schedule": {"epochs": 1}}))
    return path


@pytest.fixture
def plugin(tmp_path):
    """A one-file plugin with one generator."""
    path = tmp_path / "mine.py"
    path.write_text(
        "from typing import Annotated\n\nimport p2pkit\nfrom pydantic import Field\nfrom torch import nn\n\n\n"
        "class Line(nn.Conv2d):\n"
        '    """One convolution."""\n\n'
        "    def __init__(self, images: p2pkit.PairSpec, *, "
        "side: Annotated[int, Field(ge=1, description='Side of the filter.')] = 3) -> None:\n"
        "        super().__init__(images.source.channels, images.target.channels, side, padding=side // 2)\n\n\n"
        "@p2pkit.hookimpl\n"
        "def p2pkit_generators():\n"
        "    yield p2pkit.Generator('line', Line)\n"
    )
    return path
