"""A network's small, many works done by one launch each: casts of its weights, and counters of its batch norms.

Autocast casts weights one by one, each time that they are used, and casts their gradients back one by one. At batch 1
these are a third of a step's kernels.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from p2pkit.untyped import Made, Untyped

_CAST_BY_AUTOCAST = frozenset(
    {nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d}
)
"""Layers all of whose weights autocast casts. Derived classes, parametrised ones too, may do more with them."""
_COUNTER = "num_batches_tracked"


class FewerLaunches:
    """Asks a network like the network itself, in fewer launches and to the same effect.

    Weights are cast when they are first needed: whoever asks twice between updates asks the same object, and the
    gradients of both are added up before they are cast back.

    Args:
        network: The network; one that is compiled makes launches few by itself.
        dtype: What autocast casts to; None where it doesn't.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype | None) -> None:
        self.network = network
        self.dtype = dtype

    def __call__(self, *images: Tensor, **extras: Tensor) -> Made:
        """Return what the network makes of images, and of extras that it takes by name."""
        counters = self._counters
        # The launch that a counter on the host takes is none; how often its layer was asked is then known here.
        calls = {name: torch.zeros_like(counter, device="cpu") for name, counter in counters.items()}
        made = functional_call(self.network, {**self._copies, **calls}, images, extras, tie_weights=False)
        if counters:
            torch._foreach_add_(list(counters.values()), list(map(int, calls.values())))
        return made

    @cached_property
    def _copies(self) -> dict[str, Tensor]:
        if self.dtype is None:
            return {}
        weights = {
            f"{layer}.{name}".lstrip("."): weight
            for layer, module in self.network.named_modules()
            if type(module) in _CAST_BY_AUTOCAST
            for name, weight in module.named_parameters(recurse=False)
            if name in ("weight", "bias") and weight.dtype == torch.float32
        }
        if not weights:
            return {}
        own = {weight: index for index, weight in enumerate(dict.fromkeys(weights.values()))}  # tied ones are one
        with torch.enable_grad():
            copies: Sequence[Tensor] = _Cast.apply(self.dtype, *own)
        return {name: copies[own[weight]] for name, weight in weights.items()}

    @cached_property
    def _counters(self) -> dict[str, Tensor]:
        """The counters that nobody reads while their layer is asked."""
        return {
            f"{layer}.{_COUNTER}".lstrip("."): module.num_batches_tracked
            for layer, module in self.network.named_modules()
            if isinstance(module, _BatchNorm) and module.training and module.momentum is not None
            if module.track_running_stats and module.num_batches_tracked is not None
        }


class _Cast(torch.autograd.Function):
    """Copies of tensors in another type, whose gradients are copied back likewise."""

    @staticmethod
    def forward(ctx: FunctionCtx, dtype: torch.dtype, *tensors: Tensor) -> tuple[Tensor, ...]:
        copies = tuple(torch.empty_like(tensor, dtype=dtype) for tensor in tensors)
        torch._foreach_copy_(copies, tensors)
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*(c for c, t in zip(copies, tensors, strict=True) if not t.requires_grad))
        return copies

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor | None) -> Untyped:
        given = [gradient for gradient in gradients if gradient is not None]
        cast = iter(_Cast.apply(torch.float32, *given))
        return None, *(None if gradient is None else next(cast) for gradient in gradients)
