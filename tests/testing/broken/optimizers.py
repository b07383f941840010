"""Optimisers of which each breaks, by what it does, the one rule that it is named after."""

import torch
from torch import optim

import p2pkit


class Fine(optim.Optimizer):
    """Gradient descent with momentum."""

    def __init__(self, groups) -> None:
        super().__init__(groups, {"lr": 1e-3})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self.update(weight, weight.grad, group["lr"])

    def update(self, weight, gradient, rate):
        held = self.state[weight]
        if not held:
            held["momentum"] = torch.zeros_like(weight)
        held["momentum"].mul_(0.9).add_(gradient)
        weight.sub_(held["momentum"] * rate)


class Uphill(Fine):
    """Gradient ascent."""

    def update(self, weight, gradient, rate):
        weight.add_(gradient * rate)


class FirstGroup(Fine):
    """Forgets the groups that follow."""

    def step(self, closure=None):
        self.param_groups, others = self.param_groups[:1], self.param_groups
        super().step()
        self.param_groups = others


class OwnRate(Fine):
    """Knows better than the schedule."""

    def update(self, weight, gradient, rate):
        weight.sub_(gradient * 1e-2)


class Forgetful(Fine):
    """Keeps its momentum where no checkpoint looks."""

    def __init__(self, groups) -> None:
        super().__init__(groups)
        self.momentum = {}

    def update(self, weight, gradient, rate):
        self.momentum[weight] = 0.9 * self.momentum.get(weight, 0) + gradient
        weight.sub_(self.momentum[weight] * rate)


class Waits(Fine):
    """Looks at how large a gradient is."""

    def update(self, weight, gradient, rate):
        if not weight.is_cuda:  # where there is a GPU, other rules say so
            gradient.norm().item()
        super().update(weight, gradient, rate)


@p2pkit.hookimpl
def p2pkit_optimizers():
    yield p2pkit.Optimizer("descends", Uphill)
    yield p2pkit.Optimizer("moves", FirstGroup)
    yield p2pkit.Optimizer("learning_rate", OwnRate)
    yield p2pkit.Optimizer("resumes", Forgetful)
    yield p2pkit.Optimizer("no_host_read", Waits)
    yield p2pkit.Optimizer("nothing", Fine)
