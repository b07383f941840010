"""The list of layouts in the documents is complete."""

from __future__ import annotations

from pathlib import Path

from p2pkit.bridge.recognise import LAYOUTS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "checkpoint-layouts.md"


def test_every_layout_is_described():
    rows = [row for row in PAGE.read_text(encoding="utf-8").splitlines() if row.startswith("| ")]
    for layout in LAYOUTS:
        row = next(row for row in rows if row.startswith(f"| {layout.name} |"))
        assert f"`{layout.anchor}`" in row
        assert f"[`{layout.use.removeprefix('p2pkit:')}`]" in row
        modes = f"| {layout.batch_norm}, {layout.dropout} |" if layout.kind == "generator" else "| |"
        assert row.endswith(modes)
