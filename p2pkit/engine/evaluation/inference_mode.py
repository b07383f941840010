"""The mode in which a generator is judged and used: whose statistics batch norm takes, and whether dropout is on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from p2pkit.engine.device.precision import forked
from p2pkit.engine.distributed.sync_batch_norm import local_batch_norm
from p2pkit.extras.calling import chosen
from p2pkit.untyped import Untyped

Statistics = Mapping[str, Tensor]
Sources = tuple[Tensor, Mapping[str, Tensor]]
_KEPT = ("running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True, slots=True)
class InferenceMode:
    """How a generator is run.

    Args:
        batch_norm: `running` uses the statistics gathered in training; `batch` those of the images at hand;
            `recalibrated` those that `recalibrate` has gathered anew.
        dropout: `on` keeps dropout active.
    """

    batch_norm: str = "running"
    dropout: str = "off"


@contextmanager
def run_in_mode(
    generator: nn.Module, mode: InferenceMode, statistics: Statistics | None = None, *, seed: int = 0
) -> Iterator[None]:
    """Put a generator into a mode, without a trace in its weights, statistics or seeds.

    Args:
        generator: The network.
        mode: The mode.
        statistics: What `recalibrate` returned, for the mode that wants it.
        seed: What dropout's noise is drawn by.
    """
    device = next(generator.parameters(), torch.empty(0)).device
    norms = _norms(generator)
    before = {module: module.training for module in generator.modules()}
    momenta = {norm: norm.momentum for norm in norms.values()}
    kept = {name: tensor.clone() for name, tensor in _statistics(norms).items()}
    set_mode(generator, mode, statistics)
    try:
        with torch.no_grad(), forked(device), local_batch_norm(generator):
            torch.manual_seed(seed)
            yield
    finally:
        for module, training in before.items():
            module.training = training
        for norm, momentum in momenta.items():
            norm.momentum = momentum
        _put(norms, kept)


def set_mode(generator: nn.Module, mode: InferenceMode, statistics: Statistics | None = None) -> None:
    """Put a generator into a mode for good, so that calling it does what translating does.

    Args:
        generator: The network.
        mode: The mode.
        statistics: What `recalibrate` returned, for the mode that wants it.
    """
    norms = _norms(generator)
    generator.eval()
    for module in generator.modules():
        if mode.batch_norm == "batch" and any(module is norm for norm in norms.values()):
            module.momentum = 0.0  # type: ignore[assignment]  # a norm's is a number
            module.train()
        if mode.dropout == "on" and isinstance(module, _DropoutNd):
            module.train()
    if mode.batch_norm == "recalibrated":
        _put(norms, statistics or {})


def recalibrate(generator: nn.Module, batches: Iterable[Sources], dropout: str = "off") -> dict[str, Tensor]:
    """Gather batch norm's statistics anew: the plain mean over batches, with the weights as they are now.

    Args:
        generator: The network; left as it was.
        batches: Batches of sources, each with what stands beside them.
        dropout: Whether dropout is `on` in the mode that is to use them.

    Returns:
        The statistics by name; empty for a network without batch norm, whose sources are not looked at.

    Shape: sources (B, C_source, H, W) in [-1, 1].
    """
    norms = _norms(generator)
    if not norms:
        return {}
    with run_in_mode(generator, InferenceMode(dropout=dropout)):
        for norm in norms.values():
            norm.reset_running_stats()
            norm.momentum = None  # stands for the plain mean
            norm.train()
        for source, extras in batches:
            generator(source, **chosen(generator, extras))
        return {name: tensor.clone() for name, tensor in _statistics(norms).items()}


def available_modes(generator: nn.Module) -> list[InferenceMode]:
    """Return the modes that differ for a network, by whether it has batch norm and dropout."""
    norms = ("running", "recalibrated", "batch") if _norms(generator) else ("running",)
    noisy = any(isinstance(module, _DropoutNd) and module.p > 0 for module in generator.modules())
    return [InferenceMode(norm, dropout) for norm in norms for dropout in (("off", "on") if noisy else ("off",))]


def _norms(generator: nn.Module) -> dict[str, Untyped]:
    """Return the batch norms that keep statistics."""
    named = generator.named_modules()
    return {name: norm for name, norm in named if isinstance(norm, _BatchNorm) and norm.track_running_stats}


def _statistics(norms: Mapping[str, Untyped]) -> dict[str, Tensor]:
    return {f"{name}.{key}": getattr(norm, key) for name, norm in norms.items() for key in _KEPT}


def _put(norms: Mapping[str, Untyped], statistics: Statistics) -> None:
    """Copy in place: a captured step goes on using the same memory."""
    for name, tensor in _statistics(norms).items():
        if name in statistics:
            tensor.copy_(statistics[name])
