"""One component under test: what it is built with, and the images it is tried on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import torch
from torch import Tensor, nn

from p2pkit.components import Component
from p2pkit.errors import ComponentError, DeviceError, Problem, first_line
from p2pkit.extras.calling import SEEN, chosen
from p2pkit.extras.values import some
from p2pkit.images.convert import to_network
from p2pkit.plugins.finding import OWN
from p2pkit.testing.examples import UNTRIED
from p2pkit.testing.given import GIVEN
from p2pkit.types import ImageSpec, PairSpec, optional
from p2pkit.untyped import Json, Made, Plain

COLOUR, GREY, LABELS = ImageSpec(3), ImageSpec(1), ImageSpec(5, kind="labels")
FORMS = ((COLOUR, COLOUR), (GREY, COLOUR), (ImageSpec(4), ImageSpec(2)), (LABELS, COLOUR), (COLOUR, LABELS))
SIZES = ((64, 64), (128, 64), (32, 32), (96, 96), (224, 224), (256, 256), (512, 256), (512, 512), (1024, 512))


@dataclass
class Subject:
    """A component, what it is built with, and the images it is tried on.

    Args:
        component: The component.
        params: Parameters it is built with, beside its defaults.
        device: Where it is tried.
        pinned: Whether the device was asked for, and no other is to be used.
        module: The plugin's module.
        again: Asks the plugin anew for its components.
        number: Which of its examples this is, from 1.
    """

    component: Component
    params: Plain = field(default_factory=dict)
    device: str = "cpu"
    pinned: bool = False
    module: Made = None
    again: Callable[[], list[Component]] | None = None
    number: int = 1

    @property
    def name(self) -> str:
        """What results call it: the component's name, and which example where it has several."""
        return self.component.name if self.number == 1 else f"{self.component.name} (example {self.number})"

    @property
    def untried(self) -> str:
        """Why it is not tried here, for the few of p2pkit's own that are not."""
        return UNTRIED.get(f"{self.kind}/{self.component.name}", "") if self.component.plugin == OWN else ""

    @property
    def kind(self) -> str:
        """The component's kind."""
        return self.component.kind

    @property
    def on_images(self) -> bool:
        """Whether it is built for images; a data set says what they are, and some kinds are given other things."""
        return self.component.given == "images" and self.kind != "dataset"

    @cached_property
    def images(self) -> PairSpec:
        """The first of the images that it can be built for; colour to colour where it takes those."""
        return self.specs[0]

    @cached_property
    def exempt(self) -> Mapping[str, str]:
        """The rules that it says it can't keep, with the reasons."""
        return optional.exempt(self.build())

    @cached_property
    def crashes(self) -> dict[str, str]:
        """What was raised while rules were applied, and by which rule first: one cause is told once."""
        return {}

    @cached_property
    def missing(self) -> list[str]:
        """The parameters that have neither a default nor an example."""
        fields = self.component.parameters.model_fields.items()
        return sorted(key for key, info in fields if info.is_required() and key not in self.params)

    @cached_property
    def buildable(self) -> bool:
        """Whether it can be built at all; where not, the rule `builds` tells why."""
        try:
            return bool(self.specs) if self.on_images else self.build() is not None
        except Exception:
            return False

    @cached_property
    def specs(self) -> tuple[PairSpec, ...]:
        """Of each form of images the smallest that it can be built for, and one that is not square."""
        found = [next(self._fitting(form), None) for form in FORMS]
        square = found[0] or next(filter(None, found), None)
        if square is not None:
            form = square.source, square.target
            found.append(next((spec for spec in self._fitting(form) if spec.height != spec.width), None))
        return tuple(filter(None, found))

    @cached_property
    def refusals(self) -> list[ComponentError]:
        """Why it could not be built for some of the images."""
        return []

    @property
    def lacks_weights(self) -> bool:
        """Whether it could not be built because published weights are not on this machine."""
        return bool(self.refusals) and self.refusals[-1].parameter == "weights"

    def _fitting(self, form: tuple[ImageSpec, ImageSpec]) -> Iterator[PairSpec]:
        return (spec for spec in (self.spec(*form, *size) for size in SIZES) if self.fits(spec))

    def spec(self, source: ImageSpec, target: ImageSpec, height: int, width: int) -> PairSpec:
        """Return images with what stands beside them."""
        return PairSpec(source, target, height, width, extras=self.component.extras)

    def fits(self, images: PairSpec) -> bool:
        """Tell whether it can be built for such images: False where it raises a `ComponentError`."""
        if self.lacks_weights:
            return False  # neither are they for other images
        if self.kind not in ("generator", "discriminator") and not self.component.takes_images:
            return (images.height, images.width) in SIZES[:2]
        try:
            self._try(images)
        except ComponentError as error:
            self.refusals.append(error)
            return False
        return True

    def _try(self, images: PairSpec) -> None:
        """Build where nothing is computed, or for real where that does not work."""
        if self.kind in ("generator", "discriminator"):
            try:
                with torch.device("meta"):
                    self.component.build(images, self.params)
                return
            except ComponentError:
                raise
            except Exception:  # the rule `meta` tells  # nosec B110
                pass
        self.component.build(images, self.params)

    def build(self, images: PairSpec | None = None, *, seed: int = 0, **params: Json) -> Made:
        """Make the component, seeded, with its example parameters and these."""
        torch.manual_seed(seed)
        wanted: object = None
        if self.on_images:
            wanted = images or self.images
        elif self.component.given in GIVEN:
            wanted = GIVEN[self.component.given](self.device)
        built = self.component.build(wanted, {**self.params, **params})
        if not isinstance(built, nn.Module):
            return built
        return self.asked(built.to(self.device))

    def asked(self, network: nn.Module) -> nn.Module:
        """Let a network be given what it takes beside images by whoever asks it."""
        count = SEEN.get(self.kind)
        if count is not None and self.component.extras:
            network.register_forward_pre_hook(partial(_with_extras, self, count), with_kwargs=True)
        return network

    def beside(self, source: Tensor) -> dict[str, Tensor]:
        """Return what stands beside a batch of images: by turns one of two, always the same."""
        images = replace(self.images, height=source.shape[2], width=source.shape[3])
        dice = torch.Generator().manual_seed(7)
        turns = torch.arange(len(source)) % 2
        made = {name: some(spec, images, 2, dice)[turns] for name, spec in sorted(images.extras.items())}
        return {name: value.to(source) for name, value in made.items()}

    def batch(self, images: PairSpec | None = None, count: int = 2, seed: int = 1) -> tuple[Tensor, Tensor]:
        """Return a batch of noise: sources and targets as networks see them."""
        images = images or self.images
        dice = torch.Generator().manual_seed(seed)
        source, target = (noise(spec, count, images, dice).to(self.device) for spec in (images.source, images.target))
        return source, target


def _with_extras(
    subject: Subject, count: int, network: nn.Module, images: tuple[Tensor, ...], extras: dict[str, Tensor]
) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
    return images, {**chosen(network, subject.beside(images[0]), count), **extras}


def noise(spec: ImageSpec, count: int, images: PairSpec, dice: torch.Generator) -> Tensor:
    """Return images of noise in [-1, 1].

    Args:
        spec: What they are: planes of noise, or a plane for each class.
        count: How many there are.
        images: Their height and width.
        dice: Draws them.
    """
    size = images.height, images.width
    if spec.kind == "labels":
        return to_network(torch.randint(spec.channels, (count, 1, *size), generator=dice), spec)
    return torch.rand(count, spec.channels, *size, generator=dice) * 2 - 1


def check_device(device: str) -> None:
    """Refuse a device that this machine does not have."""
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        cause = f"there is no device {device!r} here: {first_line(error)}"
        raise DeviceError(Problem("", cause, "leave it out, or name cpu")) from None
