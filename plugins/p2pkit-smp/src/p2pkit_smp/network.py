"""One implementation for all architectures: the library's encoder and decoder, a head of our own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from p2pkit import ComponentError, PairSpec, first_line
from p2pkit.layers import Standardise, check_sides
from p2pkit_smp import encoders
from p2pkit_smp.head import make_head, renormalise
from p2pkit_smp.parameters import Pretrained


@dataclass(frozen=True)
class Design:
    """What a generator is made of.

    Args:
        name: The component's name.
        architecture: The library's class.
        encoder: The encoder's name.
        options: The class's further arguments.
        doublings: How often the decoder's sides have to be doubled to the image's.
        norm: Normalisation of decoder and head.
        final: Last activation.
        least: A number that the sides have to be multiples of, whatever the encoder says.
    """

    name: str
    architecture: str
    encoder: str
    options: tuple[tuple[str, Any], ...] = ()
    doublings: int = 0
    norm: str = "batch"
    final: str = "tanh"
    least: int = 1


@dataclass(frozen=True)
class Facts:
    """What a trial on the meta device tells of a design.

    Args:
        multiple: What the sides have to be multiples of.
        sizing: Arguments by which the encoder is told of the images' size.
        idle: Parameters that the image does not depend on, such as the head of a classifier.
    """

    multiple: int
    sizing: Mapping[str, Any]
    idle: frozenset[str]


class SmpGenerator(nn.Module):
    """A network of segmentation_models_pytorch as a generator.

    Args:
        design: What it is made of.
        images: What the run's images are.
        sizing: Arguments by which the encoder is told of the images' size.
        weights: The encoder's first weights.

    Shape: source (B, C_source, H, W) in [-1, 1] -> fake (B, C_target, H, W) in [-1, 1]; H, W multiples of `multiple`.
    """

    def __init__(self, design: Design, images: PairSpec, sizing: Mapping[str, Any], weights: Pretrained = None) -> None:
        super().__init__()
        self._lacking: ComponentError | None = None
        model = self._model(design, images, sizing, weights)
        self.encoder, self.decoder = model.encoder, model.decoder
        renormalise(self.decoder, design.norm)
        if design.architecture == "UnetPlusPlus":
            self.decoder.center = nn.Identity()  # made for VGG, and never called
        self.head = make_head(_features(model), images.target.channels, design.doublings, design.norm, design.final)
        photos = images.source.kind == "intensity" and images.source.channels == 3
        statistics = encoders.statistics(design.encoder) if weights is not None and photos else None
        self.standardise = Standardise(*statistics) if statistics else nn.Identity()
        self.multiple = max(design.least, model.encoder.output_stride)
        if torch.empty(0).is_meta:  # the library makes some weights on the CPU whatever the default device is
            self.to("meta")
        self.register_load_state_dict_post_hook(_forgive)  # type: ignore[no-untyped-call]  # torch's

    def _model(self, design: Design, images: PairSpec, sizing: Mapping[str, Any], weights: Pretrained) -> Any:
        """Make the library's network; weights that can't be had are only missed when it is used without others."""
        with encoders.quiet():
            if weights is not None:
                try:
                    with torch.device("cpu"):  # the library can't fit a first convolution on the meta device
                        return _pretrained(design, images.source.channels, sizing, weights)
                except ComponentError as error:
                    self._lacking = error
                except Exception as error:
                    self._lacking = encoders.lacking(design.encoder, weights, error)
            return _random(design, images.source.channels, sizing)

    def forward(self, source: Tensor) -> Tensor:
        """Make a fake of a source."""
        if self._lacking is not None:
            raise self._lacking
        features = self.encoder(self.standardise(source))
        decoded = self.decoder(*features) if isinstance(features, tuple) else self.decoder(features)
        fake: Tensor = self.head(decoded)
        return fake


def _forgive(network: SmpGenerator, keys: Any) -> None:
    """Weights of a checkpoint stand in for the encoder's first ones."""
    network._lacking = None


