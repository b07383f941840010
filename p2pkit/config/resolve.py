"""From a config as written to the components it means, with every mistake found on the way."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from p2pkit.config.model import ComponentConfig, RunConfig
from p2pkit.config.sources import Raw, Source
from p2pkit.errors import ComponentError, ConfigError, P2pkitError, Problem, RegistryError, first_line
from p2pkit.plugins.loading import Offer
from p2pkit.registry import Registry, parameter_problems
from p2pkit.types import PairSpec
from p2pkit.yaml_files import structural_problem


@dataclass(frozen=True)
class Part:
    """One component of a run, found and its parameters checked.

    Args:
        path: Where the config names it.
        offer: The component and its plugin.
        params: The parameters, an alias's laid under the written ones.
        alias: The alias that was written, if it was one.
    """

    path: str
    offer: Offer
    params: Mapping[str, Any] = field(default_factory=dict)
    alias: str | None = None
    made: set[type] = field(default_factory=set, init=False, compare=False, repr=False)
    """Types of what was built, by which errors are traced back to it."""

    @property
    def name(self) -> str:
        """What people call it: the alias, or the component's name."""
        return self.alias or self.offer.component.name

    def build(self, images: PairSpec | None = None) -> Any:
        """Make the component.

        Raises:
            ConfigError: It can't be made of these parameters and images.
        """
        try:
            built = self.offer.component.build(images, self.params)
            self.made.add(type(built))
            return built
        except ComponentError as error:
            raise ConfigError(error.at(self.path)) from None
        except P2pkitError:
            raise
        except (Exception, SystemExit) as error:  # a plugin may raise anything
            cause = f"{self.offer.full_name} can't be built: {first_line(error, typed=True)}"
            raise ConfigError(Problem(self.path, cause)) from error

    def resolved(self) -> dict[str, Any]:
        """Return the reference with everything spelt out: full name, all parameters, absolute paths."""
        model = self.offer.component.parameters.model_validate(dict(self.params))
        params = {name: _plain(getattr(model, name)) for name in type(model).model_fields}
        return {"use": self.offer.full_name, "params": params, "alias": self.name}


@dataclass(frozen=True)
class LossPart(Part):
    """A term: a loss with its weight."""

    weight: float = 1.0
    every: int = 1

    def resolved(self) -> dict[str, Any]:
        """Return the term with everything spelt out: what MLflow and checkpoints say of it is what the step reads."""
        return {"weight": self.weight, "every": self.every, **super().resolved()}


@dataclass(frozen=True)
class Plan:
    """A config whose names and parameters are resolved.

    A part is missing where the config is wrong there; `problems` then says why.

    Args:
        source: The config as written.
        config: The config, defaults filled in; where a key was wrong, its default.
        problems: Everything that is wrong so far.
        dataset: The data.
        generator: The generator.
        discriminator: The discriminator that would judge, if a term wants one.
        augment: The augmentations, in order.
        losses: The terms whose weight is not 0, by name.
        metrics: The metrics, by name.
        idle: The terms whose weight is 0, by name.
    """

    source: Source
    config: RunConfig
    problems: tuple[Problem, ...]
    dataset: Part | None
    generator: Part | None
    discriminator: Part | None
    augment: tuple[Part, ...]
    losses: Mapping[str, LossPart]
    metrics: Mapping[str, Part]
    idle: Mapping[str, LossPart] = field(default_factory=dict)

    def part(self, key: Literal["dataset", "generator", "discriminator"]) -> Part:
        """Return a part that has to be there.

        Raises:
            ConfigError: It is missing, and `problems` say why.
        """
        found: Part | None = getattr(self, key)
        if found is None:
            raise ConfigError(self.problems)
        return found

    def resolved(self) -> dict[str, Any]:
        """Return the resolved config as plain data; reading it back gives the same run without any alias."""
        data: dict[str, Any] = self.config.model_dump(mode="json", exclude={"sweep"})
        data["tracking"]["folder"] = str(self.config.tracking.folder)
        for key in ("dataset", "generator", "discriminator"):
            part = getattr(self, key)
            data[key] = {**data[key], **part.resolved()} if part else data[key]
        data["augment"] = [part.resolved() for part in self.augment]
        data["evaluate"]["metrics"] = [part.resolved() for part in self.metrics.values()]
        for name, part in (
            *self.losses.items(),
            *self.idle.items(),
        ):  # spelt out too, so that runs differ in weight only
            data["losses"][name] = {**data["losses"][name], **part.resolved()}
        return data


