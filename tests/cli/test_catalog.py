"""Commands that tell what there is, and what they cost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


def test_list(p2pkit):
    listed = p2pkit("list")
    for name in ("unet_256", "patch_70", "feature_matching", "side_by_side", "jitter_crop", "psnr", "facades_blog"):
        assert name in listed.out
    only = p2pkit("list", "losses", "--json")
    assert {entry["kind"] for entry in json.loads(only.out)} == {"loss"}
    assert "there is no kind 'lozz'" in p2pkit("list", "lozz").err


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("unet_256", 54_413_955),
        ("unet_128", 41_828_995),
        ("resnet_9", 11_383_427),
        ("unet_blog", 54_404_099),
        ("patch_70", 2_768_705),
        ("patch_blog", 2_767_808),
    ],
)
def test_show_counts_parameters(p2pkit, name, count):
    assert json.loads(p2pkit("show", name, "--json").out)["parameter_count"] == count
    assert f"{count:,} parameters" in p2pkit("show", name).out


def test_frozen_parameters_are_counted_and_told_apart(p2pkit, tiny, write_plugin):
    plugin = write_plugin("""
        from torch import nn

        class Half(nn.Sequential):
            def __init__(self, images: p2pkit.PairSpec) -> None:
                \"\"\"Two convolutions, of which the first is never trained.\"\"\"
                super().__init__(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1))
                self[0].requires_grad_(False)

        @p2pkit.hookimpl
        def p2pkit_generators():
            yield p2pkit.Generator("half", Half, "trains one half")
    """)
    said = "24 parameters, 12 of them trainable"
    about = json.loads(p2pkit("show", "half", "--json", "--plugin", plugin).out)
    assert (about["parameter_count"], about["trainable_parameter_count"]) == (24, 12)
    assert said in p2pkit("show", "half", "--plugin", plugin).out
    assert said in p2pkit("check", tiny, "-s", "generator=half", "--plugin", plugin).out
    assert "12 of them" not in p2pkit("show", "unet_256").out


def test_show_says_what_a_network_takes_beside_its_images(p2pkit):
    plugin = Path(__file__).parents[2] / "docs" / "examples" / "class_unet.py"
    about = json.loads(p2pkit("show", "class_unet", "--json", "--plugin", plugin).out)
    assert about["takes"] == {"season": "a class from 0 to 1"}
    assert about["parameter_count"] == 19_028
    assert "takes season beside its images: a class from 0 to 1" in p2pkit("show", "class_unet", "--plugin", plugin).out
    assert json.loads(p2pkit("show", "unet", "--json").out)["takes"] == {}


def test_show_parameters(p2pkit):
    about = json.loads(p2pkit("show", "unet", "--json").out)
    depth = next(parameter for parameter in about["parameters"] if parameter["name"] == "depth")
    assert depth == {
        "name": "depth",
        "type": "int",
        "bounds": ">= 2, <= 10",
        "default": 8,
        "required": False,
        "filled_by_alias": False,
        "description": depth["description"],
    }
    assert depth["description"]
    assert "Shape:" in about["doc"]
    text = p2pkit("show", "unet_128").out
    assert "depth" in text
    assert depth["description"][:20] in text


def test_show_where_several_kinds_know_the_name(p2pkit):
    assert "'l1' is the name of a loss and of a metric" in p2pkit("show", "l1").err
    assert p2pkit("show", "l1", "--kind", "metric").code == 0
    assert "extends: facades" in p2pkit("show", "facades_paper").out
    assert "did you mean unet" in p2pkit("show", "unett").err


def test_plugins_and_schema(p2pkit, plugin, tmp_path):
    found = json.loads(p2pkit("plugins", "--json", "--plugin", plugin).out)
    states = {entry["name"]: entry["state"] for entry in found}
    assert states["mine"] == "loaded"
    assert states["p2pkit.mlflow"] == "blocked"
    assert "generator: mine:line" in p2pkit("plugins", "--plugin", plugin).out
    assert p2pkit("schema", "-o", "schema.json", "--plugin", plugin).code == 0
    schema = json.loads((tmp_path / "schema.json").read_text())
    assert "generator.mine.line" in schema["$defs"]


def test_a_broken_plugin_is_named_and_the_rest_works(p2pkit, tmp_path, monkeypatch):
    info = tmp_path / "site" / "broken-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[p2pkit.plugins]\nbroken = broken_plugin\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    listed = p2pkit("list", "generator")
    assert listed.code == 0
    assert "warning: plugin broken (broken) is left out: ModuleNotFoundError" in listed.err
    assert "failed" in p2pkit("plugins").out


def modules_after(*commands):
    code = (
        f"import sys\nfrom p2pkit.cli import main\nfor command in {commands}:\n"
        "    sys.argv = ['p2pkit', *command.split()]\n"
        "    try:\n        main()\n    except SystemExit as left: assert not left.code\nprint('MODULES', *sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(ran.stdout.rpartition("MODULES")[2].split())


def test_help_and_recipes_import_nothing_heavy():
    loaded = modules_after("--help", "list recipe")
    assert not loaded & {"torch", "mlflow", "kornia", "torchvision", "torchmetrics", "numpy"}


def test_lists_pay_for_torch_at_most():
    loaded = modules_after("list", "plugins", "schema")
    assert "torch" in loaded
    assert not loaded & {"mlflow", "kornia", "torchvision", "torchmetrics"}


SWIN = """
import p2pkit


def swin(images):
    '''A transformer.'''


@p2pkit.hookimpl
def p2pkit_generators():
    yield p2pkit.Generator("swin", swin)
"""


def test_show_where_several_plugins_offer_the_name(p2pkit, tmp_path):
    for name in ("acme", "zeta"):
        (tmp_path / f"{name}.py").write_text(SWIN)
    shown = p2pkit("show", "swin", "--plugin", "acme.py", "--plugin", "zeta.py")
    assert shown.code == 2
    assert "several plugins offer a generator 'swin': acme:swin, zeta:swin" in shown.err
    assert "prefer: {generator/swin: acme}" in shown.err


def test_recipes_are_listed_without_any_plugin(p2pkit, install):
    install("raise SystemExit('imported')")
    listed = p2pkit("list", "recipe")
    assert "facades" in listed.out
    assert "acme" not in listed.err
    assert "acme" in p2pkit("list", "loss").err


def test_what_a_plugin_prints_does_not_break_json(p2pkit, install):
    install("print('hello')\n@p2pkit.hookimpl\ndef p2pkit_losses(): return []")
    assert json.loads(p2pkit("list", "loss", "--json").out)
