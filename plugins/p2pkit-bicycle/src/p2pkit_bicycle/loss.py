"""What ties noise to fakes: from a target to its noise and back, and from noise to a fake and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import torch
from p2pkit import ComponentError, PairSpec, Verdict, View
from p2pkit.layers import Width, condition_size, draw_latent, kl_to_normal
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call

from p2pkit_bicycle.discriminator import Conditional, Layers, PatchPair
from p2pkit_bicycle.encoder import NoiseEncoder
from p2pkit_bicycle.generator import NoiseName

Say = Annotated[float, Field(ge=0)]


class Bicycle(nn.Module):
    """BicycleGAN's two cycles, with the encoder and the second discriminator, which learn beside the run's networks.

    In training the noise of a pair's fake is read from its target by the encoder, so that a run's own losses (`gan`,
    `l1`) make of it the conditional VAE-GAN. The conditional latent regressor is in here: another fake, made of drawn
    noise, is judged by a discriminator of its own, and its noise is read back.

    Args:
        images: What the run's images are.
        noise: What the config calls the noise.
        kl: How much it counts that encoded noise is unlike drawn noise.
        latent: How much it counts that the noise of the other fake is not read back; only the generator learns by it.
        gan: How much it counts that the other fake is not taken for real, by least squares.
        encoder_width: Channels of the encoder's first layer.
        halvings: How often the encoder halves the sides before it takes the mean.
        judge_width: Channels of the discriminator's first layer.
        judge_layers: Halvings inside the discriminator.
        conditional: Whether the discriminator sees the source too.

    Raises:
        p2pkit.ComponentError: There is no such noise, or the images are too small for the encoder or the discriminator.

    Source: Zhu et al. 2017, arXiv:1711.11586, equations 4 to 9; junyanz/BicycleGAN, its defaults.
    """

    def __init__(
        self,
        images: PairSpec,
        *,
        noise: NoiseName = "z",
        kl: Annotated[Say, Field(description="Share of the divergence of encoded noise from drawn noise.")] = 0.01,
        latent: Annotated[Say, Field(description="Share of the distance of drawn noise from what is read back.")] = 0.5,
        gan: Annotated[Say, Field(description="Share of the second discriminator's loss, a mean over scales.")] = 2.0,
        encoder_width: Width = 64,
        halvings: Annotated[int, Field(ge=2, le=8, description="Halvings inside the encoder.")] = 5,
        judge_width: Width = 64,
        judge_layers: Layers = 3,
        conditional: Conditional = False,
    ) -> None:
        super().__init__()
        self.noise, self.kl, self.latent, self.gan = noise, kl, latent, gan
        size = condition_size(images, noise, "noise")
        self.encoder = NoiseEncoder(images, size, width=encoder_width, halvings=halvings)
        try:
            self.judge = PatchPair(images, layers=judge_layers, width=judge_width, conditional=conditional)
        except ComponentError as error:
            raise ComponentError(error.cause, remedy=error.remedy, parameter="judge_layers") from None

    def encode(self, source: Tensor, target: Tensor, extras: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Read each pair's noise from its target."""
        mean, log_var = self.encoder(target)
        read = {f"{self.noise}_mean": mean, f"{self.noise}_log_var": log_var}
        return {self.noise: draw_latent(mean, log_var), **read}

    def generator(self, view: View) -> Tensor:
        """What the generator and the encoder pay beside the run's own losses."""
        mean, log_var = (view.extras[f"{self.noise}_{name}"] for name in ("mean", "log_var"))
        drawn, other = self._other(view)
        read, _ = functional_call(self.encoder, _fixed(self.encoder), (other,))
        verdict = functional_call(self.judge, _fixed(self.judge), (view.source, other))
        terms: dict[str, Tensor] = {
            "kl": kl_to_normal(mean, log_var),
            "latent": (read - drawn).abs().mean(),
            "gan": _distance(verdict, 1.0),
        }
        for name, value in terms.items():
            view.log(name, value)
        return self.kl * terms["kl"] + self.latent * terms["latent"] + self.gan * terms["gan"]

    def discriminator(self, view: View) -> Tensor:
        """What the second discriminator pays for misjudging targets, and fakes of drawn noise."""
        _, other = self._other(view)
        real, fake = self.judge(view.source, view.target), self.judge(view.source, other)
        return self.gan * (_distance(real, 1.0) + _distance(fake, 0.0))

    def _other(self, view: View) -> tuple[Tensor, Tensor]:
        drawn = torch.randn_like(view.extras[self.noise])
        return drawn, view.generate(view.source, **{self.noise: drawn})


def _fixed(network: nn.Module) -> dict[str, Tensor]:
    """Return a network's weights, to ask it while it is to learn nothing from what it answers."""
    return {name: value.detach() for name, value in network.named_parameters()}


def _distance(verdict: Verdict, label: float) -> Tensor:
    return torch.stack([(logits.float() - label).square().mean() for logits in verdict.logits]).mean()
