"""diffusers' U-Nets, asked once."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import p2pkit
import pytest
import torch
from p2pkit import ComponentError

from p2pkit_diffusers import diffusers_attention_unet, diffusers_unet


def test_it_is_the_librarys_network(build):
    from diffusers import UNet2DModel

    ours = build("diffusers_unet", head_width=8, timestep=7, final="linear")
    other = UNet2DModel(
        in_channels=3,
        out_channels=3,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=8,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )
    other.load_state_dict(ours.unet.state_dict())
    source = torch.randn(2, 3, 16, 24)
    assert torch.equal(ours(source), other(source, 7).sample)
    assert not torch.equal(ours(source), other(source, 8).sample)


@pytest.mark.parametrize("name", ["diffusers_unet", "diffusers_attention_unet"])
def test_any_channels_and_a_class(build, name):
    heads = {"head_width": 8} if name == "diffusers_unet" else {"heads": 2}
    network = build(name, source=5, target=1, condition="season", **heads).eval()
    source = torch.randn(2, 5, 16, 24)
    first, second = (network(source, season=torch.eye(3)[[index, index]]) for index in (0, 1))
    assert first.shape == (2, 1, 16, 24)
    assert not torch.allclose(first, second)
    assert network.takes == ("season",)


@pytest.mark.parametrize(
    ("name", "params", "blamed"),
    [
        ("diffusers_unet", {"channels": (8, 16, 16, 16, 16)}, "channels"),
        ("diffusers_unet", {"norm_groups": 3}, "norm_groups"),
        ("diffusers_unet", {"head_width": 5}, "head_width"),
        ("diffusers_attention_unet", {"heads": 3}, "heads"),
        ("diffusers_attention_unet", {"heads": 2, "condition": "hue"}, "condition"),
    ],
)
def test_what_does_not_fit_is_blamed_on_a_parameter(build, name, params, blamed):
    with pytest.raises(ComponentError) as caught:
        build(name, **params)
    assert caught.value.parameter == blamed


def test_the_library_is_not_imported_to_list_what_there_is():
    """No module imports it at its top; what is built asks for it by name."""
    for file in (Path(__file__).parents[1] / "src").rglob("*.py"):
        tops = ast.parse(file.read_text(encoding="utf-8")).body
        named = [each.module for each in tops if isinstance(each, ast.ImportFrom)]
        named += [alias.name for each in tops if isinstance(each, ast.Import) for alias in each.names]
        assert not [name for name in named if (name or "").partition(".")[0] == "diffusers"], file


def test_the_table_of_the_readme():
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    images = p2pkit.PairSpec(p2pkit.ImageSpec(3), p2pkit.ImageSpec(3), 64, 64)
    for factory in (diffusers_unet, diffusers_attention_unet):
        with torch.device("meta"):
            network = factory(images)
        count = sum(parameter.numel() for parameter in network.parameters())
        assert re.search(rf"\| `{factory.__name__}` \|.*\| {count:,} \| {network.multiple} \|", readme)
