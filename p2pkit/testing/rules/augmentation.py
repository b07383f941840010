"""Rules for augmentations."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from p2pkit.errors import ComponentError
from p2pkit.extras.calling import moved_along
from p2pkit.images.convert import to_network
from p2pkit.testing.rule import Skip, require, rule
from p2pkit.testing.subject import COLOUR, LABELS, Subject
from p2pkit.types import ImageSpec, PairSpec, optional

COUNT, DRAWS = 8, 4


def _patterns(images: PairSpec, size: tuple[int, int], channels: int) -> Tensor:
    """Return pairs of equal channels, each image a texture in which every place can be told."""
    dice = torch.Generator().manual_seed(4)
    coarse = torch.rand(COUNT, 1, max(2, images.height // 8), max(2, images.width // 8), generator=dice) * 1.6 - 0.8
    texture = functional.interpolate(coarse, size, mode="bicubic", align_corners=False)
    return texture.clamp(-0.9, 0.9).repeat(1, channels, 1, 1)


def _sizes(subject: Subject, augmentation: object, images: PairSpec) -> list[tuple[int, int]]:
    """Return the sizes in which it may be given images: the run's, and what it asks for."""
    own = images.height, images.width
    height, width = optional.loads(augmentation) or own
    return list(dict.fromkeys([own, (height, width)]))


@rule("augmentation")
def shape(subject: Subject) -> None:
    """It returns both images with the run's size, their own channels, and finite values in [-1, 1]."""
    for images in subject.specs:
        augmentation = subject.build(images)
        for size in _sizes(subject, augmentation, images):
            given = PairSpec(images.source, images.target, *size)
            source, target = subject.batch(given)
            returned = augmentation(source, target)
            require(isinstance(returned, tuple) and len(returned) == 2, "Return a tuple of source and target.")
            for side, before, after in zip(("source", "target"), (source, target), returned, strict=True):
                wanted = (*before.shape[:2], images.height, images.width)
                sentence = f"Its {side} has shape {tuple(after.shape)}, where {wanted} is wanted"
                require(after.shape == wanted, f"{sentence}: keep channels, and return the run's size.")
                require(after.dtype == before.dtype, f"Its {side} was {before.dtype} and is {after.dtype}: keep it.")
                require(after.isfinite().all(), f"Its {side} has values that are not finite.")
                low, high = float(after.min()), float(after.max())
                sentence = f"Its {side} has values from {low:.3g} to {high:.3g}: keep them in [-1, 1] (`clamp`)."
                require(low >= -1.001 and high <= 1.001, sentence)


@rule("augmentation")
def same_geometry(subject: Subject) -> None:
    """Source and target are moved alike."""
    images = subject.images
    augmentation = subject.build(images)
    size = _sizes(subject, augmentation, images)[-1]
    channels = images.source.channels, images.target.channels
    source, target = (_patterns(images, size, count).to(subject.device) for count in channels)
    for draw in range(DRAWS):
        torch.manual_seed(draw)
        likeness = _likeness(*augmentation(source.clone(), target.clone()))
        sentence = "Source and target are moved differently: draw once, and apply what was drawn to both."
        require(likeness > 0.9, sentence)


@rule("augmentation")
def moves_extras(subject: Subject) -> None:
    """Images beside source and target are moved like these, where it takes them."""
    images = replace(subject.images, extras={"beside": ImageSpec(1)})
    augmentation = subject.build(images)
    if "beside" not in moved_along(augmentation, images):
        alone = "it takes two images alone, and `check` refuses it where there are more"
        raise Skip(alone if optional.moves(augmentation) else "it moves nothing")
    size = _sizes(subject, augmentation, images)[-1]
    given = [_patterns(images, size, spec.channels).to(subject.device) for spec in images.images.values()]
    for draw in range(DRAWS):
        torch.manual_seed(draw)
        source, _, beside = augmentation(*(image.clone() for image in given))
        require(_likeness(source, beside) > 0.9, "Images beside source and target are moved differently than these.")


def _likeness(one: Tensor, other: Tensor) -> float:
    """Return the correlation of the two images of the pair in which it is lowest, whatever their colours."""
    first, second = (image.mean(1).flatten(1) for image in (one, other))
    first, second = (values - values.mean(1, keepdim=True) for values in (first, second))
    found = functional.cosine_similarity(first, second).abs()
    return float(found.min())


@rule("augmentation")
def labels(subject: Subject) -> None:
    """A label map stays one: in each pixel one class's plane is 1 and the others are -1."""
    tried = 0
    for form in ((LABELS, COLOUR), (COLOUR, LABELS)):
        images = PairSpec(*form, subject.images.height, subject.images.width)
        try:
            augmentation = subject.build(images)
        except ComponentError:
            continue
        tried += 1
        size = _sizes(subject, augmentation, images)[-1]
        for draw in range(DRAWS):
            torch.manual_seed(draw)
            returned = augmentation(*(_blocks(spec, size).to(subject.device) for spec in form))
            planes = returned[0 if form[0].kind == "labels" else 1]
            whole = ((planes == 1) | (planes == -1)).all() and ((planes == 1).sum(1) == 1).all()
            sentence = "A label map comes back with mixed or missing classes: move it to the nearest pixel and leave"
            require(whole, f"{sentence} its values alone, or refuse label maps by p2pkit.ComponentError.")
    if not tried:
        raise Skip("it refuses label maps")


def _blocks(spec: ImageSpec, size: tuple[int, int]) -> Tensor:
    """Return images, or label maps, of blocks of 4 x 4 pixels."""
    dice = torch.Generator().manual_seed(6)
    coarse = torch.randint(spec.channels, (COUNT, 1, -(-size[0] // 4), -(-size[1] // 4)), generator=dice)
    fine = coarse.repeat_interleave(4, 2).repeat_interleave(4, 3)[..., : size[0], : size[1]]
    if spec.kind == "labels":
        return to_network(fine, spec)
    return (fine.float() / (spec.channels - 1) * 1.6 - 0.8).repeat(1, spec.channels, 1, 1)


@rule("augmentation")
def seed(subject: Subject) -> None:
    """The same seed of torch gives the same change."""
    augmentation = subject.build()
    batch = subject.batch(count=COUNT)
    changed = []
    for _ in range(2):
        torch.manual_seed(11)
        changed.append(augmentation(*(image.clone() for image in batch)))
    alike = all(torch.equal(a, b) for a, b in zip(*changed, strict=True))
    require(alike, "The same seed gives another change: draw from torch's generator, not from random or numpy.")


@rule("augmentation")
def keeps_input(subject: Subject) -> None:
    """The images it was given are left as they were."""
    augmentation = subject.build()
    batch = subject.batch(count=COUNT)
    before = [image.clone() for image in batch]
    augmentation(*batch)
    alike = all(torch.equal(a, b) for a, b in zip(batch, before, strict=True))
    require(alike, "It changes the images it was given: return new ones, without functions that end in `_`.")
