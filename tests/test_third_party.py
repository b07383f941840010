"""A distribution that knows p2pkit's public names only: installed by pip, found, listed, used, blocked."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import pytest

PROJECT = """
    [build-system]
    requires = ["hatchling"]
    build-backend = "hatchling.build"

    [project]
    name = "acme-networks"
    version = "3.1"
    dependencies = ["p2pkit"]

    [project.entry-points."p2pkit.plugins"]
    acme = "acme_networks"

    [tool.hatch.build.targets.wheel]
    packages = ["acme_networks"]
"""
CODE = '''
    """Networks of a third party."""

    from __future__ import annotations

    from pathlib import Path
    from typing import TYPE_CHECKING, Annotated

    from pydantic import Field
    from torch import Tensor, nn

    import p2pkit

    if TYPE_CHECKING:
        from collections.abc import Iterator

        from p2pkit import PairSpec

    Path("imported").touch()


    class Pointwise(nn.Module):
        """A network that sees one pixel."""

        def __init__(
            self, images: PairSpec, *, width: Annotated[int, Field(ge=1, description="Channels inside.")] = 4
        ) -> None:
            super().__init__()
            layers = nn.Conv2d(images.source.channels, width, 1), nn.Conv2d(width, images.target.channels, 1)
            self.layers = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.Tanh())

        def forward(self, source: Tensor) -> Tensor:
            return self.layers(source)


    @p2pkit.hookimpl
    def p2pkit_generators() -> Iterator[p2pkit.Generator]:
        yield p2pkit.Generator("pointwise", Pointwise)
'''
LIST = """
    import json
    from p2pkit.registry import load_registry

    registry = load_registry()
    plugin = next(plugin for plugin in registry.plugins.found if plugin.name == "acme")
    names = registry.names("generator")
    print(json.dumps([plugin.state, plugin.origin, plugin.version, plugin.error, names]))
"""
TRAIN = """
    import json, p2pkit

    config = {
        "dataset": {"use": "shapes", "params": {"size": 16, "count": 4}},
        "generator": {"use": "pointwise", "params": {"width": 3}},
        "discriminator": "pixel",
        "schedule": {"steps": 2},
        "engine": {"batch": 2, "device": "cpu"},
        "evaluate": {"metrics": ["l1"], "samples": 1},
    }
    trained = p2pkit.train(config)
    translator = trained.load()
    print(json.dumps([trained.step, trained.report.metrics["l1"]]))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder that pip installed the distribution into."""
    project = tmp_path_factory.mktemp("acme")
    (project / "acme_networks").mkdir()
    (project / "pyproject.toml").write_text(textwrap.dedent(PROJECT))
    (project / "acme_networks" / "__init__.py").write_text(textwrap.dedent(CODE).lstrip())
    options = ["-q", "--disable-pip-version-check", "--no-index", "--no-deps", "--no-build-isolation"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(project / "site"), str(project)]
    subprocess.run(command, check=True, capture_output=True)
    return project / "site"


def test_it_is_found_and_listed(site, python, tmp_path):
    state, origin, version, error, names = json.loads(python(LIST, tmp_path, site, warm=True))
    assert (state, origin, version, error) == ("loaded", "acme-networks", "3.1", "")
    assert {"pointwise", "acme:pointwise"} <= set(names)
    assert (tmp_path / "imported").exists()


def test_it_is_used_in_a_run(site, python, tmp_path):
    (tmp_path / "registry.yaml").write_text("plugins: {block: [p2pkit.mlflow]}")
    step, score = json.loads(python(TRAIN, tmp_path, site, warm=True).splitlines()[-1])
    assert step == 2
    assert 0 < score < 2


def test_blocked_it_is_not_even_imported(site, python, tmp_path):
    (tmp_path / "registry.yaml").write_text("plugins: {block: [acme]}")
    state, _, version, error, names = json.loads(python(LIST, tmp_path, site, warm=True))
    assert (state, version, error) == ("blocked", "3.1", "")
    assert "pointwise" not in names
    assert not (tmp_path / "imported").exists()
