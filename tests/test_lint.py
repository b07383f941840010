"""What could run code is forbidden everywhere but in the one place that takes care."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def banned(line: str, file: str) -> bool:
    command = [sys.executable, "-m", "ruff", "check", "--select", "TID251", "--stdin-filename", file, "-"]
    done = subprocess.run(command, input=f"{line}\n", cwd=ROOT, capture_output=True, text=True, check=False)
    return "TID251" in done.stdout


@pytest.mark.parametrize(
    "line",
    [
        "import torch; torch.load('x')",
        "from torch import load",
        "import torch; torch.hub.load('x', 'y')",
        "import torch; torch.jit.load('x')",
        "import pickle",
        "from pickle import loads",
        "import yaml; yaml.load('x')",
        "import yaml; yaml.safe_load('x')",
    ],
)
def test_readers_that_run_code_or_have_no_limits(line):
    assert banned(line, "p2pkit/engine/new.py")
    assert banned(line, "plugins/p2pkit-smp/src/p2pkit_smp/new.py")
    assert not banned(line, "tests/test_new.py")


def test_the_one_place():
    assert not banned("import torch; torch.load('x', weights_only=True)", "p2pkit/tensor_files.py")


def test_no_file_is_too_long_to_be_read_at_once():
    files = [file for room in ("p2pkit", "plugins", "tests") for file in (ROOT / room).rglob("*.py")]
    lines = {file.relative_to(ROOT).as_posix(): file.read_text("utf-8").count("\n") for file in files}
    assert {name: count for name, count in lines.items() if count > 400} == {}
