"""Adam, and Adam with decoupled weight decay."""

from __future__ import annotations

from torch import optim

from p2pkit.builtin.optimizers.fields import Betas, Decay, Eps, Groups, device_type


def adam(groups: Groups, *, betas: Betas = (0.5, 0.999), eps: Eps = 1e-8, weight_decay: Decay = 0.0) -> optim.Optimizer:
    """Adam, with the moments' decay that GANs are trained with.

    Source: Kingma and Ba 2014, arXiv:1412.6980; betas of Radford et al. 2015, arXiv:1511.06434.
    """
    return _made(optim.Adam, groups, betas, eps, weight_decay)


def adamw(
    groups: Groups, *, betas: Betas = (0.5, 0.999), eps: Eps = 1e-8, weight_decay: Decay = 0.0
) -> optim.Optimizer:
    """Adam whose weight decay is no part of the gradient.

    Source: Loshchilov and Hutter 2017, arXiv:1711.05101.
    """
    return _made(optim.AdamW, groups, betas, eps, weight_decay)


def _made(
    kind: type[optim.Adam], groups: Groups, betas: tuple[float, float], eps: float, weight_decay: float
) -> optim.Optimizer:
    where = device_type(groups)
    options = {"fused": where in ("cuda", "cpu"), "capturable": where == "cuda"}
    return kind(groups, betas=betas, eps=eps, weight_decay=weight_decay, **options)
