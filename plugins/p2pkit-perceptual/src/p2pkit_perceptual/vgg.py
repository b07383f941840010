"""The perceptual loss on features of VGG."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from p2pkit import ComponentError, PairSpec, WeightsFile, classifier_features
from p2pkit.layers import Standardise
from p2pkit_perceptual.comparison import Comparison, check_images

PIX2PIXHD = {"relu1_1": 1 / 32, "relu2_1": 1 / 16, "relu3_1": 1 / 8, "relu4_1": 1 / 4, "relu5_1": 1.0}
"""The layers of pix2pixHD and their shares."""

CONVOLUTIONS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}


class Vgg(Comparison):
    """Perceptual loss: the mean difference of a VGG network's features of fake and target, layer by layer.

    The defaults are pix2pixHD's layers and shares; its own code gives the network images that are not standardised.
    `{network: vgg16, layers: {relu2_2: 1}, distance: l2}` is Johnson's feature reconstruction loss, and relu3_3 the
    layer of its style transfer. The network comes from torchvision.

    Args:
        images: What the run's images are.
        network: Which network's features.
        layers: The layers compared, and the factor of each.
        distance: Mean absolute (l1) or squared (l2) difference of the features.
        standardise: Whether images get the mean and deviation that the network was trained with.
        weights: File with torchvision's weights of the network.

    Raises:
        ComponentError: A layer does not exist, the images don't suit the network, or its weights can't be had.

    Shape: images (B, 1 or 3, H, W) in [-1, 1] -> scalar, 0 for equal images.
    Source: Johnson et al. 2016, arXiv:1603.08155, equation 2; Wang et al. 2018, arXiv:1711.11585, section 3.2 and its
    published code.
    """

    def __init__(
        self,
        images: PairSpec,
        *,
        network: Annotated[Literal["vgg16", "vgg19"], Field(description="Which network's features.")] = "vgg19",
        layers: Annotated[
            dict[str, Annotated[float, Field(gt=0, le=1e4)]],
            Field(min_length=1, description="The layers compared, as relu<block>_<number>, and the factor of each."),
        ] = PIX2PIXHD,
        distance: Annotated[
            Literal["l1", "l2"], Field(description="Mean absolute (l1) or squared (l2) difference of the features.")
        ] = "l1",
        standardise: Annotated[
            bool, Field(description="Whether images get the mean and deviation that the network was trained with.")
        ] = True,
        weights: WeightsFile = None,
    ) -> None:
        super().__init__()
        places = {name: _place(network, name) for name in layers}
        check_images("vgg", images, 2 ** (max(int(name[4]) for name in layers) - 1))
        self._factors = {places[name]: factor for name, factor in layers.items()}
        self._distance = functional.l1_loss if distance == "l1" else functional.mse_loss
        self.standardise = Standardise() if standardise else nn.Identity()
        features = classifier_features(network, weights)[: max(self._factors) + 1]
        for layer in features:
            if isinstance(layer, nn.ReLU):
                layer.inplace = False  # a layer's features are still wanted when the next one has run
        self.features = features
        self.frozen()

    def forward(self, fake: Tensor, target: Tensor) -> Tensor:
        """Add up the layers' differences."""
        total = fake.new_zeros(())
        fake, target = self.standardise(fake), self.standardise(target)
        for place, layer in enumerate(self.features):
            fake, target = layer(fake), layer(target)
            if place in self._factors:
                total = total + self._factors[place] * self._distance(fake, target)
        return total


def _place(network: str, layer: str) -> int:
    """Return the position of a layer among torchvision's: each convolution has a ReLU, each block ends by pooling."""
    counts = CONVOLUTIONS[network]
    known = [f"relu{b}_{n}" for b, count in enumerate(counts, 1) for n in range(1, count + 1)]
    if layer not in known:
        raise ComponentError(
            f"{network} has no layer {layer!r}", remedy=f"its layers: {', '.join(known)}", parameter="layers"
        )
    block, number = int(layer[4]), int(layer[6])
    return 2 * (sum(counts[: block - 1]) + number) - 1 + (block - 1)
