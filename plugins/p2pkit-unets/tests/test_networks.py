"""What the four networks have in common: sizes, parameters, gradients, initial weights, learning."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import p2pkit
from p2pkit import ComponentError

SMALL = {"depth": 2, "width": 4}
NORMS = ["batch", "instance", "group", "none"]
RECIPE = Path(__file__).parents[1] / "recipes" / "attention_unet.yaml"


def upsamplings(name):
    return ["nearest", "bilinear"] + ([] if name == "unet_3_plus" else ["transposed"])


@pytest.mark.parametrize(("source", "target"), [(1, 3), (5, 2)])
def test_any_channels_and_any_multiple_of_its_sides(build, name, source, target):
    for upsampling in upsamplings(name):
        net = build(name, 8, 24, source=source, target=target, upsampling=upsampling, **SMALL)
        fake = net(torch.randn(2, source, 8, 24))
        assert fake.shape == (2, target, 8, 24)
        assert 0 < fake.abs().max() <= 1
        assert net.multiple == 4


@pytest.mark.parametrize("depth", [1, 5])
def test_any_depth(build, name, depth):
    assert build(name, 64, depth=depth, width=2)(torch.randn(1, 3, 64, 64)).shape == (1, 3, 64, 64)


@pytest.mark.parametrize("norm", NORMS)
def test_gradient_reaches_everything(build, name, norm):
    for upsampling in upsamplings(name):
        net = build(name, norm=norm, upsampling=upsampling, init_std=0.1, **SMALL)
        net(torch.randn(2, 3, 32, 32)).square().mean().backward()
        stranded = [key for key, p in net.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
        assert stranded == []
        assert [key for key, p in net.named_parameters() if not p.grad.any()] == []


@pytest.mark.parametrize("norm", NORMS)
def test_convolutions_have_a_bias_only_where_no_norm_has_one(build, name, norm):
    net = build(name, norm=norm, **SMALL)
    kinds = {"batch": nn.BatchNorm2d, "instance": nn.InstanceNorm2d, "group": nn.GroupNorm, "none": ()}[norm]
    norms = [module for module in net.modules() if isinstance(module, kinds)]
    inner = [m for m in net.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3) and m.out_channels != 3]
    assert bool(norms) == (norm != "none")
    assert all(module.bias is not None for module in norms)
    assert {convolution.bias is not None for convolution in inner} == {norm == "none"}


@pytest.mark.parametrize("std", [0.02, 0.1])
def test_initial_weights(build, name, std):
    net = build(name, depth=3, width=16, init_std=std)
    modules = list(net.modules())
    kernels = torch.cat([m.weight.flatten() for m in modules if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)])
    scales = torch.cat([m.weight for m in modules if isinstance(m, nn.BatchNorm2d)])
    assert kernels.std().item() == pytest.approx(std, rel=0.03)
    assert kernels.mean().item() == pytest.approx(0, abs=std / 20)
    assert scales.std().item() == pytest.approx(std, rel=0.2)
    assert scales.mean().item() == pytest.approx(1, abs=std / 4)
    assert not any(p.any() for key, p in net.named_parameters() if key.endswith("bias"))


def test_dropout_is_in_the_decoder_below_full_size_and_works_in_training_only(build, name):
    net, source = build(name, norm="none", dropout=0.5, init_std=0.1, **SMALL), torch.randn(1, 3, 32, 32)
    rates = [module.p for module in net.modules() if isinstance(module, nn.Dropout)]
    assert rates == [0.5]  # two halvings: one decoder node that is not at full size
    assert not torch.equal(net(source), net(source))
    assert torch.equal(net.eval()(source), net(source))
    assert not any(isinstance(module, nn.Dropout) for module in build(name, **SMALL).modules())


def test_channels_double_up_to_the_cap(build, name):
    def channels(**params):
        with torch.device("meta"):
            net = build(name, 64, depth=5, width=2, **params)
            seen = []
            levels = net.encoder if name == "residual_unet" else net.encoder.nodes
            for level in levels:
                level.register_forward_hook(lambda module, inputs, output: seen.append(output.shape[1]))
            net(torch.empty(1, 3, 64, 64))
        return seen

    assert channels() == [2, 4, 8, 16, 32, 32]
    assert channels(max_width=5) == [2, 4, 5, 5, 5, 5]


@pytest.mark.parametrize(
    ("size", "depth", "norm", "cause", "remedy"),
    [
        (
            (100, 300),
            4,
            "batch",
            "depth 4 needs sides that are multiples of 16, the images are 100 x 300",
            "use depth 2 or less, or resize the images, for instance to 96 x 304",
        ),
        (
            (7, 9),
            2,
            "none",
            "depth 2 needs sides that are multiples of 4, the images are 7 x 9",
            "resize the images, for instance to 8 x 8",
        ),
        (
            (16, 16),
            4,
            "batch",
            "depth 4 leaves one pixel of 16 x 16, which batch norm can't normalise",
            "use depth 3 or less, or resize the images, for instance to 32 x 32",
        ),
        (
            (2, 2),
            1,
            "instance",
            "depth 1 leaves one pixel of 2 x 2, which instance norm can't normalise",
            "resize the images, for instance to 4 x 4",
        ),
        (
            (16, 16),
            5,
            "group",
            "depth 5 needs sides that are multiples of 32, the images are 16 x 16",
            "use depth 3 or less, or resize the images, for instance to 32 x 32",
        ),
    ],
)
def test_sizes_that_do_not_fit(build, name, size, depth, norm, cause, remedy):
    with pytest.raises(ComponentError) as raised:
        build(name, *size, depth=depth, norm=norm, width=2)
    assert (raised.value.cause, raised.value.remedy, raised.value.parameter) == (cause, remedy, "depth")


def test_the_remedies_are_true(build, name):
    assert build(name, 16, depth=3, width=2)(torch.randn(1, 3, 16, 16)).shape == (1, 3, 16, 16)
    assert build(name, 16, 32, depth=4, width=2)(torch.randn(1, 3, 16, 32)).shape == (1, 3, 16, 32)
    assert build(name, 16, depth=4, width=2, norm="none")(torch.randn(1, 3, 16, 16)).shape == (1, 3, 16, 16)


def test_builds_and_runs_on_the_meta_device(build, name):
    with torch.device("meta"):
        assert build(name, 256)(torch.empty(1, 3, 256, 256)).shape == (1, 3, 256, 256)


def test_compiles_in_one_graph(build, name):
    net, source = build(name, **SMALL).eval(), torch.randn(1, 3, 32, 32)
    compiled = torch.compile(net, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(source), net(source))


@pytest.fixture
def quiet(tmp_path, monkeypatch):
    """A folder in which runs are not tracked."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "registry.yaml").write_text("plugins: {block: [p2pkit.mlflow]}\n")


@pytest.mark.usefixtures("quiet")
def test_a_few_steps_lower_the_held_out_error(name):
    config = {
        "dataset": {"use": "shapes", "params": {"size": 16, "count": 32}},
        "generator": {"use": f"unets:{name}", "params": {"depth": 2, "width": 8}},
        "discriminator": "patch_16",
        "losses": {"l1": 100},
        "optimizers": {"generator": {"lr": 5e-3}},
        "engine": {"batch": 8, "device": "cpu"},
        "evaluate": {"metrics": ["l1"], "samples": 1},
    }
    begun = p2pkit.train(config, **{"schedule.steps": 1}).report.metrics["l1"]
    trained = p2pkit.train(config, **{"schedule.steps": 40}).report.metrics["l1"]
    assert trained < 0.7 * begun


@pytest.mark.usefixtures("quiet")
def test_the_recipe_can_be_run():
    checked = p2pkit.check(RECIPE)
    assert checked.spec.height == checked.spec.width == 64
