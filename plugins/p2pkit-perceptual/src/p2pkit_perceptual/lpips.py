"""LPIPS with torchmetrics' network and learned heads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from p2pkit import PairSpec
from p2pkit_perceptual.comparison import Comparison, check_images
from p2pkit_perceptual.weights import WeightsFile, fill, locate, read

SHORT = {"alexnet": "alex", "vgg16": "vgg"}
LEAST = {"alexnet": 31, "vgg16": 16}


class Lpips(Comparison):
    """Learned perceptual image patch similarity (LPIPS, version 0.1) of fake and target, by torchmetrics.

    Its heads come with torchmetrics; a weights file that holds heads of its own (`lin0.model.1.weight` and so on)
    brings those. vgg16 is the usual choice for training, alexnet is the one that is usually reported.

    Args:
        images: What the run's images are.
        network: Which network's features.
        weights: File with torchvision's weights of the network.

    Raises:
        ComponentError: The images don't suit the network, or its weights can't be had.

    Shape: images (B, 1 or 3, H, W) in [-1, 1] -> scalar, 0 for equal images.
    Source: Zhang et al. 2018, arXiv:1801.03924, equation 1.
    """

    def __init__(
        self,
        images: PairSpec,
        *,
        network: Annotated[Literal["alexnet", "vgg16"], Field(description="Which network's features.")] = "vgg16",
        weights: WeightsFile = None,
    ) -> None:
        super().__init__()
        check_images("lpips", images, LEAST[network])
        self.network = _network(network, locate(network, weights))
        self.frozen()

    def forward(self, fake: Tensor, target: Tensor) -> Tensor:
        """Average the batch's similarities."""
        similarity: Tensor = self.network(fake, target).mean()
        return similarity


def _network(name: str, file: Path) -> Any:
    from torchmetrics.functional.image import lpips

    with torch.device("meta"):
        network = lpips._LPIPS(pretrained=False, net=SHORT[name], pnet_rand=True)
    network.scaling_layer = lpips.ScalingLayer()  # its constants are no weights, and would stay on the meta device
    given = read(file)
    heads = {name: weight for name, weight in given.items() if name.startswith("lin")}
    heads = heads or read(Path(lpips.__file__).parent / "lpips_models" / f"{SHORT[name]}.pth")
    state = {}
    for key in network.state_dict():
        *_, place, kind = key.split(".")
        if key.startswith("net."):  # net.slice2.3.weight is features.3.weight
            state[key] = given.get(f"features.{place}.{kind}", torch.empty(0))
        else:  # each head goes by two names: lin0 and lins.0
            state[key] = heads.get(key.replace("lins.", "lin"), torch.empty(0))
    fill(network, state, file)
    return network
