"""The directory of plugins names every distribution, and everything each offers."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
KINDS = "Generator|Discriminator|Loss|Dataset|Augmentation|Metric|Reader|Executor"


def test_every_distribution_has_a_row_with_all_it_offers():
    folders = sorted((ROOT / "plugins").glob("*/pyproject.toml"))
    assert len(folders) >= 5
    for file in folders:
        project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        (plugin,) = project["entry-points"]["p2pkit.plugins"]
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| {project['name']} "))
        assert f"`{plugin}`" in row
        source = "".join(path.read_text(encoding="utf-8") for path in (file.parent / "src").rglob("*.py"))
        offered = re.findall(rf"(?:{KINDS})\(\s*\"(\w+)\"", source)
        assert offered, file
        for name in offered:
            assert f"`{name}`" in row
