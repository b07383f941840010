"""p2pkit's rules for plugins, with weights of no use: what is tested does not depend on them."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
import torchvision

from p2pkit.testing import conformance

FOLDER = tempfile.TemporaryDirectory(prefix="p2pkit-perceptual-")


def weights(network: str) -> str:
    """Write random weights; the folder goes when the process ends."""
    file = Path(FOLDER.name, f"{network}.pth")
    if not file.is_file():
        with torch.random.fork_rng():
            torch.manual_seed(0)
            with torch.device("meta"):
                features = getattr(torchvision.models, network)(weights=None).features
            features.to_empty(device="cpu")
            for weight in features.parameters():
                weight.data.normal_(0, (2 / weight[0].numel()) ** 0.5 if weight.ndim > 1 else 0.1)
        torch.save({f"features.{name}": weight for name, weight in features.state_dict().items()}, file)
    return str(file)


TestPerceptual = conformance(
    "perceptual",
    examples={
        "vgg": {"network": "vgg16", "layers": {"relu1_1": 0.5, "relu2_1": 1.0}, "weights": weights("vgg16")},
        "lpips": {"network": "alexnet", "weights": weights("alexnet")},
        "dists": {"weights": weights("vgg16")},
    },
    long=("lpips", "dists"),  # they compare features as `vgg` does, and are held against published values
)
