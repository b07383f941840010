"""What the losses come to, and who learns from them."""

from __future__ import annotations

import pytest
import torch
from p2pkit import ComponentError, Verdict, View
from torch.distributions import Normal, kl_divergence
from torch.nn import functional

from p2pkit_spade import OasisLoss, StyleLoss


def labels(*rows: list[int], classes: int = 3) -> torch.Tensor:
    """A label map as networks see it: 1 in its class's plane, -1 in all others."""
    return functional.one_hot(torch.tensor(rows), classes).permute(2, 0, 1)[None].float() * 2 - 1


def seen(source: torch.Tensor, target: torch.Tensor, fake: torch.Tensor, asked: list | None = None) -> View:
    """A view with a discriminator whose planes are the image itself."""

    def judge(source, image, **extras):
        if asked is not None:
            asked.append(image)
        return Verdict((image[:, :1],), ((image,),))

    return View(source, target, fake, judge)


@pytest.fixture
def images(spec):
    return spec(2, z=4)


def test_each_class_counts_alike_or_each_pixel(images):
    source, planes = labels([0, 0], [0, 1]), torch.randn(1, 4, 2, 2)
    surprise = functional.cross_entropy(planes, source.argmax(1) + 1, reduction="none").flatten()
    plain = OasisLoss(images, balanced=False).generator(seen(source, planes, planes))
    torch.testing.assert_close(plain, surprise.mean())
    balanced = OasisLoss(images).generator(seen(source, planes, planes))
    torch.testing.assert_close(balanced, (surprise[:3].mean() + surprise[3]) / 2)


def test_unlabelled_pixels_do_not_count(images):
    from dataclasses import replace

    unknown = replace(images, source=replace(images.source, unlabelled=(1,)))
    source, planes = labels([0, 0], [0, 1]), torch.randn(1, 4, 2, 2)
    surprise = functional.cross_entropy(planes, source.argmax(1) + 1, reduction="none").flatten()
    value = OasisLoss(unknown).generator(seen(source, planes, planes))
    torch.testing.assert_close(value, surprise[:3].mean() * 4 / 4)


def test_the_discriminator_finds_classes_in_targets_and_nothing_in_fakes(images):
    source, real, fake = labels([0, 0], [0, 1]), torch.randn(1, 4, 2, 2), torch.randn(1, 4, 2, 2)
    loss = OasisLoss(images, label_mix=0)
    found = loss.discriminator(seen(source, real, fake))
    nothing = -fake.log_softmax(1)[:, 0].mean()
    torch.testing.assert_close(found, loss.generator(seen(source, real, real)) + nothing)


def test_the_patchwork_takes_whole_classes_of_either_image(images):
    source, asked = labels([0, 0], [1, 2]).repeat(16, 1, 1, 1), []
    real, fake = torch.ones(16, 4, 2, 2), -torch.ones(16, 4, 2, 2)
    view = seen(source, real, fake, asked)
    OasisLoss(images).discriminator(view)
    mixed = asked[-1]
    assert {tuple(each.unique().tolist()) for each in mixed} == {(-1.0,), (1.0,), (-1.0, 1.0)}
    assert torch.equal(mixed[:, :, 0, 0], mixed[:, :, 0, 1])  # both are of class 0
    assert view.taken()["label_mix"] == 0  # this one says of a patchwork what it says of its parts


def test_another_discriminator_is_told_what_is_wanted(images):
    view = seen(labels([0, 0], [1, 2]), torch.randn(1, 3, 2, 2), torch.randn(1, 3, 2, 2))
    with pytest.raises(ComponentError, match="does not tell 3 classes and fakes apart") as raised:
        OasisLoss(images).generator(view)
    assert raised.value.remedy == "use the discriminator oasis"


def test_the_style_is_drawn_from_what_the_encoder_reads_and_pays_for_being_unlike_noise(images):
    loss = StyleLoss(images, width=2, side=16, init_gain=1.0)
    target = torch.rand(3, 3, 24, 32) * 2 - 1
    made = loss.encode(target, target, {})
    assert {name: tuple(value.shape) for name, value in made.items()} == dict.fromkeys(
        ("z", "z_mean", "z_log_var"), (3, 4)
    )
    view = View(target, target, target, None, made=made)
    read = Normal(made["z_mean"], (made["z_log_var"] / 2).exp())
    torch.testing.assert_close(loss.generator(view), kl_divergence(read, Normal(0.0, 1.0)).sum(1).mean())
    made["z"].sum().backward()
    assert all(value.grad is not None and value.grad.any() for value in loss.parameters())
