"""Augmentations: the same geometry for both images, whole label planes, seeds, and what they refuse."""

import math

import pytest
import torch
from torch.nn import functional

from p2pkit import ComponentError, ImageSpec, PairSpec, to_network
from p2pkit.builtin.augmentations import Affine, ColourJitter, Crop, Flip, JitterCrop, Rotate90, p2pkit_augmentations
from p2pkit.engine.step.cuda_graph import sync_debug

LABELS = ImageSpec(4, kind="labels")
GEOMETRIC = [
    (JitterCrop, {"load": 20}),
    (Flip, {}),
    (Rotate90, {}),
    (Affine, {"degrees": 40.0, "translate": 0.2, "scale": 0.3, "shear": 15.0, "padding": "border"}),
    (Affine, {"degrees": 40.0, "translate": 0.2, "scale": 0.3, "shear": 15.0, "padding": "reflection"}),
    (Affine, {"degrees": 40.0, "translate": 0.2, "scale": 0.3, "shear": 15.0, "padding": "zeros"}),
]
geometric = pytest.mark.parametrize(("factory", "params"), GEOMETRIC)


@pytest.fixture
def largest(monkeypatch):
    """From the call on, every random number is the largest."""
    return lambda: monkeypatch.setattr(torch, "rand", lambda *shape: torch.ones(*shape))


def images(source=3, target=3, height=16, width=16):
    as_spec = lambda side: ImageSpec(side) if isinstance(side, int) else side  # noqa: E731
    return PairSpec(as_spec(source), as_spec(target), height, width)


@pytest.fixture
def batch(device):
    """Make a batch of noise, always the same, where `--device` says; augmentations draw on the host."""

    def make(count=8, channels=3, height=16, width=16, seed=1):
        drawn = torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(seed))
        return (drawn * 2 - 1).to(device)

    return make


