"""Networks of other people's with their published weights, by whose features images are compared."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from p2pkit.untyped import Untyped
from p2pkit.weights.files import Weights, fill_weights, read_weights

_SHORT = {"alexnet": "alex", "vgg16": "vgg"}


def classifier_features(network: str, weights: Path | None = None) -> nn.Sequential:
    """Return the convolutional part of torchvision's classifier with its weights.

    Args:
        network: torchvision's name of a network that has such a part: `alexnet`, `vgg16`, `vgg19`.
        weights: The file of its weights, if one is given.

    Raises:
        ComponentError: The weights can't be had.

    Shape: (B, 3, H, W), standardised as ImageNet's -> (B, C, h, w).
    """
    import torchvision

    file = Weights.of_torchvision(network).locate(weights)
    with torch.device("meta"):
        features: nn.Sequential = getattr(torchvision.models, network)(weights=None).features
    start = "features."
    state = {key.removeprefix(start): value for key, value in read_weights(file).items() if key.startswith(start)}
    fill_weights(features, state, file)
    return features


def lpips_network(network: str, weights: Path | None = None) -> Untyped:
    """Return LPIPS' network (version 0.1) as torchmetrics has it, frozen and in evaluation mode.

    Its heads come with torchmetrics; a file that holds heads of its own (`lin0.model.1.weight` and so on) brings
    those.

    Args:
        network: Whose features: `alexnet` or `vgg16`.
        weights: The file of torchvision's weights, if one is given.

    Raises:
        ComponentError: The weights can't be had.

    Shape: two of (B, 3, H, W) in [-1, 1] -> (B, 1, 1, 1), 0 for equal images.
    Source: Zhang et al. 2018, arXiv:1801.03924, equation 1.
    """
    from torchmetrics.functional.image import lpips

    file = Weights.of_torchvision(network).locate(weights)
    with torch.device("meta"):
        built = lpips._LPIPS(pretrained=False, net=_SHORT[network], pnet_rand=True)
    built.scaling_layer = lpips.ScalingLayer()  # its constants are no weights, and would stay on the meta device
    given = read_weights(file)
    heads = {name: weight for name, weight in given.items() if name.startswith("lin")}
    heads = heads or read_weights(Path(lpips.__file__).parent / "lpips_models" / f"{_SHORT[network]}.pth")
    state = {}
    for key in built.state_dict():
        *_, place, kind = key.split(".")
        if key.startswith("net."):  # net.slice2.3.weight is features.3.weight
            state[key] = given.get(f"features.{place}.{kind}", torch.empty(0))
        else:  # each head goes by two names: lin0 and lins.0
            state[key] = heads.get(key.replace("lins.", "lin"), torch.empty(0))
    fill_weights(built, state, file)
    return built.requires_grad_(False).train(False)
