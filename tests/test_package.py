from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import p2pkit
from p2pkit.components import KIND_NAMES
from p2pkit.config import recipe_names

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "torchvision", "torchmetrics", "kornia", "mlflow"}


def test_every_public_name_leads_somewhere():
    assert [name for name in p2pkit.__all__ if getattr(p2pkit, name, None) is None] == []
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = p2pkit.nothing


@pytest.mark.parametrize(
    ("code", "imported"),
    [
        ("import p2pkit, p2pkit.cli, p2pkit.registry, p2pkit.config", set()),
        ("from p2pkit.registry import load_registry; load_registry(discover=False)", {"torch"}),
    ],
    ids=["names", "registry"],
)
def test_nothing_heavy_is_imported_before_it_is_needed(python, tmp_path, code, imported):
    loaded = python(f"{code}\nimport sys\nprint(*sys.modules)", tmp_path).split()
    assert HEAVY.intersection(loaded) <= imported  # nothing where what plugins offer is remembered


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The package as a wheel, installed into a folder of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    quiet = {"check": True, "capture_output": True}
    build = ["build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run([sys.executable, "-m", *build], **quiet)
    (built,) = folder.glob("*.whl")
    target = folder / "installed"
    install = [
        "pip",
        "install",
        "-q",
        "--disable-pip-version-check",
        "--no-index",
        "--no-deps",
        "--target",
        str(target),
    ]
    subprocess.run([sys.executable, "-m", *install, str(built)], **quiet)
    return target


def test_a_wheel_installed_elsewhere_gives_the_same_names(wheel, registry, python, tmp_path):
    code = """
        import json, p2pkit
        from p2pkit.components import KIND_NAMES
        from p2pkit.config import recipe_names
        from p2pkit.registry import load_registry

        registry = load_registry(discover=False)
        names = {kind: registry.names(kind) for kind in KIND_NAMES}
        print(json.dumps({"from": p2pkit.__file__, "names": names, "recipes": recipe_names()}))
    """
    found = json.loads(python(code, tmp_path, wheel))
    assert Path(found["from"]).is_relative_to(wheel)
    assert found["names"] == {kind: registry.names(kind) for kind in KIND_NAMES}
    assert found["recipes"] == recipe_names()


def test_a_wheel_holds_what_is_no_code(wheel):
    assert (wheel / "p2pkit" / "registry.yaml").read_bytes() == (ROOT / "registry.yaml").read_bytes()
    data = wheel / "p2pkit" / "builtin" / "datasets"
    assert (data / "fluent_emoji.zip").stat().st_size < 8_000_000
    assert "MIT" in (data / "fluent_emoji.LICENSE").read_text()
    assert (wheel / "p2pkit" / "py.typed").is_file()
    recipes = wheel / "p2pkit" / "recipes"
    found = {file.relative_to(recipes).with_suffix("").as_posix() for file in recipes.rglob("*.yaml")}
    assert found == set(recipe_names())
    assert not (wheel / "tests").exists()


def test_dir_lists_what_is_public():
    assert set(p2pkit.__all__) <= set(dir(p2pkit))
