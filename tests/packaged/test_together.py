"""All distributions of plugins/ installed side by side: every component they offer takes one step of training.

Runs where they are installed (`pip install ./plugins/*`), which the continuous integration does.
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

import p2pkit
from p2pkit.registry import load_registry

FOLDERS = sorted(path.name for path in (Path(__file__).parents[2] / "plugins").iterdir() if path.is_dir())
SMALL = {"encoder": "tu-resnet10t", "channels": (32, 16, 8)}
PARAMETERS = {
    "attention_unet": {"width": 8, "depth": 3},
    "residual_unet": {"width": 8, "depth": 3},
    "unet_plus_plus": {"width": 8, "depth": 3},
    "unet_3_plus": {"width": 8, "depth": 3},
    "pix2pixhd_global": {"width": 4, "halvings": 2, "blocks": 1},
    "pix2pixhd_local": {"width": 4, "halvings": 2, "blocks": 1, "local_blocks": 1},
    "bicycle_unet": {"width": 4, "depth": 3},
    "bicycle_patch": {"width": 4, "layers": 2},
    "bicycle": {"encoder_width": 4, "halvings": 3, "judge_width": 4, "judge_layers": 2},
    "spade": {"width": 2, "hidden": 8, "upsamplings": 4, "style": "z"},
    "style": {"width": 4, "side": 32},
    "smp_unet": SMALL,
    "smp_unet_plus_plus": SMALL,
    "smp_manet": {**SMALL, "attention_channels": 8},
    "smp_linknet": {"encoder": "tu-mobilenetv3_small_050"},
    "smp_fpn": {"encoder": "tu-mobilenetv3_small_050", "pyramid_channels": 16, "channels": 32},
    "smp_deeplabv3_plus": {"encoder": "tu-mobilenetv3_small_050", "channels": 16},
    "smp_upernet": {"encoder": "tu-mobilenetv3_small_050", "channels": 16},
    "smp_segformer": {"encoder": "tu-resnet10t", "channels": 16},
    "diffusers_unet": {"channels": (8, 16), "layers": 1, "norm_groups": 4, "head_width": 8},
    "diffusers_attention_unet": {"channels": (8, 16), "layers": 1, "norm_groups": 4, "heads": 2, "token_width": 8},
    "smp_dpt": {"encoder": "tu-test_vit", "channels": 16},
    "monai_unet": {"channels": (4, 8)},
    "monai_attention_unet": {"channels": (4, 8)},
    "monai_unet_plus_plus": {"channels": (4, 4, 4, 4, 4, 4)},
    "monai_swin_unetr": {"width": 12, "blocks": (1, 1, 1, 1), "heads": (1, 1, 1, 1), "window": 2},
    "monai_dynunet": {"channels": (4, 8, 8)},
    "monai_patch": {"width": 4, "layers": 2},
    "monai_multiscale": {"width": 4, "layers": 1},
}
NEEDS_FILES = {
    "diffusers_latent": "a pretrained model; its own tests make a tiny one",
    "vgg": "weights that are not in the project; its own tests make some",
    "lpips": "weights that are not in the project; its own tests make some",
    "dists": "weights that are not in the project; its own tests make some",
    "oasis": "a data set of label maps; its own tests make one",
    "labels_with_edges": "a folder of label maps; its own tests make one",
    "geo_tiles": "rasters; its own tests make some",
    "geotiff": "rasters; its own tests make some",
    "torchgeo_pairs": "torchgeo and one of its data sets; its own tests have a stand-in",
    "volume_slices": "a folder of volumes; its own tests make one",
    "volumes": "a folder of volumes; its own tests make one",
    "nifti": "files of its format; its own tests write some",
    "dicom": "files of its format; its own tests write some",
}


def installed() -> list[str]:
    names = {dist.metadata["Name"] for dist in importlib.metadata.distributions()}
    return [name for name in FOLDERS if name in names]


pytestmark = pytest.mark.skipif(
    installed() != FOLDERS, reason=f"not installed: {', '.join(sorted(set(FOLDERS) - set(installed())))}"
)


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    file = tmp_path_factory.mktemp("names") / "registry.yaml"
    file.write_text("plugins: {block: [p2pkit.mlflow]}\n")
    return load_registry(file)


def test_none_failed_and_no_two_share_a_name(everything):
    assert everything.plugins.failed == []
    names = [(component.kind, component.name) for component in everything.plugins.components]
    assert len(names) == len(set(names))
    assert {plugin.origin for plugin in everything.plugins.found} >= set(FOLDERS)


@pytest.fixture
def take_a_step(everything, tmp_path):
    """Train a step with a component."""

    def train(component):
        used = {"use": component.full_name, "params": PARAMETERS.get(component.name, {})}
        config = {
            "dataset": {"use": "shapes", "params": {"size": 64, "count": 4}},
            "noise": {"z": 4},
            "generator": "unet_tiny",
            "discriminator": "pixel",
            "losses": {"gan": 1, "l1": 100},
            "schedule": {"steps": 1},
            "engine": {"batch": 2, "device": "cpu"},
            "evaluate": {"metrics": ["l1"], "every": 0},
            "tracking": {"folder": str(tmp_path), "name": component.name},
        }
        if component.kind == "loss":
            config["losses"][component.name] = used
        elif component.kind == "metric":
            config["evaluate"]["metrics"] = [component.full_name]
        else:
            assert component.kind in config, f"say here how to train with a {component.kind}"
            config[component.kind] = used
        assert p2pkit.train(config, registry=everything).step == 1

    return train


@pytest.fixture
def trainable(everything):
    """The components that need no files; executors are given work, sweeps and translations, by their own tests."""
    found = [component for component in everything.plugins.components if component.plugin != "p2pkit"]
    return [component for component in found if component.name not in NEEDS_FILES and component.kind != "executor"]


@pytest.mark.timeout(1200)  # some trainings, beside other tests
def test_a_component_of_each_plugin_and_kind_takes_a_step(trainable, take_a_step):
    """The others do so in the tests of their own plugins, and here at night."""
    assert set(PARAMETERS) <= {component.name for component in trainable}
    for component in {(component.plugin, component.kind): component for component in reversed(trainable)}.values():
        take_a_step(component)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_every_component_takes_a_step(trainable, take_a_step):
    for component in trainable:
        take_a_step(component)
