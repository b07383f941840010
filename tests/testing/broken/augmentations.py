"""Augmentations of which each breaks the one rule that it is named after."""

import random

import torch

import p2pkit


class Fine:
    """An augmentation with a fault."""

    def __call__(self, source, target):
        turn = torch.rand(len(source), 1, 1, 1) < 0.5
        return tuple(torch.where(turn, image.flip(3), image) for image in (source, target))


class TooSmall(Fine):
    """An augmentation with a fault."""

    def __call__(self, source, target):
        return tuple(image[..., 1:] for image in super().__call__(source, target))


class TooBright(Fine):
    """An augmentation with a fault."""

    def __init__(self, images: p2pkit.PairSpec) -> None:
        if "labels" in (images.source.kind, images.target.kind):
            raise p2pkit.ComponentError("label maps can't be brighter")

    def __call__(self, source, target):
        return tuple(image + 0.5 for image in super().__call__(source, target))


class Apart(Fine):
    """An augmentation with a fault."""

    def __call__(self, source, target):
        turns = [torch.rand(len(source), 1, 1, 1) < 0.5 for _ in range(2)]
        images = source, target
        return tuple(torch.where(turn, image.flip(3), image) for turn, image in zip(turns, images, strict=True))


class Mixes(Fine):
    """An augmentation with a fault."""

    def __call__(self, source, target):
        return tuple(image * 0.9 for image in super().__call__(source, target))


class OwnDice(Fine):
    """An augmentation with a fault."""

    def __call__(self, source, target):
        torch.manual_seed(random.SystemRandom().randrange(2**32))
        return super().__call__(source, target)


class InPlace(Fine):
    """An augmentation with a fault."""

    def __call__(self, source, target):
        return source.copy_(source.flip(3)), target.copy_(target.flip(3))


class LeavesBehind(Fine):
    """An augmentation with a fault."""

    def __call__(self, source, target, *extras):
        return *super().__call__(source, target), *extras


@p2pkit.hookimpl
def p2pkit_augmentations():
    yield p2pkit.Augmentation("shape", TooSmall)
    yield p2pkit.Augmentation("shape_2", TooBright)
    yield p2pkit.Augmentation("same_geometry", Apart)
    yield p2pkit.Augmentation("moves_extras", LeavesBehind)
    yield p2pkit.Augmentation("labels", Mixes)
    yield p2pkit.Augmentation("seed", OwnDice)
    yield p2pkit.Augmentation("keeps_input", InPlace)
    yield p2pkit.Augmentation("nothing", Fine)
