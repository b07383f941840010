"""Processes of Python's own import nothing from the working folder, whatever lies there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from p2pkit.bench.shards import _read_alone
from p2pkit.children import environment
from p2pkit.errors import DataError
from p2pkit.mlflow_ui import server


@pytest.fixture
def trapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder of modules that leave a mark when they are imported; return the mark."""
    mark = tmp_path / "mark"
    for name in ("json", "yaml", "mlflow", "uvicorn", "torch", "p2pkit", "click", "sqlite3", "fastapi"):
        (tmp_path / f"{name}.py").write_text(f"open({str(mark)!r}, 'a').write({name!r})\n")
    monkeypatch.chdir(tmp_path)
    return mark


def test_the_traps_work(trapped: Path) -> None:
    looks_here = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    subprocess.run([sys.executable, "-m", "mlflow"], check=True, env=looks_here)
    assert trapped.read_text() == "mlflow"


def test_a_child_does_not_look_in_the_working_folder(trapped: Path) -> None:
    code = "import json, yaml; print(json.__file__, yaml.__file__)"
    for start in (["-c", code], ["-m", "json.tool", "--help"]):
        subprocess.run([sys.executable, *start], env=environment(), check=True, capture_output=True)
    assert not trapped.exists()


def test_benchmarks_of_shards(trapped: Path) -> None:
    with pytest.raises(DataError, match="can't be read in a process of its own"):
        _read_alone(trapped.parent / "no_shards", 1, 0)
    assert not trapped.exists()


def test_the_command_line_hands_it_on(trapped: Path) -> None:
    code = "import sys; sys.argv[1:] = ['--version']\nimport os, p2pkit.cli\ntry: p2pkit.cli.main()\n"
    code += "except SystemExit: print(os.environ['PYTHONSAFEPATH'])"
    done = subprocess.run([sys.executable, "-P", "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split()[-1] == "1"


@pytest.mark.slow
def test_mlflows_server(mlflow_here: Path, trapped: Path) -> None:
    with server.server(0) as (_, process):
        assert process.poll() is None
    assert not trapped.exists()
