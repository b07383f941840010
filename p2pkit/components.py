"""The kinds of component, and how a factory's signature becomes validated parameters."""

from __future__ import annotations

import inspect
import typing
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from types import SimpleNamespace
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from p2pkit.types.images import ExtraSpec
from p2pkit.untyped import Json, Made, Plain, Untyped

Factory = Callable[..., Made]


@dataclass(frozen=True)
class Component:
    """A named factory that a plugin offers.

    The factory's keyword-only arguments are its parameters. Its one positional argument, if it has any, is what the run
    gives to components of its kind: most of them its `PairSpec`.

    Args:
        name: What a config calls it: lower case letters, digits and underscores.
        factory: A class or function that makes the component.
        summary: One line for `p2pkit list`; by default the first line of the factory's docstring.
        plugin: The namespace of the plugin that offers it: `p2pkit` for the built-ins, else the plugin's name. Filled
            in when the plugin is loaded.
        api: The plugin API that its plugin is written for. Filled in when the plugin is loaded.
        extras: By name what stands beside the images that the conformance suite tries it on, for a component that
            takes such things.
    """

    name: str
    factory: Factory
    summary: str = ""
    plugin: str = field(default="", kw_only=True)
    api: int = field(default=1, kw_only=True)
    extras: Mapping[str, ExtraSpec] = field(default_factory=dict, kw_only=True, hash=False, repr=False)

    kind: ClassVar[str] = ""
    hook: ClassVar[str] = ""
    given: ClassVar[str] = "images"
    """What the run gives to the factory as its positional argument."""

    def __post_init__(self) -> None:
        if not (self.name.isascii() and self.name.isidentifier() and self.name == self.name.lower()):
            raise ValueError(f"{self.name!r} is not a component's name: lower case letters, digits and underscores")
        if not self.summary:
            object.__setattr__(self, "summary", self.doc.partition("\n")[0])

    @property
    def full_name(self) -> str:
        """The name that always works in a config, `plugin:name`."""
        return f"{self.plugin}:{self.name}"

    @cached_property
    def doc(self) -> str:
        """The factory's docstring, cleaned."""
        return inspect.getdoc(self.factory) or ""

    @cached_property
    def takes_given(self) -> bool:
        """Whether the factory wants what the run gives, for most kinds its `PairSpec`."""
        return any(p.kind is not p.KEYWORD_ONLY for p in _signature(self.factory).values())

    @property
    def takes_images(self) -> bool:
        """Whether the factory wants the run's `PairSpec`."""
        return self.takes_given and self.given == "images"

    @cached_property
    def parameters(self) -> type[BaseModel]:
        """The closed pydantic model of the parameters, derived from the keyword-only arguments."""
        return _model_of(self.name, self.factory, self.given)

    def build(self, given: object, params: Plain) -> Made:
        """Make the component.

        Args:
            given: What the run gives, for most kinds what its images are.
            params: The parameters as written; defaults are filled in.

        Returns:
            What the factory makes.

        Raises:
            pydantic.ValidationError: A parameter is unknown or badly typed.
        """
        return self.make(given, self.values(self.parameters.model_validate(dict(params))))

    @staticmethod
    def values(params: BaseModel) -> dict[str, Json]:
        """Return validated parameters as the factory is given them."""
        return {name: getattr(params, name) for name in type(params).model_fields}

    def make(self, given: object, values: Plain) -> Made:
        """Make the component of parameters that are known to be right."""
        return self.factory(given, **values) if self.takes_given else self.factory(**values)


class Generator(Component):
    """A network that makes a fake of a source: `generator(source) -> fake`.

    Shape: (B, C_source, H, W) -> (B, C_target, H, W), both in [-1, 1].
    """

    kind, hook = "generator", "p2pkit_generators"


class Discriminator(Component):
    """A network that judges pairs: `discriminator(source, image) -> Verdict`."""

    kind, hook = "discriminator", "p2pkit_discriminators"


@dataclass(frozen=True)
class Loss(Component):
    """An object with `generator(view)`, `discriminator(view)` or both: scalars, without their weights.

    Args:
        judge: Makes the discriminator that the conformance suite tries it with, for a loss that reads more of a verdict
            than its logits.
    """

    judge: Factory | None = field(default=None, kw_only=True)

    kind, hook = "loss", "p2pkit_losses"


class Dataset(Component):
    """A source of pairs; see `PairDataset`."""

    kind, hook = "dataset", "p2pkit_datasets"


class Augmentation(Component):
    """A change of a batch on the device: `augmentation(source, target) -> (source, target)`, same geometry for both."""

    kind, hook = "augmentation", "p2pkit_augmentations"


@dataclass(frozen=True)
class Metric(Component):
    """A torchmetrics `Metric` with `update(fake, target)`; images in [-1, 1].

    Args:
        version: Another one where the same images get another value than before; part of the value's protocol.
    """

    version: str = "1"

    kind, hook = "metric", "p2pkit_metrics"


class Optimizer(Component):
    """A `torch.optim.Optimizer` of the parameters that it is given, in groups with a learning rate each."""

    kind, hook, given = "optimizer", "p2pkit_optimizers", "parameters"


