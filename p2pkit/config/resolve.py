"""From a config as written to the components it means, with every mistake found on the way."""

from __future__ import annotations

import copy
import difflib
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from p2pkit.config.model import ComponentConfig, RunConfig
from p2pkit.config.sources import Raw, Source
from p2pkit.errors import ComponentError, ConfigError, P2pkitError, Problem, RegistryError
from p2pkit.plugins import Offer
from p2pkit.registry import Registry, parameter_problems
from p2pkit.types import PairSpec


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
            return self.offer.component.build(images, self.params)
        except ComponentError as error:
            raise ConfigError(error.at(self.path)) from None
        except P2pkitError:
            raise
        except Exception as error:
            cause = f"{self.offer.full_name} can't be built: {type(error).__name__}: {error}"
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

    def resolved(self) -> dict[str, Any]:
        """Return the resolved config as plain data; reading it back gives the same run without any alias."""
        data: dict[str, Any] = self.config.model_dump(mode="json")
        data["tracking"]["folder"] = str(self.config.tracking.folder)
        for key in ("dataset", "generator", "discriminator"):
            part = getattr(self, key)
            data[key] = {**data[key], **part.resolved()} if part else data[key]
        data["augment"] = [part.resolved() for part in self.augment]
        data["evaluate"]["metrics"] = [part.resolved() for part in self.metrics.values()]
        for name, part in self.losses.items():
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
    metrics = [finder.part("metric", f"evaluate.metrics.{i}", m) for i, m in enumerate(config.evaluate.metrics)]
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
        metrics={part.name: part for part in metrics if part},
    )


_ABSENT = "?"


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
        return None if wrong else Part(path, found.offer, params, found.alias or written.alias)

    def term(self, path: str, written: Any) -> LossPart | None:
        part = self.part("loss", path, written)
        if part is None:
            return None
        return LossPart(part.path, part.offer, part.params, part.alias, written.weight, written.every)


def _structure(raw: Raw) -> tuple[RunConfig, list[Problem]]:
    """Validate the structure; wrong keys are reported and taken out, so that the rest can be checked too."""
    raw = copy.deepcopy(raw)
    problems: list[Problem] = []
    while True:
        try:
            return RunConfig.model_validate(raw), problems
        except ValidationError as error:
            for found in error.errors():
                problems.append(_structural(found))
                _take_out(raw, found["loc"], missing=found["type"] == "missing")


def _structural(found: Any) -> Problem:
    path = ".".join(map(str, found["loc"]))
    key = str(found["loc"][-1])
    if found["type"] == "extra_forbidden":
        known = _keys_at(found["loc"][:-1])
        near = difflib.get_close_matches(key, known, n=2, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        return Problem(path, f"there is no key {key!r} here", f"{hint}keys: {', '.join(known)}")
    if found["type"] == "missing":
        return Problem(path, "this key is missing", "every run needs it")
    message = found["msg"].removeprefix("Value error, ")
    shown = "" if isinstance(found["input"], dict) else f", got {found['input']!r}"
    return Problem(path, f"{message[0].lower()}{message[1:]}{shown}")


def _take_out(raw: Any, loc: Sequence[Any], *, missing: bool) -> None:
    """Remove a wrong key, or the section whose required key is missing."""
    for part in loc[:-1]:
        if not (isinstance(raw, dict) and part in raw) and not (isinstance(raw, list) and isinstance(part, int)):
            break
        raw = raw[part]
    if missing:
        raw[loc[-1]] = {"use": _ABSENT} if loc[-1] == "dataset" else _ABSENT
    elif isinstance(raw, dict) and loc[-1] in raw:
        del raw[loc[-1]]
    else:
        raw.clear()


def _keys_at(loc: Sequence[Any]) -> list[str]:
    """Return the keys that are allowed at a place of the config."""
    model: Any = RunConfig
    for part in loc:
        if isinstance(model, type) and issubclass(model, BaseModel) and part in model.model_fields:
            model = model.model_fields[part].annotation
        else:  # the name of a term or an index: its model is the container's last argument
            model = typing.get_args(model)[-1]
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


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
