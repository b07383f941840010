"""What the conformance suite can't know: the sizes that fit, and what the README and the recipe say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import p2pkit_example
import pytest
import torch
from torch import nn

import p2pkit
from p2pkit import ImageSpec, PairSpec

FOLDER = Path(__file__).parents[1]


def shallow(rows: int, columns: int, **params: Any) -> nn.Module:
    """Build the generator for grey sources and colour targets of a size."""
    (component,) = p2pkit_example.p2pkit_generators()
    generator: nn.Module = component.build(PairSpec(ImageSpec(1), ImageSpec(3), rows, columns), params)
    return generator


@pytest.mark.parametrize(("rows", "columns"), [(2, 2), (7, 5), (16, 33)])
def test_any_size(rows: int, columns: int) -> None:
    """Odd sides are halved and doubled without a pixel too few."""
    fake = shallow(rows, columns, width=4)(torch.randn(2, 1, rows, columns))
    assert fake.shape == (2, 3, rows, columns)
    assert fake.abs().max() <= 1


def test_the_level_below_reaches_the_fake() -> None:
    """Half the size is not built in vain."""
    net = shallow(8, 8, width=4)
    source = torch.zeros(1, 1, 8, 8)
    before = net(source)
    with torch.no_grad():
        net.get_parameter("below.1.bias").add_(1)
    assert not torch.equal(net(source), before)


def test_the_readme_gives_the_size() -> None:
    """The README's number is that of `p2pkit show`."""
    (component,) = p2pkit_example.p2pkit_generators()
    net = component.build(PairSpec(ImageSpec(3), ImageSpec(3), 256, 256), {})
    count = sum(parameter.numel() for parameter in net.parameters())
    assert f"| `shallow_unet` | {count:,} |" in (FOLDER / "README.md").read_text()


def test_the_readme_explains_every_file() -> None:
    """No file is left to be guessed at."""
    text = (FOLDER / "README.md").read_text()
    kinds = ("pyproject.toml", "README.md", "src/*/*.*", "tests/*.py", "recipes/*.yaml")
    files = [str(file.relative_to(FOLDER)) for kind in kinds for file in FOLDER.glob(kind)]
    assert len(files) >= 6
    assert [file for file in files if f"| `{file}` |" not in text] == []


def test_the_recipe_can_be_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's third command works as it is written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "registry.yaml").write_text("plugins: {block: [p2pkit.mlflow]}\n")
    checked = p2pkit.check(FOLDER / "recipes" / "shallow_unet.yaml")
    assert checked.spec.height == 32
