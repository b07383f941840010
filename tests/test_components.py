from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import pytest
import torchmetrics
from pydantic import Field, ValidationError
from torch import nn

from p2pkit import (
    Augmentation,
    Dataset,
    Discriminator,
    Executor,
    Generator,
    ImageSpec,
    Loss,
    Metric,
    Optimizer,
    PairSpec,
    Reader,
    RunLength,
    Schedule,
    Tracker,
    hookspecs,
)
from p2pkit.components import KIND_NAMES, KINDS, OFFERS
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


def test_every_kind_has_a_name_and_a_hook_of_its_own():
    first = Generator, Discriminator, Loss, Dataset, Augmentation, Metric
    assert (*first, Optimizer, Schedule, Tracker, Reader, Executor) == KINDS
    assert tuple(kind.__name__.lower() for kind in KINDS) == KIND_NAMES
    hooks = [getattr(hookspecs, hook) for hook in OFFERS]
    assert [hook.__annotations__["return"] for hook in hooks] == [f"Iterable[{kind.__name__}]" for kind in KINDS]
    assert len(set(OFFERS)) == len(KINDS)


def test_what_a_kind_is_given_goes_to_the_factory():
    length = RunLength(10)
    assert not Schedule("falls", lambda length: length).takes_images
    assert Schedule("falls", lambda length: length).build(length, {}) is length
    with pytest.raises(TypeError, match="of the arguments only the length may be positional"):
        Schedule("falls", lambda length, steps: length).parameters  # noqa: B018  derived when it is asked for


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
        (_several, TypeError, "odd: of the arguments only the images may be positional; make the others keyword-only"),
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


@pytest.mark.parametrize("component", Plugins(discover=False).components, ids=lambda component: component.name)
def test_every_parameter_of_every_builtin_is_described(component):
    fields = component.parameters.model_fields
    assert [name for name, field in fields.items() if not (field.description or "").endswith(".")] == []
    assert component.summary.endswith(".")


class Inherits(nn.Module):
    """It writes no constructor, and inherits one of any arguments."""


class Row(nn.Sequential):
    """So does this one."""


class Sum(torchmetrics.SumMetric):
    """Its base class's constructor takes an argument before `**kwargs`."""


class Needs(Net):
    """It inherits parameters that are named."""


@pytest.mark.parametrize("factory", [Inherits, Row, Sum])
def test_a_class_without_a_constructor_of_its_own_has_no_parameters(factory):
    component = Loss("it", factory)
    assert component.parameters.model_fields == {}
    assert not component.takes_images
    assert isinstance(component.build(IMAGES, {}), factory)


def test_an_inherited_constructor_that_names_its_parameters_counts():
    assert set(Generator("it", Needs).parameters.model_fields) == {"depth", "name"}


def test_parameters_may_have_the_names_of_pydantics_methods(recwarn):
    def odd(*, schema: int = 1, copy: str = "a", json: bool = True, dict: float = 2.0):
        """Odd."""
        return schema, copy, json, dict

    component = Loss("odd", odd)
    assert component.build(None, {"schema": 3}) == (3, "a", True, 2.0)
    assert component.parameters.model_json_schema()["properties"].keys() == {"schema", "copy", "json", "dict"}
    assert not recwarn.list


def test_a_parameter_may_not_take_the_model_apart():
    def odd(*, model_config: int = 1):
        """Odd."""

    with pytest.raises(TypeError, match="'model_config' can't be a parameter's name"):
        Loss("odd", odd).parameters  # noqa: B018  reading it derives it
