"""Components with a fault: told before training, in a sentence; and those that are right, however unusual, are used."""

from __future__ import annotations

import textwrap

import pytest
import torch
from torch import nn

from p2pkit import ConfigError
from p2pkit.api import outline
from p2pkit.config import load_config, resolve
from p2pkit.engine.build.assembly import assemble
from p2pkit.engine.check import check
from p2pkit.engine.device.placement import lay_out
from p2pkit.engine.storage.loop_state import Progress
from p2pkit.engine.training.checkpointing import load_checkpoint, save_checkpoint
from p2pkit.registry import load_registry

CODE = '''
    import torch
    from torch import nn


    class Net(nn.Module):
        """A network."""

        def __init__(self, images):
            super().__init__()
            self.layer = nn.Conv2d(images.source.channels, images.target.channels, 1)

        def forward(self, source):
            return self.layer(source).tanh()


    class MetaName(Net):
        """Its error speaks of meta."""

        def forward(self, source):
            raise ValueError("MetaFormer blocks need sides of 128 or more")


    class AsksForValues(Net):
        """It can't be called where there are no values."""

        def forward(self, source):
            return super().forward(source) * (1 if source.max() > 100 else 0.5)


    class BuiltFromValues(Net):
        """It can't be built where there are no values."""

        def __init__(self, images):
            super().__init__(images)
            self.scale = torch.linspace(0, 1, 4).max().item()


    class NoParameters(nn.Module):
        """Nothing to learn."""

        def __init__(self, images):
            super().__init__()

        def forward(self, source):
            return source


    class Tuple(Net):
        """Returns a tuple."""

        def forward(self, source):
            return super().forward(source), source


    class Dict(Net):
        """Returns a dict."""

        def forward(self, source):
            return {"out": super().forward(source)}


    class Tied(Net):
        """One weight under two names."""

        def __init__(self, images):
            super().__init__(images)
            self.again = nn.Conv2d(images.source.channels, images.target.channels, 1)
            self.again.weight = self.layer.weight

        def forward(self, source):
            return (self.layer(source) + self.again(source)).tanh()


    class BadMultiple(Net):
        """Its attribute is of a wrong type."""

        multiple = "32"


    class FrozenJudge(nn.Module):
        """A discriminator on frozen features."""

        def __init__(self, images):
            super().__init__()
            self.backbone = nn.Conv2d(images.source.channels + images.target.channels, 4, 3, 2, 1).requires_grad_(False)
            self.head = nn.Conv2d(4, 1, 3, padding=1)

        def forward(self, source, image):
            return p2pkit.Verdict((self.head(self.backbone(torch.cat([source, image], 1)).relu()),))


    class BareLogits(FrozenJudge):
        """Its verdict holds a tensor where a tuple is wanted."""

        def forward(self, source, image):
            return p2pkit.Verdict(super().forward(source, image).logits[0])


    class Plain(nn.Module):
        """A loss that writes no constructor."""

        def generator(self, view):
            return (view.fake - view.target).square().mean()


    class NumberLoss:
        """Returns a number."""

        def generator(self, view):
            return 1.0


    def nothing():
        """Made without a say in any turn."""
        return object()


    @p2pkit.hookimpl
    def p2pkit_generators():
        for made in (MetaName, AsksForValues, BuiltFromValues, NoParameters, Tuple, Dict, Tied, BadMultiple):
            yield p2pkit.Generator(made.__name__.lower(), made)


    @p2pkit.hookimpl
    def p2pkit_discriminators():
        yield p2pkit.Discriminator("frozen", FrozenJudge)
        yield p2pkit.Discriminator("bare", BareLogits)


    @p2pkit.hookimpl
    def p2pkit_losses():
        yield p2pkit.Loss("plain", Plain)
        yield p2pkit.Loss("number", NumberLoss)
        yield p2pkit.Loss("nothing", nothing)
'''


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    folder = tmp_path_factory.mktemp("acme")
    (folder / "acme.py").write_text("import p2pkit\n" + textwrap.dedent(CODE))
    return load_registry(plugin_files=[folder / "acme.py"], discover=False, start=folder)


@pytest.fixture
def tried(names, tiny):
    return lambda **overrides: check(resolve(load_config(tiny, overrides), names))


FAULTS = {
    "an error that names meta": ("generator", "metaname", "MetaFormer blocks need sides of 128 or more"),
    "no parameters": ("generator", "noparameters", "has no parameters that can be trained"),
    "a tuple": ("generator", "tuple", "returned a tuple where a tensor is wanted"),
    "a dict": ("generator", "dict", "returned a dict where a tensor is wanted"),
    "an attribute": (
        "generator",
        "badmultiple",
        "has '32' as its attribute multiple, which must be a whole number",
    ),
    "a bare verdict": ("discriminator", "bare", "returned a Verdict without tuples of tensors"),
    "a number": ("losses.number", 1, "returned a float where a scalar tensor is wanted"),
    "no role": ("losses.nothing", 1, "made a object where a p2pkit.GeneratorLoss or DiscriminatorLoss is wanted"),
}


@pytest.mark.parametrize(("path", "value", "told"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_told_before_training(tried, path, value, told):
    with pytest.raises(ConfigError) as caught:
        tried(**{path: value})
    (problem,) = caught.value.problems
    assert problem.path == path
    assert told in problem.cause


@pytest.mark.parametrize("name", ["asksforvalues", "builtfromvalues"])
def test_what_the_meta_device_cannot_do_is_tried_with_values(tried, name):
    checked = tried(generator=name)
    assert assemble(checked).facts()["generator_parameters"] == 12
    assert any(": 12 parameters" in line for line in outline(checked))


def test_an_unknown_discriminator_is_the_only_thing_wrong(tried):
    with pytest.raises(ConfigError) as caught:
        tried(discriminator="nope")
    assert [problem.path for problem in caught.value.problems] == ["discriminator.use"]


def test_a_loss_without_a_constructor_is_used(tried):
    assert "plain" in tried(**{"losses.plain": 3}).plan.losses


def test_frozen_layers_stay_frozen(tried, batches):
    assembly = assemble(tried(discriminator="frozen"))
    judge = assembly.players.discriminator.network
    before = judge.backbone.weight.clone()
    for number, batch in enumerate(batches(assembly)):
        assembly.step([batch], number)
        assert not judge.backbone.weight.requires_grad
        assert judge.head.weight.requires_grad
    assert judge.backbone.weight.grad is None
    assert torch.equal(judge.backbone.weight, before)


def test_tied_weights_are_saved_and_come_back_tied(tried, batches, tmp_path):
    checked = tried(generator="tied", **{"engine.ema": 0.9})
    assembly = assemble(checked)
    for number, batch in enumerate(batches(assembly)):
        assembly.step([batch], number)
    saved = save_checkpoint(tmp_path, assembly, Progress(), checked.plan.resolved())
    again = assemble(checked)
    load_checkpoint(saved, again)
    network = again.players.generator.network
    assert network.again.weight is network.layer.weight
    assert torch.equal(network.layer.weight, assembly.players.generator.network.layer.weight)


def test_weights_of_volumes_have_one_layout():
    network = nn.ModuleList([nn.Conv3d(2, 2, 3), nn.Conv2d(2, 2, 3), nn.Linear(2, 2)])
    lay_out(network, torch.channels_last)
    assert network[1].weight.is_contiguous(memory_format=torch.channels_last)
    assert network[0].weight.is_contiguous()