def resolve(source: Source, registry: Registry) -> Plan:
    """Check a config's structure, names and parameters, and find its components.

    Args:
        source: The config as written.
        registry: The names in force.

    Returns:
        The plan, with all problems found.
    """
    config, problems = _structure(source.raw)
    finder = _Finder(registry, problems)
    written = config.losses.items()
    losses = {name: finder.term(f"losses.{name}", term) for name, term in written if term.weight > 0}
    unheard = _Finder(registry, [])  # a term that is left out may be wrong
    idle = {name: unheard.term(f"losses.{name}", term) for name, term in written if term.weight == 0}
    metrics = finder.metrics(config.evaluate.metrics)
    augment = [finder.part("augmentation", f"augment.{i}", item) for i, item in enumerate(config.augment)]
    dataset = finder.part("dataset", "dataset", config.dataset)
    generator = finder.part("generator", "generator", config.generator)
    discriminator = finder.part("discriminator", "discriminator", config.discriminator)
    return Plan(
        source=source,
        config=config,
        problems=tuple(problems),
        dataset=dataset,
        generator=generator,
        discriminator=discriminator,
        augment=tuple(part for part in augment if part),
        losses={name: part for name, part in losses.items() if part},
        metrics=metrics,
        idle={name: part for name, part in idle.items() if part},
    )


_ABSENT = "\0"
"""Stands for a component whose name is missing; no YAML file can hold it."""


class _Finder:
    def __init__(self, registry: Registry, problems: list[Problem]) -> None:
        self.registry = registry
        self.problems = problems

    def part(self, kind: str, path: str, written: ComponentConfig) -> Part | None:
        if written.use == _ABSENT:
            return None
        try:
            found = self.registry.resolve(kind, written.use)
        except RegistryError as error:
            self.problems += [Problem(f"{path}.use", p.cause, p.remedy) for p in error.problems]
            return None
        params = {**found.params, **written.params}
        wrong = parameter_problems(found.offer.component, params, f"{path}.params")
        self.problems += wrong
        return None if wrong else Part(path, found.offer, params, written.alias or found.alias)

    def term(self, path: str, written: Any) -> LossPart | None:
        part = self.part("loss", path, written)
        if part is None:
            return None
        return LossPart(part.path, part.offer, part.params, part.alias, written.weight, written.every)

    def metrics(self, written: Sequence[ComponentConfig]) -> dict[str, Part]:
        named: dict[str, Part] = {}
        for i, metric in enumerate(written):
            path = f"evaluate.metrics.{i}"
            part = self.part("metric", path, metric)
            if part is not None and part.name in named:
                cause = f"another metric is already called {part.name!r}"
                self.problems.append(Problem(path, cause, "name one of the two otherwise by its key `alias`"))
            elif part is not None:
                named[part.name] = part
        return named


def _structure(raw: Raw) -> tuple[RunConfig, list[Problem]]:
    """Validate the structure; what is wrong is reported and taken out, so that the rest can be checked too."""
    raw = copy.deepcopy(raw)
    problems: list[Problem] = []
    while True:
        try:
            return RunConfig.model_validate(raw), problems
        except ValidationError as error:
            found = error.errors()[0]
            problem = structural_problem(found, RunConfig, extra=["extends"])
            if not any(_follows(problem.path, found["type"], known.path) for known in problems):
                problems.append(problem)
            _take_out(raw, found["loc"], missing=found["type"] == "missing")


def _follows(path: str, error: str, known: str) -> bool:
    """Tell whether an error is but a consequence of what was taken out at the path `known`."""
    return path == known or (error == "value_error" and known.startswith(f"{path}."))


def _take_out(raw: Raw, loc: Sequence[Any], *, missing: bool) -> None:
    """Take out the innermost key or item that is wrong, or fill in the one that is missing."""
    reached: list[Any] = [raw]
    for part in loc:
        try:
            reached.append(reached[-1][part])
        except (KeyError, IndexError, TypeError):
            break
    if missing and len(reached) == len(loc) and isinstance(reached[-1], dict):
        reached[-1][loc[-1]] = {"use": _ABSENT} if loc[-1] == "dataset" else _ABSENT
        return
    for depth in reversed(range(len(reached) - 1)):
        holder, key = reached[depth], loc[depth]
        if isinstance(holder, dict):
            del holder[key]
            return
        if isinstance(holder, list) and loc[depth - 1] in ("augment", "metrics"):
            holder[key] = {"use": _ABSENT}
            return


def _plain(value: Any) -> Any:
    """Return a parameter as YAML can hold it."""
    if isinstance(value, Path):
        return str(value.absolute())
    if isinstance(value, BaseModel):
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value
