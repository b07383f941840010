"""A plugin of all that stands beside images: a class, numbers, an image, noise, and what a generator makes of them."""

import torch
from torch import nn

import p2pkit

P2PKIT_PLUGIN_API = 2


class Seasons:
    """Random images, which the season shifts; the depth is the source's first channel."""

    splits = ("train", "val")

    def __init__(self):
        season = p2pkit.VectorSpec(3, "class", ("winter", "spring", "summer"))
        extras = {"season": season, "depth": p2pkit.ImageSpec(1), "age": p2pkit.VectorSpec(2)}
        self.spec = p2pkit.PairSpec(p2pkit.ImageSpec(3), p2pkit.ImageSpec(3), 8, 8, extras=extras)

    def pairs(self, split):
        dice = torch.Generator().manual_seed(len(split))
        return [self._pair(f"{split}-{number}", number, dice) for number in range(8)]

    def _pair(self, name, number, dice):
        source = torch.randint(256, (3, 8, 8), generator=dice, dtype=torch.uint8)
        extras = {"season": torch.tensor(number % 3), "depth": source[:1].clone(), "age": torch.tensor([number, 0.5])}
        return p2pkit.Pair(source, source.roll(number % 3, 0), name, extras)


class Film(nn.Module):
    """A convolution, scaled by a class and shifted by noise."""

    def __init__(self, images):
        super().__init__()
        self.first = nn.Conv2d(4, 8, 3, padding=1)
        self.film = nn.Linear(images.extras["season"].size, 16)
        self.noise = nn.Linear(4, 8)
        self.last = nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, source, season, depth, z):
        assert torch.equal(depth, source[:, :1]), "an augmentation has moved them apart"
        gain, shift = self.film(season)[:, :, None, None].chunk(2, 1)
        hidden = self.first(torch.cat([source, depth], 1)) * (1 + gain) + shift + self.noise(z)[:, :, None, None]
        return p2pkit.Made(self.last(hidden.relu()).tanh(), {"hidden": hidden})


class Judge(nn.Module):
    """Patches, judged by the season and by what the generator made beside its fake."""

    def __init__(self, images):
        super().__init__()
        self.first = nn.Conv2d(6 + images.extras["season"].size + 8, 8, 4, 2, 1)
        self.last = nn.Conv2d(8, 1, 3, padding=1)

    def forward(self, source, image, season, *, hidden):
        planes = season[:, :, None, None].expand(-1, -1, *image.shape[2:])
        return p2pkit.Verdict((self.last(self.first(torch.cat([source, image, planes, hidden], 1)).relu()),))


class Diverse:
    """Another noise makes another fake."""

    def generator(self, view):
        assert set(view.extras) == {"season", "depth", "age", "z", "hidden"}
        other = view.generate(view.source, z=-view.extras["z"])
        view.log("noise", view.extras["z"].abs().sum())
        return -(other - view.fake).abs().mean() + 0.1 * view.extras["hidden"].square().mean()

    def discriminator(self, view):
        assert not view.extras["hidden"].requires_grad
        view.log("history", float(view.generate(view.source).requires_grad))
        return view.discriminate(view.source, view.fake, season=view.extras["season"].roll(1, 1)).logits[0].mean()


@p2pkit.hookimpl
def p2pkit_datasets():
    yield p2pkit.Dataset("seasons", Seasons)


@p2pkit.hookimpl
def p2pkit_generators():
    yield p2pkit.Generator("film", Film)


@p2pkit.hookimpl
def p2pkit_discriminators():
    yield p2pkit.Discriminator("judge", Judge)


@p2pkit.hookimpl
def p2pkit_losses():
    yield p2pkit.Loss("diverse", Diverse)
