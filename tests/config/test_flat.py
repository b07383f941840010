"""A config as keys and values."""

from __future__ import annotations

import pytest

from p2pkit.config import flat_config, load_config, resolve


def test_a_component_is_its_name_and_its_parameters(registry):
    plan = resolve(load_config("demo", {"losses.content": {"use": "l1", "weight": 3.0}}), registry)
    flat = flat_config(plan.resolved())
    expected = {
        "dataset": "emoji",
        "generator": "unet_64",
        "generator.params.depth": 6,
        "discriminator": "patch_16",
        "augment": "flip",
        "augment.flip.probability": 0.5,
        "losses.l1.weight": 100,
        "losses.content": "l1",
        "optimizers.generator": "adam",
        "optimizers.generator.betas": [0.5, 0.999],
        "evaluate.metrics": "l1, psnr, ssim",
    }
    assert {key: flat[key] for key in expected} == expected
    assert type(flat["losses.l1.weight"]) is int
    assert not {"losses.l1", "generator.use", "generator.alias", "summary", "tracking.experiment"} & flat.keys()
    assert not [key for key, value in flat.items() if value in (None, "", [])]


@pytest.mark.parametrize(
    ("use", "alias", "name"),
    [
        ("p2pkit:unet", "unet_64", "unet_64"),
        ("p2pkit:unet", "unet", "unet"),
        ("acme:unet", "unet", "acme:unet"),
        ("acme:unet", "small", "small"),
        ("acme:unet", None, "acme:unet"),
    ],
)
def test_a_plugin_is_named_where_the_name_alone_would_mean_another(use, alias, name):
    assert flat_config({"generator": {"use": use, "alias": alias, "params": {}}}) == {"generator": name}


def test_components_of_one_name_have_a_branch_each():
    flip = {"use": "p2pkit:flip", "alias": "flip"}
    flat = flat_config({"augment": [{**flip, "params": {"p": 0.5}}, {**flip, "params": {"p": 1.0}}]})
    assert flat == {"augment": "flip, flip", "augment.flip.p": 0.5, "augment.flip_2.p": 1}
