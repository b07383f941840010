from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from pydantic import Field, ValidationError

from p2pkit import Augmentation, Dataset, Discriminator, Generator, ImageSpec, Loss, Metric, PairSpec
from p2pkit.components import KIND_NAMES, KINDS
from p2pkit.plugins.loading import Plugins

if TYPE_CHECKING:  # a name that does not exist at run time, as in a plugin that imports it for type checkers only
    from nowhere import Spec

IMAGES = PairSpec(ImageSpec(3), ImageSpec(1), 32, 64)
Depth = Annotated[int, Field(ge=2, le=10, description="Number of halvings.")]


class Net:
    """A network.

    The second paragraph is not its summary.
    """

    def __init__(self, images: PairSpec, *, depth: Depth = 8, name: str | None = None) -> None:
        self.images, self.depth, self.name = images, depth, name


def lines(*, width: Annotated[int, Field(description="Width of a line.")]) -> tuple[str, int]:
    """Lines."""
    return ("lines", width)


def late(images: Spec, *, width: Depth = 2) -> Spec:
    """A factory whose positional argument is typed by a name for type checkers."""
    return images, width


@dataclass(kw_only=True)
class Record:
    """A dataclass is a class like any other."""

    depth: Depth = 4


class Bare:
    """A class without a constructor has no parameters."""


def _bag(images, **options: Any):
    """Whatever."""


def _tuple(*sizes: int):
    """Whatever."""


def _untyped(*, depth=3):
    """Whatever."""


def _several(images, depth: int):
    """Whatever."""


def _default_out_of_bounds(*, depth: Depth = 1):
    """Whatever."""


def _no_such_type(*, depth: NoSuchType = 1):  # noqa: F821  the point of the test
    """Whatever."""


def test_the_six_kinds():
    assert (Generator, Discriminator, Loss, Dataset, Augmentation, Metric) == KINDS
    assert KIND_NAMES == ("generator", "discriminator", "loss", "dataset", "augmentation", "metric")


def test_a_class_is_made_with_the_images_and_its_defaults():
    component = Generator("net", Net)
    assert component.takes_images
    assert component.summary == "A network."
    made = component.build(IMAGES, {"depth": 3})
    assert (made.images, made.depth, made.name) == (IMAGES, 3, None)


def test_a_function_without_images_is_made_without_them():
    component = Dataset("lines", lines, summary="Some lines")
    assert not component.takes_images
    assert component.summary == "Some lines"
    assert component.build(None, {"width": 3}) == ("lines", 3)


def test_parameters_keep_type_bounds_and_description():
    field = Generator("net", Net).parameters.model_fields["depth"]
    assert (field.annotation, field.default, field.description) == (int, 8, "Number of halvings.")
    schema = Generator("net", Net).parameters.model_json_schema()
    assert schema["properties"]["depth"]["maximum"] == 10
    assert schema["additionalProperties"] is False
    assert "required" not in schema
    assert Dataset("lines", lines).parameters.model_json_schema()["required"] == ["width"]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"dept": 3}, "Extra inputs are not permitted"),
        ({"depth": 11}, "less than or equal to 10"),
        ({"depth": "deep"}, "valid integer"),
    ],
)
def test_parameters_are_closed_and_checked(params, message):
    with pytest.raises(ValidationError, match=message):
        Generator("net", Net).build(IMAGES, params)


def test_types_that_only_type_checkers_can_import_do_no_harm():
    component = Generator("late", late)
    assert component.takes_images
    assert component.build(IMAGES, {"width": 5}) == (IMAGES, 5)


def test_dataclasses_bare_classes_and_partials():
    assert Loss("record", Record).build(None, {}).depth == 4
    assert list(Loss("bare", Bare).parameters.model_fields) == []
    assert isinstance(Loss("bare", Bare).build(None, {}), Bare)
    assert Loss("half", partial(lines, width=7), "Half").build(None, {}) == ("lines", 7)


@pytest.mark.parametrize(
    ("factory", "error", "message"),
    [
        (_bag, TypeError, "odd: **options hides its parameters; wrap it in a function that names them"),
        (_tuple, TypeError, "odd: *sizes hides its parameters; wrap it in a function that names them"),
        (_untyped, TypeError, "odd: parameter 'depth' has no type"),
        (_several, TypeError, "odd: only the images are positional; make the other arguments keyword-only"),
        (_default_out_of_bounds, TypeError, "odd: the default of 'depth' is wrong: Input should be greater than"),
        (_no_such_type, NameError, "NoSuchType"),
    ],
)
def test_a_signature_that_says_too_little_is_refused(factory, error, message):
    with pytest.raises(error, match=re.escape(message)):
        _ = Generator("odd", factory).parameters


@pytest.mark.parametrize("name", ["U_Net", "u-net", "2d", "u net", "acme:unet", "", "ü"])
def test_names_are_well_formed(name):
    with pytest.raises(ValueError, match="is not a component's name: lower case letters, digits and underscores"):
        Generator(name, Net)


@pytest.mark.parametrize("offer", Plugins(discover=False).offers, ids=lambda offer: offer.component.name)
def test_every_parameter_of_every_builtin_is_described(offer):
    fields = offer.component.parameters.model_fields
    assert [name for name, field in fields.items() if not (field.description or "").endswith(".")] == []
    assert offer.component.summary.endswith(".")
