"""Rules for optimisers."""

from __future__ import annotations

import torch
from torch import Tensor, nn, optim

from p2pkit.testing import given
from p2pkit.testing.rule import require, rule
from p2pkit.testing.subject import Subject


class Trial:
    """An optimiser and the network that it updates.

    Args:
        subject: The optimiser.
        network: The network; by default a new one.
    """

    def __init__(self, subject: Subject, network: nn.Module | None = None) -> None:
        self.network = network or given.network(subject.device)
        made = subject.component.build(given.groups(self.network), subject.params)
        require(isinstance(made, optim.Optimizer), "The factory has to return a torch.optim.Optimizer.")
        self.optimizer: optim.Optimizer = made

    @property
    def weights(self) -> list[Tensor]:
        """The weights as they are now."""
        return [weight.detach().clone() for weight in self.network.parameters()]

    def step(self, count: int = 1) -> float:
        """Take steps towards a network that gives back what it should, and return the last loss."""
        loss = torch.zeros(())
        for number in range(count):
            dice = torch.Generator().manual_seed(number % 4)
            images = torch.rand(4, 3, 4, 4, generator=dice).to(next(self.network.parameters()).device)
            loss = (self.network(images) - images.mean((2, 3))[:, :2]).square().mean()
            self.optimizer.zero_grad()
            torch.autograd.backward(loss)
            self.optimizer.step()
        return float(loss.detach())


@rule("optimizer")
def descends(subject: Subject) -> None:
    """Its steps lead downhill."""
    trial = Trial(subject)
    before, after = trial.step(), trial.step(120)
    require(
        after < before, f"After 120 steps the loss is {after:.4g}, and it was {before:.4g}: turn the update's sign."
    )


@rule("optimizer")
def moves(subject: Subject) -> None:
    """It updates every parameter that has a gradient, and no other."""
    trial = Trial(subject)
    last = list(trial.network.parameters())[-1]
    before = trial.weights
    trial.step()
    same = [torch.equal(one, other) for one, other in zip(before, trial.weights, strict=True)]
    sentence = f"Of {len(same)} parameters with a gradient {sum(same)} stay as they are"
    require(not any(same), f"{sentence}: update those of all groups.")
    before = trial.weights
    trial.optimizer.zero_grad()
    trial.optimizer.step()
    still = torch.equal(before[-1], last)
    require(still, "It moves parameters that have no gradient: leave those out whose `grad` is None.")


@rule("optimizer")
def learning_rate(subject: Subject) -> None:
    """It goes by the learning rate that each of its groups has now."""
    trial = Trial(subject)
    trial.step()
    for group in trial.optimizer.param_groups:
        group["lr"] = group["lr"] * 0
    before = trial.weights
    trial.step()
    moved = [not torch.equal(one, other) for one, other in zip(before, trial.weights, strict=True)]
    sentence = "With a learning rate of 0 it still moves parameters: read `group['lr']` in each step"
    require(not any(moved), f"{sentence}, where the schedule has put it.")


@rule("optimizer")
def resumes(subject: Subject) -> None:
    """What it remembers lies in its `state`, as tensors or numbers: a resumed run goes on to the bit."""
    first = Trial(subject)
    first.step(3)
    second = Trial(subject)
    second.network.load_state_dict(first.network.state_dict())
    held, places = first.optimizer.state_dict()["state"], second.optimizer.state_dict()["param_groups"]
    for moments in held.values():
        wrong = [name for name, value in moments.items() if not isinstance(value, Tensor | int | float | None)]
        require(not wrong, f"Its state holds {', '.join(wrong)}, which is neither a tensor nor a number.")
    copied = {at: {k: v.clone() if isinstance(v, Tensor) else v for k, v in m.items()} for at, m in held.items()}
    second.optimizer.load_state_dict({"state": copied, "param_groups": places})
    for trial in (first, second):
        trial.step(2)
    same = all(torch.equal(one, other) for one, other in zip(first.weights, second.weights, strict=True))
    sentence = "A run that is resumed goes another way: keep what has to last in `self.state[parameter]`"
    require(same, f"{sentence}, where checkpoints find it, and not in attributes or groups.")