@pytest.fixture
def classes(device):
    """Make large areas of four classes, so that most pixels are not at a border."""

    def make(count=8, height=16, width=16):
        stored = torch.zeros(count, 1, height, width, dtype=torch.uint8)
        stored[:, :, height // 2 :] += 1
        stored[:, :, :, width // 3 :] += 2
        return stored.to(device)

    return make


@geometric
def test_equal_images_stay_equal_and_change(batch, factory, params):
    augmentation = factory(images(), **params)
    source, target = augmentation(batch(), batch())
    assert torch.equal(source, target)
    assert source.shape == (8, 3, 16, 16)
    assert not torch.equal(source, batch())
    assert source.min() >= -1 - 1e-5
    assert source.max() <= 1 + 1e-5


@geometric
def test_labels_stay_whole_and_move_with_the_image(classes, factory, params):
    planes = to_network(classes(), LABELS)
    blended, target = factory(images(4, LABELS), **params)(planes, planes)  # once as intensities, once as labels
    assert target.shape == (8, 4, 16, 16)
    assert set(target.unique().tolist()) == {-1, 1}
    assert torch.equal((target == 1).sum(1), torch.ones_like(target.argmax(1)))
    share, index = blended.max(1)
    inside = share > 0.99
    assert inside.float().mean() > 0.4
    assert torch.equal(target.argmax(1)[inside], index[inside])
    assert not torch.equal(target, planes)


@geometric
def test_the_global_seed_decides(batch, factory, params):
    augmentation = factory(images(), **params)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first, second = (augmentation(batch(), batch())[0] for _ in range(2))
    torch.set_rng_state(state)
    assert torch.equal(augmentation(batch(), batch())[0], first)
    assert not torch.equal(first, second)


@geometric
def test_pairs_of_a_batch_are_changed_each_in_its_own_way(batch, factory, params):
    one = batch(1).expand(16, -1, -1, -1)
    source, _ = factory(images(), **params)(one, one)
    assert len(source.flatten(1).unique(dim=0)) > 1


def test_source_and_target_may_have_other_channels(batch):
    for factory, params in GEOMETRIC:
        source, target = factory(images(1, 5), **params)(batch(channels=1), batch(channels=5))
        assert (source.shape, target.shape) == ((8, 1, 16, 16), (8, 5, 16, 16))


def test_crops_are_parts_of_the_larger_image():
    augmentation = JitterCrop(images(height=16, width=24), load=20)
    assert augmentation.loads == (20, 30)
    rows = torch.arange(20.0).view(1, 1, 20, 1).expand(200, 1, 20, 30)
    columns = torch.arange(30.0).view(1, 1, 1, 30).expand(200, 1, 20, 30)
    rows, columns = augmentation(rows, columns)
    assert rows.shape == (200, 1, 16, 24)
    assert torch.equal(rows - rows[:, :, :1], torch.arange(16.0).view(1, 1, 16, 1).expand_as(rows))
    assert set(rows[:, 0, 0, 0].tolist()) == set(range(5))
    assert set(columns[:, 0, 0, 0].tolist()) == set(range(7))


def test_a_batch_of_the_runs_size_is_enlarged_before_cropping(classes):
    augmentation = JitterCrop(images(1, LABELS), load=32)
    source, target = augmentation(torch.full((2, 1, 16, 16), 0.3), to_network(classes(2), LABELS))
    assert torch.allclose(source, torch.full_like(source, 0.3))
    assert target.shape == (2, 4, 16, 16)
    checks = ((torch.arange(16) % 2) * 2.0 - 1).expand(1, 3, 16, 16)
    enlarged, _ = augmentation(checks, checks.expand(1, 3, 16, 16))
    assert enlarged.abs().max() <= 1
    torch.manual_seed(3)
    top, left = augmentation.draw(torch.empty(1))[0].tolist()
    torch.manual_seed(3)
    expected = functional.interpolate(checks, (32, 32), mode="bicubic", antialias=True).clamp(-1, 1)
    assert torch.equal(augmentation(checks, checks)[0], expected[:, :, top : top + 16, left : left + 16])


@pytest.mark.parametrize(("probability", "share"), [(0.0, 0), (1.0, 1), (0.5, pytest.approx(0.5, abs=0.08))])
def test_flip_exchanges_left_and_right_with_the_probability(batch, probability, share):
    given = batch(400, 1, 4, 6)
    source, _ = Flip(images(1, 1, 4, 6), probability=probability)(given, given)
    flipped = (source == given.flip(3)).flatten(1).all(1)
    kept = (source == given).flatten(1).all(1)
    assert (flipped ^ kept).all()
    assert flipped.float().mean().item() == share


def test_all_four_quarter_turns_occur(batch):
    given = batch(400, 1, 4, 4)
    source, _ = Rotate90(images(1, 1, 4, 4))(given, given)
    turned = torch.stack([(source == given.rot90(count, (2, 3))).flatten(1).all(1) for count in range(4)])
    assert torch.equal(turned.sum(0), torch.ones_like(turned[0].long()))
    assert (turned.float().mean(1) - 0.25).abs().max() < 0.08


def test_affine_without_ranges_changes_nothing(batch):
    given = batch(height=12, width=20)
    still = Affine(images(height=12, width=20), degrees=0.0, translate=0.0, scale=0.0)
    assert torch.allclose(still(given, given)[0], given, atol=1e-5)


def test_affine_moves_by_what_was_drawn(batch, largest):
    given, square = batch(2, 1, 10, 20), batch(2, 1, 15, 15)
    largest()
    spec = images(1, 1, 10, 20)
    shifted, _ = Affine(spec, degrees=0.0, translate=0.1, scale=0.0, padding="zeros")(given, given)
    assert torch.allclose(shifted[:, :, 1:, 2:], given[:, :, :-1, :-2], atol=1e-5)
    assert torch.allclose(shifted[:, :, :1], torch.full_like(shifted[:, :, :1], -1), atol=1e-5)
    turned, _ = Affine(images(1, 1, 15, 15), degrees=90.0, translate=0.0, scale=0.0)(square, square)
    assert torch.allclose(turned, square.rot90(-1, (2, 3)), atol=1e-4)


def test_affine_fills_labels_with_the_first_class(largest):
    planes = to_network(torch.full((1, 1, 10, 10), 3), LABELS)
    largest()
    augmentation = Affine(images(LABELS, LABELS, 10, 10), degrees=0.0, translate=0.2, scale=0.0, padding="zeros")
    index = augmentation(planes, planes)[0].argmax(1)[0]
    assert (index[2:, 2:] == 3).all()
    assert (index[:2] == 0).all()
    assert (index[:, :2] == 0).all()


@pytest.mark.parametrize("apply_to", ["source", "target", "both"])
def test_colours_change_only_where_asked_and_alike(batch, apply_to):
    source, target = ColourJitter(images(), apply_to=apply_to, hue=0.1)(batch(), batch())
    assert torch.equal(source, batch()) == (apply_to == "target")
    assert torch.equal(target, batch()) == (apply_to == "source")
    if apply_to == "both":
        assert torch.equal(source, target)
    for image in (source, target):
        assert image.min() >= -1 - 1e-5
        assert image.max() <= 1 + 1e-5


@pytest.mark.parametrize("apply_to", ["source", "both"])
def test_the_draws_do_not_depend_on_where_they_are_used(batch, apply_to):
    changed = []
    for where in ("target", apply_to):
        torch.manual_seed(2)
        changed.append(ColourJitter(images(), apply_to=where)(batch(), batch()))
    assert torch.equal(changed[0][1], changed[1][0])


@pytest.mark.parametrize(("name", "factor"), [("brightness", 1.5), ("contrast", 1.5), ("saturation", 1.5)])
def test_each_change_is_the_one_it_is_called(batch, largest, name, factor):
    params = dict.fromkeys(("brightness", "contrast", "saturation", "hue"), 0.0) | {name: factor - 1}
    given = batch() * 0.2
    largest()
    changed = (ColourJitter(images(), **params)(given, given)[0] + 1) / 2
    unit = (given + 1) / 2
    grey = (unit * unit.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    about = {"brightness": 0.0, "contrast": grey.mean((2, 3), keepdim=True), "saturation": grey}[name]
    assert torch.allclose(changed, (about + (unit - about) * factor).clamp(0, 1), atol=1e-4)


def test_hue_turns_around_the_circle(largest):
    red = torch.tensor([1.0, -1, -1]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    largest()
    jitter = ColourJitter(images(), brightness=0.0, contrast=0.0, saturation=0.0, hue=1 / 3)
    assert torch.allclose(jitter(red, red)[0][0, :, 0, 0], torch.tensor([-1.0, 1, -1]), atol=1e-4)


def test_any_channels_without_saturation_and_hue(batch):
    jitter = ColourJitter(images(1, 5), saturation=0.0)
    source, target = jitter(batch(channels=1), batch(channels=5))
    assert not torch.equal(source, batch(channels=1))
    assert not torch.equal(target, batch(channels=5))


@pytest.mark.parametrize(
    ("make", "parameter", "cause"),
    [
        (lambda: JitterCrop(images(), load=15), "load", "16 rows can't be cut out of 15"),
        (lambda: Rotate90(images(width=17)), None, "16 x 17 can't be turned"),
        (lambda: ColourJitter(images(LABELS)), "apply_to", "the source is a label map"),
        (lambda: ColourJitter(images(3, LABELS)), "apply_to", "the target is a label map"),
        (lambda: ColourJitter(images(1)), "saturation", "the source has 1 channels"),
        (lambda: ColourJitter(images(3, 4), saturation=0.0, hue=0.1), "hue", "the target has 4 channels"),
    ],
)
def test_images_that_do_not_fit_are_refused(make, parameter, cause):
    with pytest.raises(ComponentError, match=cause) as caught:
        make()
    assert caught.value.parameter == parameter


def test_a_label_source_leaves_the_target_to_be_coloured(batch, classes):
    planes = to_network(classes(), LABELS)
    source, target = ColourJitter(images(LABELS), apply_to="target")(planes, batch())
    assert torch.equal(source, planes)
    assert not torch.equal(target, batch())


def test_every_augmentation_is_offered_with_described_parameters():
    offered = {component.name: component for component in p2pkit_augmentations()}
    assert list(offered) == ["jitter_crop", "crop", "flip", "rotate90", "affine", "colour_jitter"]
    for component in offered.values():
        assert component.takes_images
        fields = component.parameters.model_fields.values()
        assert all(field.description and field.description.endswith(".") for field in fields)
    assert offered["jitter_crop"].build(images(height=256, width=256), {}).loads == (286, 286)


@pytest.mark.gpu
@pytest.mark.numbers
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("factory", "params"), [*GEOMETRIC, (ColourJitter, {"hue": 0.1})])
def test_nothing_waits_for_the_device(batch, factory, params):
    given = batch().cuda()
    augmentation = factory(images(), **params)
    augmentation(given, given)
    with sync_debug("error"):
        source, target = augmentation(given, given)
    assert torch.equal(source, target)
    assert math.isfinite(source.sum().item())


@geometric
def test_images_beside_a_pair_move_like_its_own(factory, params, batch):
    extras = {"classes": LABELS, "depth": ImageSpec(3)}
    spec = PairSpec(ImageSpec(3), ImageSpec(3), 16, 16, extras=extras)
    labels = to_network(torch.randint(4, (8, 1, 16, 16)), LABELS)
    torch.manual_seed(0)
    moved = factory(spec, **params)(batch(), batch(seed=2), labels, batch())
    torch.manual_seed(0)
    alone = factory(images(), **params)(batch(), batch(seed=2))
    assert all(torch.equal(a, b) for a, b in zip(moved, alone, strict=False))
    assert torch.equal(moved[3], moved[0])
    assert moved[2].unique().tolist() == [-1, 1]
    assert not ColourJitter.moves


@pytest.mark.parametrize(
    ("factory", "params", "side"), [(Flip, {}, 8), (Rotate90, {}, 8), (Crop, {}, 12), (JitterCrop, {"load": 10}, 8)]
)
def test_volumes_move_as_one_in_both(factory, params, side):
    torch.manual_seed(0)
    augmentation = factory(PairSpec(ImageSpec(1), ImageSpec(1), 8, 8, depth=8), **params)
    volume = torch.rand(6, 1, side, side, side) * 2 - 1
    source, target = augmentation(volume, -volume)
    assert source.shape == (6, 1, 8, 8, 8)
    torch.testing.assert_close(source, -target)
    assert len({float(moved[0, 0, 0, 0]) for moved in source}) > 1
    if factory in (Flip, Crop):
        assert all(float(value) in set(volume.flatten().tolist()) for value in source[:, 0, 3, 2, 1])


def test_affine_is_for_images():
    with pytest.raises(ComponentError, match="volumes"):
        Affine(PairSpec(ImageSpec(1), ImageSpec(1), 8, 8, depth=8))
