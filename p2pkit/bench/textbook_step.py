"""The textbook step that everything is measured against: fp32, NCHW, eager, Adam parameter by parameter."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional


class EagerStep:
    """What the PyTorch reference does in a step, written as a tutorial would.

    Args:
        generator: The generator.
        discriminator: The discriminator.

    Source: the PyTorch reference's pix2pix model: cross entropy and 100 L1, the discriminator's loss halved.
    """

    def __init__(self, generator: nn.Module, discriminator: nn.Module) -> None:
        self.generator = generator
        self.discriminator = discriminator
        plain = {"lr": 2e-4, "betas": (0.5, 0.999), "fused": False, "foreach": False}
        self.optimizers = [torch.optim.Adam(net.parameters(), **plain) for net in (generator, discriminator)]  # type: ignore[arg-type]  # mixed values

    def __call__(self, source: Tensor, target: Tensor) -> None:
        """Update both networks."""
        fake = self.generator(source)
        self._discriminator_update(source, target, fake.detach())
        self._generator_update(source, target, fake)

    def _discriminator_update(self, source: Tensor, target: Tensor, fake: Tensor) -> None:
        for parameter in self.discriminator.parameters():
            parameter.requires_grad_(True)
        self.optimizers[1].zero_grad()
        loss = self._judged(source, fake, torch.zeros_like) + self._judged(source, target, torch.ones_like)
        torch.autograd.backward(0.5 * loss)
        self.optimizers[1].step()

    def _generator_update(self, source: Tensor, target: Tensor, fake: Tensor) -> None:
        for parameter in self.discriminator.parameters():
            parameter.requires_grad_(False)
        self.optimizers[0].zero_grad()
        loss = self._judged(source, fake, torch.ones_like) + 100 * functional.l1_loss(fake, target)
        torch.autograd.backward(loss)
        self.optimizers[0].step()

    def _judged(self, source: Tensor, image: Tensor, label: Callable[[Tensor], Tensor]) -> Tensor:
        logits = [
            functional.binary_cross_entropy_with_logits(scale, label(scale))
            for scale in self.discriminator(source, image).logits
        ]
        return torch.stack(logits).mean()