def make(design: Design, images: PairSpec, weights: Pretrained) -> SmpGenerator:
    """Make a generator.

    Args:
        design: What it is made of.
        images: What the run's images are.
        weights: The encoder's first weights.

    Returns:
        The generator; weights that can't be had are reported when it is first called without others.

    Raises:
        ComponentError: The encoder is unknown or does not fit, or the images' sides don't.
    """
    encoders.check_encoder(design.encoder)
    facts = _facts(design, images)
    generator = SmpGenerator(design, images, facts.sizing, weights)
    for name, parameter in generator.named_parameters():
        if name in facts.idle:
            parameter.requires_grad_(False)
    return generator


def _random(design: Design, channels: int, sizing: Mapping[str, Any]) -> Any:
    """Make the library's network with random weights, on the CPU where an encoder can't be made on the meta device."""
    try:
        return _library(design, channels, sizing)
    except (RuntimeError, NotImplementedError) as error:
        if not torch.empty(0).is_meta or "meta" not in str(error):
            raise
    with torch.device("cpu"):
        return _library(design, channels, sizing)


def _library(design: Design, channels: int, sizing: Mapping[str, Any], **weights: Any) -> Any:
    smp: Any = import_module("segmentation_models_pytorch")
    given = {
        "encoder_weights": None,
        "in_channels": channels,
        "classes": 1,
        **dict(design.options),
        **sizing,
        **weights,
    }
    return getattr(smp, design.architecture)(encoder_name=design.encoder, **given)


def _pretrained(design: Design, channels: int, sizing: Mapping[str, Any], weights: str | Path) -> Any:
    """Make the library's network with the encoder's weights, its first convolution fitted to the channels."""
    own = not design.encoder.startswith("tu-")
    if not isinstance(weights, Path):
        return _library(design, channels, sizing, encoder_weights=weights if own else True)
    file = encoders.find_file(design.encoder, weights)
    if not own:
        overlay = {"file": str(file)}
        return _library(design, channels, sizing, encoder_weights=True, pretrained_cfg_overlay=overlay)
    model = _library(design, 3, sizing)
    model.encoder.load_state_dict(encoders.read(file))
    model.encoder.set_in_channels(channels, pretrained=True)
    return model


def _features(model: Any) -> int:
    """Return the channels of the decoder's features: those that the library's own head begins with."""
    first = next(module for module in model.segmentation_head.modules() if isinstance(module, nn.Conv2d))
    return int(first.in_channels)


@lru_cache(maxsize=256)
def _facts(design: Design, images: PairSpec) -> Facts:
    """Try a design where nothing is computed, with the first way of telling the encoder the size that works.

    Raises:
        ComponentError: It can't be built, or not for these images.
    """
    failure: Exception | None = None
    for sizing in encoders.sizings(design.encoder, images.height, images.width):
        try:
            with torch.device("meta"), torch.random.fork_rng(devices=[]), torch.enable_grad():
                return _tried(design, images, sizing)
        except ComponentError:
            raise
        except Exception as error:
            if failure is None or isinstance(failure, TypeError):  # an unknown argument tells least
                failure = error
    assert failure is not None
    raise _unfit(design, failure) from failure


def _tried(design: Design, images: PairSpec, sizing: Mapping[str, Any]) -> Facts:
    """Build a generator and run it forward and backward."""
    network = SmpGenerator(design, images, sizing)
    check_sides(images, f"{design.name} with encoder {design.encoder}", network.multiple)
    source = torch.zeros(2, images.source.channels, images.height, images.width)
    fake = network(source)
    trained = dict(network.named_parameters())
    found = torch.autograd.grad(fake.sum(), list(trained.values()), allow_unused=True)
    if fake.shape[2:] != source.shape[2:]:
        made, wanted = (" x ".join(map(str, image.shape[2:])) for image in (fake, source))
        raise ValueError(f"it makes images of {made} of sources of {wanted}")
    idle = frozenset(name for name, gradient in zip(trained, found, strict=True) if gradient is None)
    return Facts(network.multiple, sizing, idle)


def _unfit(design: Design, error: Exception) -> ComponentError:
    reason = first_line(error).rstrip(".: ")
    cause = f"{design.name} can't be made with encoder {design.encoder} and these parameters: {reason}"
    return ComponentError(cause, remedy="use another encoder, for instance " + _usual(design))


def _usual(design: Design) -> str:
    return "tu-vit_small_patch16_224" if design.architecture == "DPT" else "resnet34"
