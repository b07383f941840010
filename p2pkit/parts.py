"""A component with its parameters, as a config names it."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, to_jsonable_python

from p2pkit.components import Component
from p2pkit.errors import ComponentError, ConfigError, P2pkitError, Problem, first_line
from p2pkit.types import optional
from p2pkit.types.markers import StartsFrom
from p2pkit.types.protocols import WorkExecutor
from p2pkit.types.work import Resources
from p2pkit.untyped import Json, Made, Plain
from p2pkit.yaml_files import did_you_mean, first_problems, shortened


@dataclass(frozen=True)
class Part:
    """One component of a run, with its parameters.

    Args:
        path: Where the config names it.
        component: The component.
        params: The parameters as written, over those that an alias fills in.
        alias: The alias that was written, if it was one.
    """

    path: str
    component: Component
    params: Plain = field(default_factory=dict)
    alias: str | None = None
    loaded: bool = field(default=False, kw_only=True)
    """Whether its weights come from a checkpoint, so that those it would begin with are not needed."""
    made: set[type] = field(default_factory=set, init=False, compare=False, repr=False)
    """Types of what was built, by which errors are traced back to it."""

    @property
    def name(self) -> str:
        """What people call it: the alias, or the component's name."""
        return self.alias or self.component.name

    @cached_property
    def _validated(self) -> BaseModel | ValidationError:
        """The parameters, checked once and defaults filled in, or what is wrong with them."""
        try:
            return self.component.parameters.model_validate(dict(self.params))
        except ValidationError as error:
            return error

    def problems(self, *, partial: bool = False) -> list[Problem]:
        """List what is wrong with the parameters, each with its path.

        Args:
            partial: Whether required parameters may still be missing, as in an alias.
        """
        found = self._validated.errors() if isinstance(self._validated, ValidationError) else []
        left = [each for each in found if not (partial and each["type"] == "missing")]
        return first_problems(left, lambda each: _problem(self.component, f"{self.path}.params", each))

    @property
    def values(self) -> dict[str, Json]:
        """The parameters as the factory is given them.

        Raises:
            ConfigError: They are wrong.
        """
        if isinstance(self._validated, ValidationError):
            raise ConfigError(self.problems())
        return self.component.values(self._validated)

    @property
    def _void(self) -> dict[str, None]:
        """The parameters that say nothing any more, since a checkpoint has the weights."""
        fields = self.component.parameters.model_fields.items() if self.loaded else ()
        return {name: None for name, info in fields if info.default is None and _starts(info.annotation, info.metadata)}

    def build(self, given: object = None) -> Made:
        """Make the component.

        Args:
            given: What the run gives to its kind: for most the `PairSpec`.

        Raises:
            ConfigError: It can't be made of these parameters and what is given.
        """
        values = {**self.values, **self._void}
        try:
            built = self.component.make(given, values)
        except ComponentError as error:
            raise ConfigError(error.at(self.path)) from None
        except P2pkitError:
            raise
        except (Exception, SystemExit) as error:  # a plugin may raise anything
            cause = f"{self.component.full_name} can't be built: {first_line(error, typed=True)}"
            raise ConfigError(Problem(self.path, cause)) from error
        self.made.add(type(built))
        return built

    def resolved(self) -> dict[str, Json]:
        """Return the reference with everything spelt out: full name, all parameters, absolute paths."""
        params = {name: plain(value) for name, value in self.values.items()}
        return {"use": self.component.full_name, "params": params, "alias": self.name}


@dataclass(frozen=True)
class LossPart(Part):
    """A term: a loss with its weight."""

    weight: float = 1.0
    every: int = 1

    def resolved(self) -> dict[str, Json]:
        """Return the term with everything spelt out: what MLflow and checkpoints say of it is what the step reads."""
        return {"weight": self.weight, "every": self.every, **super().resolved()}


@dataclass(frozen=True)
class OptimizerPart(Part):
    """An optimiser: some of its parameters have keys of their own in the config, beside `params`."""

    OWN_KEYS: ClassVar[tuple[str, ...]] = ("betas", "eps", "weight_decay")

    def problems(self, *, partial: bool = False) -> list[Problem]:
        """List what is wrong with the parameters, each with its path."""
        own = {f"{self.path}.params.{key}": f"{self.path}.{key}" for key in self.OWN_KEYS}
        return [replace(problem, path=_moved(problem.path, own)) for problem in super().problems(partial=partial)]

    def resolved(self) -> dict[str, Json]:
        """Return the reference with everything spelt out, each parameter where the config has it."""
        found = super().resolved()
        own = {key: found["params"].pop(key, None) for key in self.OWN_KEYS}
        return {**found, **own}


@dataclass(frozen=True)
class ExecutorPart(Part):
    """Where work runs, what each piece of it needs, and how often one is given anew whose worker was lost."""

    resources: Resources = field(default_factory=Resources)
    retries: int = 2

    @contextmanager
    def ready(self) -> Iterator[WorkExecutor]:
        """Context with the executor, which has said that it has what a piece of work needs.

        Raises:
            P2pkitError: It can't be made or reached, or has less.
        """
        with closing(self.build()) as executor:
            optional.require(executor)(self.resources)
            yield executor


def _moved(path: str, places: Mapping[str, str]) -> str:
    """Return a path that begins elsewhere, where it is known to."""
    found = (there + path[len(here) :] for here, there in places.items() if f"{path}.".startswith(f"{here}."))
    return next(found, path)


def _starts(annotation: object, metadata: Sequence[object] = ()) -> bool:
    """Whether a parameter, or an alternative of it, is a `WeightsFile`."""
    inner = typing.get_args(annotation)
    return any(isinstance(each, StartsFrom) for each in (*metadata, *inner)) or any(map(_starts, inner))


def plain(value: object) -> Json:
    """Return a parameter as YAML can hold it, from which it can be read again."""
    if isinstance(value, Path):
        return str(value.absolute())
    if isinstance(value, BaseModel):
        return {name: plain(getattr(value, name)) for name in type(value).model_fields}
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return to_jsonable_python(value, fallback=str)


def _problem(component: Component, path: str, found: ErrorDetails) -> Problem:
    where = ".".join([path, *map(str, found["loc"])])
    known = list(component.parameters.model_fields)
    if found["type"] == "extra_forbidden":
        hint = did_you_mean(str(found["loc"][-1]), known, n=2)
        cause = f"{component.name} has no parameter {shortened(found['loc'][-1])}"
        return Problem(where, cause, f"{hint}its parameters: {', '.join(known) or 'none'}")
    if found["type"] == "missing":
        return Problem(where, f"{component.name} needs this parameter", _describe(component, str(found["loc"][0])))
    cause = f"{found['msg'][0].lower()}{found['msg'][1:]}, got {shortened(found['input'])}"
    return Problem(where, cause, _describe(component, str(found["loc"][0])))


def _describe(component: Component, name: str) -> str:
    info = component.parameters.model_fields.get(name)
    return info.description or "" if info else ""