class Schedule(Component):
    """A function of the step that says which factor the learning rates have; it is given the run's `RunLength`."""

    kind, hook, given = "schedule", "p2pkit_schedules", "length"


@dataclass(frozen=True)
class Tracker(Component):
    """An object that is told what happens to a run, which it is given; see `RunTracker`.

    Args:
        always: Whether it takes part in each run, unless a config leaves it out.
    """

    always: bool = False

    kind, hook, given = "tracker", "p2pkit_trackers", "run"


@dataclass(frozen=True)
class Reader(Component):
    """A format of image files: an object that reads those whose names end as said; see `FileReader`.

    What a suffix of p2pkit's own means stays what it is: there a reader is used where a data set names it.

    Args:
        suffixes: What the names of such files end with, with the dot: `.nii`, `.nii.gz`.
    """

    suffixes: tuple[str, ...] = ()

    kind, hook, given = "reader", "p2pkit_readers", ""

    def __post_init__(self) -> None:
        super().__post_init__()
        for suffix in self.suffixes:
            if not suffix.startswith(".") or suffix != suffix.lower() or len(suffix) < 2 or "/" in suffix:
                raise ValueError(f"{self.name}: {suffix!r} is no suffix: write it with its dot, in lower case")
        if isinstance(self.suffixes, str) or not self.suffixes:
            raise ValueError(f"{self.name}: say the suffixes of its files, suffixes=('.grid',)")


class Executor(Component):
    """A place where work runs: this machine's processes, a cluster; see `WorkExecutor`."""

    kind, hook, given = "executor", "p2pkit_executors", ""


KINDS: tuple[type[Component], ...] = (
    *(Generator, Discriminator, Loss, Dataset, Augmentation, Metric),
    *(Optimizer, Schedule, Tracker, Reader, Executor),
)
"""All of them: whoever lists kinds, hooks or names reads them here."""
KIND_NAMES: tuple[str, ...] = tuple(kind.kind for kind in KINDS)
OFFERS: tuple[str, ...] = tuple(kind.hook for kind in KINDS)
"""The hooks by which a plugin offers components, in the order they are asked."""


def _signature(factory: Factory) -> Mapping[str, inspect.Parameter]:
    """Return the factory's arguments; a class that inherits `*args` or `**kwargs` has none of its own."""
    arguments = inspect.signature(factory).parameters
    inherited = inspect.isclass(factory) and "__init__" not in vars(factory)
    if inherited and any(_hides(a) for a in arguments.values()):
        own = {name: a for name, a in arguments.items() if a.default is a.empty and not _hides(a)}
        return own and arguments
    return arguments


def _hides(argument: inspect.Parameter) -> bool:
    return argument.kind in (argument.VAR_KEYWORD, argument.VAR_POSITIONAL)


def _model_of(name: str, factory: Factory, given: str) -> type[BaseModel]:
    """Derive the parameters' model; the errors below are for the plugin's author."""
    arguments = _signature(factory).values()
    for hidden in filter(_hides, arguments):
        stars = "**" if hidden.kind is hidden.VAR_KEYWORD else "*"
        raise TypeError(f"{name}: {stars}{hidden.name} hides its parameters; wrap it in a function that names them")
    named = [argument for argument in arguments if argument.kind is argument.KEYWORD_ONLY]
    if len(arguments) > len(named) and not given:
        raise TypeError(f"{name}: the run gives it nothing; make its arguments keyword-only")
    if len(arguments) - len(named) > 1:
        raise TypeError(f"{name}: of the arguments only the {given} may be positional; make the others keyword-only")
    for reserved in (a.name for a in named if a.name.startswith(("model_", "_")) and hasattr(BaseModel, a.name)):
        raise TypeError(f"{name}: {reserved!r} can't be a parameter's name, since pydantic's models have it; rename it")
    untyped = next((argument.name for argument in named if argument.annotation is argument.empty), None)
    if untyped:
        raise TypeError(f"{name}: parameter {untyped!r} has no type")
    hints = _types_of(factory, named)
    fields: dict[str, Untyped] = {a.name: (hints[a.name], ... if a.default is a.empty else a.default) for a in named}
    config = ConfigDict(extra="forbid", frozen=True, validate_default=True, protected_namespaces=())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Field name .* shadows an attribute", UserWarning)  # `schema`, `copy`, `json`
        model = create_model(f"{name}_params", __config__=config, **fields)
    _check_defaults(name, model)
    return model


def _types_of(factory: Factory, named: Iterable[inspect.Parameter]) -> dict[str, Untyped]:
    """Evaluate the types of the parameters alone: those of other arguments may be importable for type checkers only."""
    whole = factory.func if isinstance(factory, partial) else factory
    written = inspect.unwrap(whole.__init__ if inspect.isclass(whole) else whole)
    annotated = SimpleNamespace(__annotations__={argument.name: argument.annotation for argument in named})
    return typing.get_type_hints(annotated, getattr(written, "__globals__", {}), include_extras=True)


def _check_defaults(name: str, model: type[BaseModel]) -> None:
    try:
        model.model_validate({})
    except ValidationError as error:
        for found in (found for found in error.errors() if found["type"] != "missing"):
            raise TypeError(f"{name}: the default of {found['loc'][0]!r} is wrong: {found['msg']}") from None
