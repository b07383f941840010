"""Losses: known values, whom they teach, and that they leave the device alone."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from p2pkit import ComponentError, ImageSpec, PairSpec, Verdict, View, to_network
from p2pkit.builtin import losses
from p2pkit.builtin.discriminators import MultiscaleDiscriminator
from p2pkit.builtin.losses.adversarial import GanLoss
from p2pkit.builtin.losses.classes import CrossEntropy
from p2pkit.builtin.losses.distances import FeatureMatching, TotalVariation, charbonnier, l1, l2, ssim
from p2pkit.builtin.losses.penalties import R1, GradientPenalty

pytestmark = pytest.mark.usefixtures("on_device")


def images(*shape, low=-1.0, high=1.0):
    return torch.empty(shape).uniform_(low, high)


def view_of(*, target=None, fake=None, real_logits=(), fake_logits=(), real_features=(), fake_features=()):
    """A batch whose verdicts are given."""
    target = images(2, 3, 8, 8) if target is None else target
    fake = images(2, 3, 8, 8) if fake is None else fake

    def discriminate(source, image):
        real = image is target
        features = real_features if real else fake_features
        return Verdict(tuple(real_logits if real else fake_logits), tuple(features))

    return View(torch.zeros_like(target), target, fake, discriminate)


def judged_by(network, side=8, batch=2):
    """A batch with a discriminator that is a function of the image."""
    shape = (batch, 3, side, side)
    return View(images(*shape), images(*shape), images(*shape), network)


class Linear(nn.Module):
    """Judge by the sum of an image, times a slope."""

    def __init__(self, slope):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(float(slope)))

    def forward(self, source, image):
        return Verdict((self.slope * image.sum((1, 2, 3), keepdim=True).expand(-1, 1, 4, 4),))


def flat(value, side=4):
    return torch.full((2, 1, side, side), float(value))


@pytest.mark.parametrize(
    ("mode", "real", "fake", "to_discriminator", "to_generator"),
    [
        ("vanilla", 0, 0, 2 * math.log(2), math.log(2)),
        ("vanilla", 50, -50, 0, 50),
        ("lsgan", 1, 0, 0, 1),
        ("lsgan", 0, 3, 10, 4),
        ("hinge", 1, -1, 0, 1),
        ("hinge", 5, -5, 0, 5),
        ("hinge", -1, 0.5, 3.5, -0.5),
        ("wgan", 2, -3, -5, 3),
    ],
)
def test_gan_known_values(mode, real, fake, to_discriminator, to_generator):
    view, loss = view_of(real_logits=[flat(real)], fake_logits=[flat(fake)]), GanLoss(mode=mode)
    assert loss.discriminator(view).item() == pytest.approx(to_discriminator, abs=1e-6)
    assert loss.generator(view).item() == pytest.approx(to_generator, abs=1e-6)


def test_gan_default_is_the_papers_cross_entropy():
    real, fake = torch.randn(2, 1, 4, 4), torch.randn(2, 1, 4, 4)
    view, loss = view_of(real_logits=[real], fake_logits=[fake]), GanLoss()
    expected = -real.sigmoid().log().mean() - (1 - fake.sigmoid()).log().mean()
    torch.testing.assert_close(loss.discriminator(view), expected)
    torch.testing.assert_close(loss.generator(view), -fake.sigmoid().log().mean())


def test_gan_scales_count_alike_whatever_their_size():
    view = view_of(real_logits=[flat(1, 8), flat(1, 2)], fake_logits=[flat(0, 8), flat(2, 2)])
    assert GanLoss(mode="lsgan").discriminator(view).item() == pytest.approx((0 + 4) / 2)


def test_gan_labels_can_be_smoothed():
    view = view_of(real_logits=[flat(0.9)], fake_logits=[flat(0.1)])
    assert GanLoss(mode="lsgan", real_label=0.9, fake_label=0.1).discriminator(view).item() == pytest.approx(0)
    smooth = GanLoss(real_label=0.9).discriminator(view_of(real_logits=[flat(0)], fake_logits=[flat(-50)]))
    assert smooth.item() == pytest.approx(math.log(2))


@pytest.mark.parametrize(
    ("params", "cause", "parameter"),
    [
        ({"mode": "hinge", "real_label": 0.9}, "mode hinge has no labels", "real_label"),
        ({"mode": "wgan", "fake_label": 0.1}, "mode wgan has no labels", "fake_label"),
        ({"fake_label": -1.0}, "a label of mode vanilla is a probability", "fake_label"),
    ],
)
def test_gan_labels_that_mean_nothing(params, cause, parameter):
    with pytest.raises(ComponentError) as raised:
        GanLoss(**params)
    assert (raised.value.cause, raised.value.parameter) == (cause, parameter)
    assert raised.value.remedy


@pytest.mark.parametrize("mode", ["vanilla", "lsgan", "hinge", "wgan"])
def test_gan_is_computed_in_single_precision(mode):
    logits = flat(0.3).bfloat16().requires_grad_()
    view = view_of(real_logits=[flat(0.3)], fake_logits=[logits])
    for value in (GanLoss(mode=mode).generator(view), GanLoss(mode=mode).discriminator(view)):
        assert value.dtype == torch.float32
        (gradient,) = torch.autograd.grad(value, logits)
        assert gradient.abs().max() > 0


def test_distances_known_values():
    target = images(2, 3, 16, 16, high=0.5)
    view = view_of(target=target, fake=target + 0.5)
    assert l1().generator(view).item() == pytest.approx(0.5)
    assert l2().generator(view).item() == pytest.approx(0.25)
    assert charbonnier(epsilon=0.1).generator(view).item() == pytest.approx(math.sqrt(0.26))


def test_distances_of_equal_images(spec):
    target = images(2, 3, 16, 16)
    view = view_of(target=target, fake=target.clone())
    assert l1().generator(view).item() == l2().generator(view).item() == 0
    assert charbonnier(epsilon=1e-3).generator(view).item() == pytest.approx(1e-3)
    assert ssim(spec(16)).generator(view).item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("distance", ["l1", "l2", "charbonnier", "ssim"])
def test_a_step_down_the_gradient_brings_the_fake_closer(spec, distance):
    loss = getattr(losses, distance)(*([spec(16)] if distance == "ssim" else []))
    target, fake = images(1, 2, 16, 16), images(1, 2, 16, 16).requires_grad_()
    before = loss.generator(view_of(target=target, fake=fake))
    before.backward()
    after = loss.generator(view_of(target=target, fake=fake.detach() - 0.1 * fake.grad / fake.grad.norm()))
    assert after < before
    assert before.shape == ()


def test_distances_are_computed_in_single_precision():
    view = view_of(target=images(1, 3, 8, 8), fake=images(1, 3, 8, 8).bfloat16())
    assert all(d.generator(view).dtype == torch.float32 for d in (l1(), l2(), charbonnier(), TotalVariation()))


def test_ssim_is_one_minus_the_metric(spec):
    from p2pkit.builtin import metrics

    fake, target = images(2, 1, 16, 16), images(2, 1, 16, 16)
    metric = metrics.ssim(spec(16))
    metric.update(fake, target)
    loss = ssim(spec(16)).generator(view_of(target=target, fake=fake))
    assert loss.item() == pytest.approx(1 - metric.compute().item(), abs=1e-6)


def test_ssim_of_images_smaller_than_a_window(spec):
    with pytest.raises(ComponentError, match="ssim compares windows of 11 x 11 pixels, the images are 8 x 64"):
        ssim(spec(8, 64))


def test_total_variation_of_a_ramp_and_of_a_plain_image():
    ramp = torch.linspace(0, 0.7, 8).expand(2, 3, 8, 8)
    assert TotalVariation().generator(view_of(fake=ramp)).item() == pytest.approx(0.1)
    assert TotalVariation().generator(view_of(fake=ramp + ramp.mT)).item() == pytest.approx(0.2)
    assert TotalVariation().generator(view_of(fake=torch.ones(2, 3, 8, 8))).item() == 0


def test_feature_matching_averages_layers_of_all_scales():
    fake = [(flat(0), flat(0, 2)), (flat(0), flat(0, 1))]
    real = [(flat(1), flat(2, 2)), (flat(3), flat(-4, 1))]
    assert FeatureMatching().generator(view_of(fake_features=fake, real_features=real)).item() == pytest.approx(2.5)


def test_feature_matching_moves_the_fakes_features_only():
    fake, real = flat(0).requires_grad_(), flat(1).requires_grad_()
    FeatureMatching().generator(view_of(fake_features=[(fake,)], real_features=[(real,)])).backward()
    assert fake.grad.abs().max() > 0
    assert real.grad is None


def test_feature_matching_without_features():
    with pytest.raises(ComponentError, match="no features to match"):
        FeatureMatching().generator(view_of(real_logits=[flat(0)], fake_logits=[flat(0)]))


def test_r1_of_a_linear_judgement():
    network = Linear(3)
    penalty = R1().discriminator(judged_by(network))
    assert penalty.item() == pytest.approx(0.5 * 3**2 * 3 * 8 * 8)
    penalty.backward()
    assert network.slope.grad.item() == pytest.approx(3 * 3 * 8 * 8)


def test_r1_looks_at_the_real_image_alone():
    seen = []

    def discriminate(source, image):
        seen.append((source, image))
        return Verdict((image.square().mean((1, 2, 3), keepdim=True),))

    view = judged_by(discriminate)
    R1().discriminator(view)
    ((source, image),) = seen
    assert source is view.source
    torch.testing.assert_close(image, view.target)
    assert not view.target.requires_grad


def test_gradient_penalty_of_a_linear_judgement():
    norm = math.sqrt(3 * 8 * 8)
    network = Linear(0.5)
    penalty = GradientPenalty().discriminator(judged_by(network))
    assert penalty.item() == pytest.approx((0.5 * norm - 1) ** 2, rel=1e-5)
    penalty.backward()
    assert network.slope.grad.item() == pytest.approx(2 * (0.5 * norm - 1) * norm, rel=1e-5)
    wanted = GradientPenalty(slope=0.5 * norm).discriminator(judged_by(network))
    assert wanted.item() == pytest.approx(0, abs=1e-9)


def test_gradient_penalty_of_an_indifferent_judgement_is_finite():
    network = Linear(0)
    penalty = GradientPenalty().discriminator(judged_by(network))
    penalty.backward()
    assert penalty.item() == pytest.approx(1)
    assert network.slope.grad.isfinite()


def test_gradient_penalty_looks_between_target_and_fake():
    seen = []

    def discriminate(source, image):
        seen.append(image)
        return Verdict((image.square().mean((1, 2, 3), keepdim=True),))

    target, fake = torch.zeros(4, 3, 8, 8), torch.ones(4, 3, 8, 8)
    GradientPenalty().discriminator(View(torch.zeros_like(target), target, fake, discriminate))
    shares = seen[0].flatten(1)
    assert shares.std(1).max() == 0  # one point for each pair
    assert len(shares[:, 0].unique()) == 4
    assert ((shares >= 0) & (shares <= 1)).all()


@pytest.mark.parametrize("penalty", [R1, GradientPenalty])
def test_penalties_teach_a_real_discriminator(spec, penalty):
    network = MultiscaleDiscriminator(spec(64), scales=2, layers=2, width=4, norm="instance", init_std=0.1)
    penalty().discriminator(judged_by(network, 64)).backward()
    weights = [p.grad for name, p in network.named_parameters() if name.endswith("weight")]
    assert all(g is not None and g.isfinite().all() and g.abs().max() > 0 for g in weights)


def built(record, spec, side, **params):
    """Make a loss for images that it is for."""
    labelled_only = record.name == "cross_entropy"
    return record.build(class_images() if labelled_only else spec(side), params)


def test_every_loss_has_the_roles_it_should(spec):
    def has(role):
        return {r.name for r in losses.p2pkit_losses() if hasattr(built(r, spec, 16), role)}

    distances = {"l1", "l2", "charbonnier", "ssim", "cross_entropy", "feature_matching", "total_variation"}
    assert has("generator") == {"gan", *distances}
    assert has("discriminator") == {"gan", "r1", "gradient_penalty"}


def test_no_loss_reads_a_value_back_from_the_device(spec):
    with torch.device("meta"):  # where reading or branching on a value is an error
        network = MultiscaleDiscriminator(spec(32), scales=2, layers=1, width=4, norm="none")
        for record in losses.p2pkit_losses():
            modes = [{"mode": m} for m in ("vanilla", "lsgan", "hinge", "wgan")] if record.name == "gan" else [{}]
            for params in modes:
                loss, view = built(record, spec, 32, **params), judged_by(network, 32)
                values = [getattr(loss, role)(view) for role in ("generator", "discriminator") if hasattr(loss, role)]
                assert values
                assert all(value.shape == () for value in values), record.name


@pytest.mark.parametrize("mode", ["vanilla", "lsgan", "hinge", "wgan"])
def test_gan_players_pull_a_fakes_logits_apart(mode):
    real, fake = flat(0.5).requires_grad_(), flat(0.5).requires_grad_()
    view, loss = view_of(real_logits=[real], fake_logits=[fake]), GanLoss(mode=mode)
    up, down = torch.autograd.grad(loss.discriminator(view), [real, fake])
    (wanted,) = torch.autograd.grad(loss.generator(view), [fake])
    assert (up < 0).all()
    assert (down > 0).all()
    assert (wanted < 0).all()


@pytest.mark.parametrize(
    ("params", "threshold"),
    [
        ({"mode": "vanilla"}, 0),
        ({"mode": "vanilla", "real_label": 0.9}, math.log(0.45 / 0.55)),
        ({"mode": "lsgan"}, 0.5),
        ({"mode": "lsgan", "fake_label": -1}, 0),
        ({"mode": "hinge"}, 0),
        ({"mode": "wgan"}, None),
    ],
)
def test_threshold_is_half_way_between_the_labels(params, threshold):
    assert GanLoss(**params).threshold == pytest.approx(threshold)


def class_images(classes=3, unlabelled=()):
    target = ImageSpec(classes, kind="labels", unlabelled=unlabelled)
    return PairSpec(ImageSpec(3), target, 4, 4)


def labelled(*indices, classes=3):
    """Planes of a 4 x 4 label map whose rows are these classes."""
    rows = torch.tensor(indices).view(1, 1, 4, 1).expand(2, 1, 4, 4)
    return to_network(rows, ImageSpec(classes, kind="labels"))


def planes_of(logits):
    return 2 * logits.softmax(1) - 1


@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 0.5]])
@pytest.mark.parametrize("unlabelled", [(), (2,), (0, 1)])
def test_cross_entropy_is_torchs_own(weights, unlabelled):
    logits, rows = torch.randn(2, 3, 4, 4), (0, 1, 2, 1)
    kept = torch.tensor(weights or [1.0] * 3)
    kept[list(unlabelled)] = 0
    truth = torch.tensor(rows).view(1, 4, 1).expand(2, 4, 4)
    expected = nn.functional.cross_entropy(logits, truth, weight=kept)
    loss = CrossEntropy(class_images(unlabelled=unlabelled), class_weights=weights)
    found = loss.generator(view_of(target=labelled(*rows), fake=planes_of(logits)))
    assert found.item() == pytest.approx(expected.item(), abs=1e-5)


def test_cross_entropy_of_planes_that_are_no_shares():
    """All planes at their brightest say nothing, so that there is nothing to be gained by it."""
    bright = torch.ones(2, 3, 4, 4)
    found = CrossEntropy(class_images()).generator(view_of(target=labelled(0, 1, 2, 0), fake=bright))
    assert found.item() == pytest.approx(math.log(3), abs=1e-5)


def test_cross_entropy_where_nothing_is_labelled():
    fake = planes_of(torch.randn(2, 3, 4, 4)).requires_grad_()
    loss = CrossEntropy(class_images(unlabelled=(1,))).generator(view_of(target=labelled(1, 1, 1, 1), fake=fake))
    (gradient,) = torch.autograd.grad(loss, fake)
    assert loss.item() == 0
    assert not gradient.any()


def test_cross_entropy_refuses_what_it_can_not_judge():
    with pytest.raises(ComponentError, match="targets that are labels"):
        CrossEntropy(PairSpec(ImageSpec(3), ImageSpec(3), 4, 4))
    with pytest.raises(ComponentError, match="2 weights for 3 classes") as raised:
        CrossEntropy(class_images(), class_weights=[1.0, 2.0])
    assert raised.value.parameter == "class_weights"
