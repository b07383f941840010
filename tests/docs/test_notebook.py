"""The notebook runs from top to bottom, and what its cells end with shows itself as a notebook would show it."""

from __future__ import annotations

import ast
import json
from pathlib import Path

NOTEBOOK = Path(__file__).parents[2] / "docs" / "examples" / "notebook.ipynb"


def test_it_runs_and_shows_runs_scores_comparisons_and_translations(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "registry.yaml").write_text("plugins: {block: [p2pkit.mlflow]}\n")
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert all(not cell["outputs"] for cell in cells if cell["cell_type"] == "code")
    names: dict[str, object] = {}
    shown = [run("".join(cell["source"]), names) for cell in cells if cell["cell_type"] == "code"]
    _, run_, report, compared, fake = shown
    html = run_._repr_html_()
    assert "<td>psnr ↑</td>" in html
    assert "data:image/png;base64," in html
    assert run_._repr_png_().startswith(b"\x89PNG")
    assert "<th>mean target</th>" in report._repr_html_()
    assert "l1.weight" in compared._repr_html_()
    assert "<img" in compared._repr_html_()
    assert fake._repr_png_().startswith(b"\x89PNG")


def run(code: str, names: dict[str, object]) -> object:
    """Run a cell, and return the value of its last line, which a notebook shows."""
    *body, last = ast.parse(code).body
    exec(compile(ast.Module(body, []), str(NOTEBOOK), "exec"), names)
    if isinstance(last, ast.Expr):
        return eval(compile(ast.Expression(last.value), str(NOTEBOOK), "eval"), names)
    exec(compile(ast.Module([last], []), str(NOTEBOOK), "exec"), names)
    return None
