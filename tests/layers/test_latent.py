"""Noise of an encoder against torch's own distributions."""

from __future__ import annotations

import torch
from torch.distributions import Normal, kl_divergence

from p2pkit.layers import draw_latent, kl_to_normal


def test_draws_have_the_distributions_mean_and_deviation_and_gradients_reach_both():
    torch.manual_seed(0)
    mean = torch.full((4000, 2), 3.0, requires_grad=True)
    log_var = torch.full((4000, 2), -2.0, requires_grad=True)
    drawn = draw_latent(mean, log_var)
    torch.testing.assert_close(drawn.mean(0), mean[0], atol=0.03, rtol=0)
    torch.testing.assert_close(drawn.std(0), (log_var[0] / 2).exp(), atol=0.02, rtol=0)
    drawn.square().sum().backward()
    assert mean.grad.abs().min() > 0
    assert log_var.grad.abs().max() > 0


def test_the_divergence_is_torchs_and_a_mean_over_the_batch():
    torch.manual_seed(0)
    mean, log_var = torch.randn(3, 5), torch.randn(3, 5)
    expected = kl_divergence(Normal(mean, (log_var / 2).exp()), Normal(0.0, 1.0)).sum(1).mean()
    torch.testing.assert_close(kl_to_normal(mean, log_var), expected)
    torch.testing.assert_close(kl_to_normal(mean.repeat(2, 1), log_var.repeat(2, 1)), expected)
    assert kl_to_normal(torch.zeros(2, 5), torch.zeros(2, 5)) == 0
