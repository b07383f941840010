"""The adversarial loss in its four common forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from p2pkit import ComponentError, Verdict, View

Mode = Annotated[
    Literal["vanilla", "lsgan", "hinge", "wgan"],
    Field(description="Cross entropy (the paper's), least squares, hinge, or the difference of means."),
]


class GanLoss:
    """The adversarial loss of both players, averaged over a verdict's maps and scales.

    The discriminator's is the sum of what it pays for real and for fake pairs; the paper halves it, which is the
    engine's to do. The generator's is the non-saturating one: it pays for fakes that are not taken for real.

    Args:
        mode: vanilla, lsgan, hinge or wgan.
        real_label: What the logits (vanilla: their sigmoid) of real pairs, and to the generator's mind of fakes,
            should be; vanilla and lsgan only.
        fake_label: The same for what the discriminator should say of fakes.

    Raises:
        ComponentError: Labels are given to a mode that has none.

    Source: Goodfellow et al. 2014, arXiv:1406.2661, section 3; Isola et al. 2017, arXiv:1611.07004, section 3.3;
    Mao et al. 2017, arXiv:1611.04076, equation 9; Lim and Ye 2017, arXiv:1705.02894 (hinge);
    Arjovsky et al. 2017, arXiv:1701.07875, equation 2 (wgan).
    """

    def __init__(
        self,
        *,
        mode: Mode = "vanilla",
        real_label: Annotated[
            float, Field(ge=-1, le=1, description="Label of real pairs; below 1 to smooth it.")
        ] = 1.0,
        fake_label: Annotated[
            float, Field(ge=-1, le=1, description="Label of fake pairs; above 0 to smooth it.")
        ] = 0.0,
    ) -> None:
        labels = {"real_label": (real_label, 1.0), "fake_label": (fake_label, 0.0)}
        changed = [name for name, (label, default) in labels.items() if label != default]
        if mode in ("hinge", "wgan") and changed:
            remedy = f"leave {' and '.join(changed)} out, or use mode vanilla or lsgan"
            raise ComponentError(f"mode {mode} has no labels", remedy=remedy, parameter=changed[0])
        if mode == "vanilla" and min(real_label, fake_label) < 0:
            negative = "real_label" if real_label < 0 else "fake_label"
            raise ComponentError(
                "a label of mode vanilla is a probability", remedy="use a label from 0 to 1", parameter=negative
            )
        self._real, self._fake, self._wanted = _judgements(mode, real_label, fake_label)
        self.threshold = _threshold(mode, (real_label + fake_label) / 2)
        """Logit above which a pair is taken for real; None for wgan, whose judgements have no zero."""

    def generator(self, view: View) -> Tensor:
        """What the generator pays for fakes that are not taken for real."""
        return _mean(view.on_fake, self._wanted)

    def discriminator(self, view: View) -> Tensor:
        """What the discriminator pays for misjudging real and fake pairs."""
        return _mean(view.on_target, self._real) + _mean(view.on_fake, self._fake)


Judgement = Callable[[Tensor], Tensor]


def _judgements(mode: str, real_label: float, fake_label: float) -> tuple[Judgement, Judgement, Judgement]:
    """Return the costs of logits: of real pairs and of fakes to the discriminator, and of fakes to the generator."""
    if mode == "hinge":
        return lambda real: (1 - real).relu().mean(), lambda fake: (1 + fake).relu().mean(), lambda fake: -fake.mean()
    if mode == "wgan":
        return lambda real: -real.mean(), lambda fake: fake.mean(), lambda fake: -fake.mean()
    distance = functional.mse_loss if mode == "lsgan" else functional.binary_cross_entropy_with_logits

    def to(label: float) -> Judgement:
        return lambda logits: distance(logits, torch.full_like(logits, label))

    return to(real_label), to(fake_label), to(real_label)


def _threshold(mode: str, middle: float) -> float | None:
    """Return the logit half way between what the discriminator should say of real pairs and of fakes."""
    if mode == "vanilla":
        return math.log(middle / (1 - middle)) if 0 < middle < 1 else None
    return {"lsgan": middle, "hinge": 0.0}.get(mode)


def _mean(verdict: Verdict, judgement: Judgement) -> Tensor:
    return torch.stack([judgement(logits.float()) for logits in verdict.logits]).mean()
