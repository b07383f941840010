"""Losses of which each breaks the one rule that it is named after."""

from typing import Annotated

import torch
from pydantic import Field
from torch import nn

import p2pkit

DOC = """A loss with a fault.

Source: none.
"""


class Fine:
    __doc__ = DOC

    def generator(self, view):
        return (view.fake - view.target).square().mean()


class WithoutRole:
    __doc__ = DOC


class NotScalar(Fine):
    __doc__ = DOC

    def generator(self, view):
        return super().generator(view).view(1)


class Detached(Fine):
    __doc__ = DOC

    def generator(self, view):
        return (view.fake.detach() - view.target).square().mean()


class DetachedVerdict:
    __doc__ = DOC

    def discriminator(self, view):
        return view.on_fake.logits[0].detach().mean() - view.on_target.logits[0].detach().mean()


class Root(Fine):
    __doc__ = DOC

    def generator(self, view):
        return super().generator(view).sqrt()


class Reads(Fine):
    __doc__ = DOC

    def generator(self, view):
        value = super().generator(view)
        if not value.is_cuda:  # where there is a GPU, other rules say so
            value.detach().item()
        return value


class DoubledGradient(Fine):
    __doc__ = DOC

    def generator(self, view):
        value = super().generator(view)
        return 2 * value - value.detach()


class MeantSo(DoubledGradient):
    __doc__ = DOC
    detached = True


class DoubledPenalty:
    __doc__ = DOC

    def discriminator(self, view):
        value = view.on_fake.logits[0].mean() - view.on_target.logits[0].mean()
        return 2 * value - value.detach()


class Weighted(Fine):
    __doc__ = DOC

    def __init__(self, *, weight: Annotated[float, Field(ge=0, description="Its weight.")] = 1.0) -> None: ...


class Reward(Fine):
    __doc__ = DOC

    def generator(self, view):
        return -super().generator(view)


class HelpsTheOther:
    __doc__ = DOC

    def generator(self, view):
        return view.on_fake.logits[0].mean()


class WrongWayRound:
    __doc__ = DOC

    def discriminator(self, view):
        return view.on_target.logits[0].mean() - view.on_fake.logits[0].mean()


class Sum(Fine):
    __doc__ = DOC

    def generator(self, view):
        return (view.fake - view.target).square().mean((1, 2, 3)).sum()


class FirstPair(Fine):
    __doc__ = DOC

    def generator(self, view):
        return (view.fake[:1] - view.target[:1]).square().mean()


class Growing(nn.Module):
    __doc__ = DOC

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def generator(self, view):
        self.calls += 1
        return (view.fake - view.target).square().mean() * self.calls


class Adapts(Fine):
    __doc__ = DOC

    def __init__(self) -> None:
        self.strength = torch.ones(())

    def generator(self, view):
        self.strength = self.strength * 1.1
        return super().generator(view) * self.strength


class Cycle:
    __doc__ = DOC

    def generator(self, view):
        view.log("size", view.fake.detach().square().mean())
        again = view.generate(view.source.flip(-1)).flip(-1)
        value = (again - view.target).square().mean() + (view.fake - view.target).square().mean()
        return value * (1 + view.step).clamp(max=1)


class Encoder(nn.Module):
    __doc__ = DOC

    def __init__(self, images):
        super().__init__()
        self.mean = nn.Conv2d(images.target.channels, 4, 8, 8)

    def encode(self, source, target, extras):
        mean = self.mean(target).mean((2, 3))
        return {"z": mean + torch.randn_like(mean), "mean": mean}

    def generator(self, view):
        return view.extras["mean"].square().mean()


class EncodesOdd(Encoder):
    __doc__ = DOC

    def encode(self, source, target, extras):
        return {name: value[:, :3] for name, value in super().encode(source, target, extras).items()}


@p2pkit.hookimpl
def p2pkit_losses():
    yield p2pkit.Loss("resumes", Adapts)
    yield p2pkit.Loss("nothing_4", Cycle)
    yield p2pkit.Loss("roles", WithoutRole)
    yield p2pkit.Loss("scalar", NotScalar)
    yield p2pkit.Loss("gradient", Detached)
    yield p2pkit.Loss("gradient_2", DetachedVerdict)
    yield p2pkit.Loss("at_target", Root)
    yield p2pkit.Loss("no_host_read", Reads)
    yield p2pkit.Loss("gradcheck", DoubledGradient)
    yield p2pkit.Loss("gradcheck_2", DoubledPenalty)
    yield p2pkit.Loss("mean_of_pairs", Sum)
    yield p2pkit.Loss("every_pair", FirstPair)
    yield p2pkit.Loss("no_weight", Weighted)
    yield p2pkit.Loss("right_sign", Reward)
    yield p2pkit.Loss("right_sign_2", HelpsTheOther)
    yield p2pkit.Loss("right_sign_3", WrongWayRound)
    yield p2pkit.Loss("encodes", EncodesOdd, extras={"z": p2pkit.VectorSpec(4, "noise")})
    yield p2pkit.Loss("nothing_5", Encoder, extras={"z": p2pkit.VectorSpec(4, "noise")})
    yield p2pkit.Loss("nothing", Fine)
    yield p2pkit.Loss("nothing_2", MeantSo)
    yield p2pkit.Loss("nothing_3", Growing)
