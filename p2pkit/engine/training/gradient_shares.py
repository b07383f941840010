"""How much each term has to say: its part of the gradient that reaches the generator's last layer."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from p2pkit.engine.build.assembly import Assembly
from p2pkit.engine.data.loader import Loader
from p2pkit.engine.device.precision import forked, uncompiled

FEW = 4
"""Pairs that are looked at: memory for more may be missing where the step is a CUDA graph, which keeps its own."""


class GradientShares:
    """Measures the terms' gradients on a few training pairs, always the same, outside of the training step.

    Weights, statistics, gradients and random numbers are left as they were.

    Args:
        assembly: The run.
        loader: Training batches.
    """

    def __init__(self, assembly: Assembly, loader: Loader) -> None:
        self.assembly = assembly
        self.loader = loader
        self._pairs: tuple[Tensor, ...] | None = None

    def __call__(self) -> dict[str, float]:
        """Measure.

        Returns:
            For each term of the generator the norm of its weighted gradient, its share of the sum of all norms, and
            its cosine to the whole gradient; nothing for a generator without parameters.
        """
        step = self.assembly.step
        terms = [term for term in step.objective.terms if term.judges("generator")]
        modules = [player.network for player in self.assembly.players.named.values()]
        modules += [term.loss for term in terms if isinstance(term.loss, nn.Module)]
        one_by_one = step.forward.precision.one_by_one()
        with preserve_state(modules, self.assembly.place.device), uncompiled(), one_by_one:
            pairs = self._fixed()
            made = step.forward.fakes(pairs)
            view = step.forward.view(pairs, made)
            weight = last_weight(made.fake)
            if weight is None:
                return {}
            gradients = []
            for term in terms:
                value = step.forward.precision.scale(term.part.weight * term.value("generator", view).float())
                gradients.append(_gradient(value, weight) / step.forward.precision.scaler.get_scale())
        return _described([term.name for term in terms], torch.stack(gradients))

    def _fixed(self) -> tuple[Tensor, ...]:
        if self._pairs is None:
            batch = next(self.loader.epoch())
            self._pairs = tuple(each[:FEW].clone() for each in batch.tensors)  # the rest is not kept
        return self._pairs


def last_weight(output: Tensor) -> Tensor | None:
    """Return the weight that is nearest to an output: of more than one dimension, fewest operations away.

    The graph of the forward pass is asked, and not the order in which a network's layers were declared.

    Args:
        output: What a network made, with its history.
    """
    nodes = deque([output.grad_fn])
    seen = set(nodes)
    while nodes:
        node = nodes.popleft()
        if node is None:
            continue
        variable: Tensor | None = getattr(node, "variable", None)
        if variable is not None and variable.ndim > 1:
            return variable
        following = [after for after, _ in node.next_functions if after not in seen]
        seen.update(following)
        nodes.extend(following)
    return None


@contextmanager
def preserve_state(modules: Sequence[nn.Module], device: torch.device) -> Iterator[None]:
    """Put buffers and random numbers back to what they were, whatever forward passes do to them.

    Args:
        modules: Networks in training mode, whose statistics a forward pass changes.
        device: Where they are.
    """
    owners = {owner for module in modules for owner in module.modules()}
    buffers = [(o, name, b, b.clone()) for o in owners for name, b in o._buffers.items() if b is not None]
    before = random.getstate(), np.random.get_state()  # noqa: NPY002  plugins may use the global generator
    with forked(device), torch.enable_grad():
        torch.manual_seed(0)
        try:
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])  # noqa: NPY002  as above
            with torch.no_grad():
                for owner, name, buffer, value in buffers:
                    owner._buffers[name] = buffer.copy_(value)


def _gradient(value: Tensor, weight: Tensor) -> Tensor:
    """Return a term's gradient as a vector; zero where the term does not depend on the weight."""
    if not value.requires_grad:
        return torch.zeros_like(weight).flatten().float()
    (gradient,) = torch.autograd.grad(value, weight, retain_graph=True, materialize_grads=True, allow_unused=True)
    return gradient.flatten().float()


def _described(names: Sequence[str], gradients: Tensor) -> dict[str, float]:
    """Describe each term's gradient, read from the device at once.

    Shape: (terms, values).
    """
    least = torch.finfo(gradients.dtype).tiny
    norms, total = gradients.norm(dim=1), gradients.sum(0)
    shares = norms / norms.sum().clamp_min(least)
    cosines = gradients @ total / (norms * total.norm()).clamp_min(least)
    kinds = ("norm", "share", "cosine")
    values = torch.stack([norms, shares, cosines], 1).tolist()
    return {
        f"train/gradient_{kind}/{name}": value
        for name, row in zip(names, values, strict=True)
        for kind, value in zip(kinds, row, strict=True)
    }
