"""Weights for the tests: real ones where they are at hand, random ones where any do."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from p2pkit import ImageSpec, PairSpec, View


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real weights and example images: P2PKIT_WEIGHTS, else shared/weights beside the project."""
    folder = Path(os.environ.get("P2PKIT_WEIGHTS") or Path(__file__).parents[4] / "shared" / "weights")
    if not (folder / "lpips_vgg16.safetensors").is_file():
        pytest.skip(f"there are no LPIPS weights in {folder}; name their folder in P2PKIT_WEIGHTS")
    return folder


@pytest.fixture(scope="session")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Write weights of no use for a network, once."""
    folder = tmp_path_factory.mktemp("weights")

    def write(network: str) -> Path:
        import torchvision

        file = folder / f"{network}.pth"
        if not file.is_file():
            with torch.random.fork_rng(), torch.device("meta"):
                features = getattr(torchvision.models, network)(weights=None).features
            torch.manual_seed(0)
            features.to_empty(device="cpu")
            for weight in features.parameters():
                weight.data.normal_(0, (2 / max(1, weight[0].numel())) ** 0.5 if weight.ndim > 1 else 0.1)
            torch.save({f"features.{name}": weight for name, weight in features.state_dict().items()}, file)
        return file

    return write


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, no folder of weights, and a network that is down; returns the cache."""

    def fail(*_: object, **__: object) -> None:
        raise OSError("the network is down")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("P2PKIT_WEIGHTS", raising=False)
    monkeypatch.setattr("torch.hub.urlopen", fail)
    torch.hub.set_dir(tmp_path / "home" / "hub")
    yield tmp_path / "home" / "hub" / "checkpoints"
    torch.hub._hub_dir = None


@pytest.fixture
def spec() -> Callable[..., PairSpec]:
    """What a run's images are."""

    def make(channels: int = 3, height: int = 64, width: int = 64, kind: str = "intensity") -> PairSpec:
        return PairSpec(ImageSpec(3), ImageSpec(channels, kind=kind), height, width)

    return make


@pytest.fixture
def view() -> Callable[..., View]:
    """A batch without a discriminator."""

    def make(target: torch.Tensor, fake: torch.Tensor) -> View:
        return View(torch.zeros_like(target), target, fake, None)

    return make
