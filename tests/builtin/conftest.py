"""Fixtures of the tests of built-in components."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from p2pkit import ImageSpec, PairSpec

WEIGHTS = Path(os.environ.get("P2PKIT_WEIGHTS", Path(__file__).parents[2].parent / "shared" / "weights"))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def on_device(device: str) -> Iterator[None]:
    """Let a test make its tensors where `--device` says."""
    with nullcontext() if device == "cpu" else torch.device(device):
        yield


@pytest.fixture
def spec() -> Callable[..., PairSpec]:
    def make(height: int, width: int | None = None, *, source: int = 3, target: int = 3) -> PairSpec:
        return PairSpec(ImageSpec(source), ImageSpec(target), height, width or height)

    return make


@pytest.fixture
def reference() -> Callable[[str, nn.Module], tuple[Tensor, Tensor]]:
    """Load the reference implementation's weights into a network of ours; give an input and the output of theirs."""
    folder = WEIGHTS / "reference_fixtures"
    if not folder.is_dir():
        pytest.skip(f"the reference's weights are not in {WEIGHTS}; P2PKIT_WEIGHTS says where they are")

    def load(name: str, network: nn.Module) -> tuple[Tensor, Tensor]:
        theirs = torch.load(folder / f"{name}.pth", weights_only=True)
        # both nets list their layers from the source to the fake, so the tensors match by position
        network.load_state_dict(dict(zip(network.state_dict(), theirs.values(), strict=True)))
        arrays = np.load(folder / f"{name}_io.npz")
        return torch.from_numpy(arrays["x_uint8"]) / 127.5 - 1, torch.from_numpy(arrays["y"])

    return load


@pytest.fixture
def parameter_count() -> Callable[..., int]:
    """Count a network's parameters without making room for them."""

    def count(factory, *args, **params) -> int:
        with torch.device("meta"):
            return sum(parameter.numel() for parameter in factory(*args, **params).parameters())

    return count


@pytest.fixture
def check_weights() -> Callable[..., None]:
    """Demand N(0, std) of convolutions, N(1, std) of norms' weights and, where asked, biases of zero."""

    def check(network: nn.Module, std: float = 0.02, *, zero_biases: bool = True) -> None:
        modules = list(network.modules())
        kernels = [m.weight.flatten() for m in modules if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
        assert torch.cat(kernels).std().item() == pytest.approx(std, rel=0.03)
        assert torch.cat(kernels).mean().item() == pytest.approx(0, abs=std / 20)
        norms = [m.weight for m in modules if isinstance(m, nn.BatchNorm2d)]
        if norms:
            assert torch.cat(norms).mean().item() == pytest.approx(1, abs=std / 4)
            assert torch.cat(norms).std().item() == pytest.approx(std, rel=0.2)
        if zero_biases:
            assert all(not p.any() for name, p in network.named_parameters() if name.endswith("bias"))

    return check
