"""A latent model as a generator of one step."""

from __future__ import annotations

import json
import shutil

import p2pkit
import pytest
import torch
from p2pkit import ComponentError

from p2pkit_diffusers.pretrained import signal_share


def test_at_first_it_is_one_step_of_the_pretrained_model(build, model):
    from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel

    ours = build("diffusers_latent", model=model, rank=2, vae_rank=2).eval()
    vae = AutoencoderKL.from_pretrained(model, subfolder="vae")
    unet = UNet2DConditionModel.from_pretrained(model, subfolder="unet")
    scheduler = DDPMScheduler.from_pretrained(model, subfolder="scheduler")
    scheduler.set_timesteps(1)
    source = torch.rand(2, 3, 16, 24) * 2 - 1
    with torch.no_grad():
        latent = vae.encode(source).latent_dist.mean * vae.config.scaling_factor
        noise = unet(latent, 999, encoder_hidden_states=ours.tokens.expand(2, -1, -1)).sample
        share = scheduler.alphas_cumprod[-1]
        clean = (latent - (1 - share) ** 0.5 * noise) / share**0.5
        wanted = vae.decode(clean / vae.config.scaling_factor).sample.clamp(-1, 1)
        torch.testing.assert_close(ours(source), wanted, atol=1e-4, rtol=1e-4)
    assert signal_share(model) == pytest.approx(float(share), rel=1e-4)


def test_what_is_small_learns_and_what_is_pretrained_stays(build, model):
    network = build("diffusers_latent", model=model, rank=2, vae_rank=2)
    learning = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert all(".down." in name or ".up." in name or name == "tokens" or name.startswith("skips.") for name in learning)
    assert any(name.startswith("vae.") for name in learning)
    assert not {
        n
        for n in build("diffusers_latent", model=model, rank=0, vae_rank=0, skips=False).state_dict()
        if ".down.weight" in n and "samplers" not in n
    }
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=0.01)
    for _ in range(2):
        (network(torch.rand(1, 3, 16, 16)) - 0.3).square().mean().backward()
        optimizer.step()
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed <= learning
    assert {"tokens", "skips.0.weight"} <= changed


def test_other_channels_have_a_way_in_and_out(build, model):
    network = build("diffusers_latent", model=model, source=4, target=1)
    assert network(torch.rand(1, 4, 16, 16)).shape == (1, 1, 16, 16)


def test_a_model_that_is_none_is_named(build, model, tmp_path):
    with pytest.raises(ComponentError, match=r"config\.json can't be read") as caught:
        build("diffusers_latent", model=tmp_path)
    assert caught.value.parameter == "model"
    shutil.copytree(model, tmp_path / "other")
    config = tmp_path / "other" / "unet" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "_class_name": "UNet2DModel"}))
    with pytest.raises(ComponentError, match="holds a UNet2DModel"):
        build("diffusers_latent", model=tmp_path / "other")
    with pytest.raises(ComponentError, match="multiples of 4"):
        build("diffusers_latent", model=model, size=(16, 18))


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_checkpoint_stands_in_for_weights_that_are_gone(build, model, tmp_path, device):
    trained = build("diffusers_latent", model=model)
    shutil.copytree(model, tmp_path / "bare", ignore=shutil.ignore_patterns("*.safetensors"))
    with torch.device(device), pytest.raises(ComponentError, match="there are no weights in"):
        build("diffusers_latent", model=tmp_path / "bare")(torch.zeros(1, 3, 16, 16))
    bare = build("diffusers_latent", model=tmp_path / "bare")
    bare.load_state_dict(trained.state_dict())
    source = torch.rand(1, 3, 16, 16)
    assert torch.equal(bare(source), trained(source))


def test_the_recipe_trains_and_translates(here, model):
    from pathlib import Path

    run = p2pkit.train(
        Path(__file__).parents[1] / "recipes" / "demo_latent.yaml",
        dataset={"use": "shapes", "params": {"size": 16, "count": 4}},
        discriminator={"use": "patch", "params": {"layers": 1, "width": 8}},
        schedule={"epochs": 1, "decay_after": 0},
        augment=[],
        engine={"batch": 2, "device": "cpu"},
        evaluate={"every": 0, "metrics": ["l1"], "samples": 2},
        **{"generator.params.model": str(model)},
    )
    assert run.load().translate(torch.zeros(3, 18, 30, dtype=torch.uint8)).shape == (3, 18, 30)
