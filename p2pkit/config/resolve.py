"""From a config as written to the components it means, with every mistake found on the way."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from p2pkit.config.executor import ExecutorConfig
from p2pkit.config.flat import component_name
from p2pkit.config.model import LossConfig, OptimizerConfig, RunConfig
from p2pkit.config.phases import Phase, phase_problems, phases_of, terms_in_use
from p2pkit.config.sections import ComponentConfig
from p2pkit.config.sources import Raw, Source, copy_plain
from p2pkit.config.tracking import TrackerConfig
from p2pkit.errors import ConfigError, Problem, RegistryError
from p2pkit.parts import ExecutorPart, LossPart, OptimizerPart, Part
from p2pkit.registry import Registry
from p2pkit.types import ReaderChoice, Resources, Run
from p2pkit.untyped import Json
from p2pkit.yaml_files import MOST_PROBLEMS, first_problems, structural_problem

P = TypeVar("P", bound=Part)


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
        losses: The terms that have a weight in some phase, by name, with that of the config.
        metrics: The metrics, by name.
        idle: The terms whose weight is always 0, by name.
        optimizers: By the key under `optimizers`, what updates networks and losses.
        schedule: What the learning rate does.
        trackers: By name, who records the run.
        executor: Where work runs; None for this process.
        phases: The stretches of the run, of which there is at least one.
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
    optimizers: Mapping[str, OptimizerPart] = field(default_factory=dict)
    schedule: Part | None = None
    trackers: Mapping[str, Part] = field(default_factory=dict)
    executor: ExecutorPart | None = None
    phases: tuple[Phase, ...] = ()

    def part(self, key: Literal["dataset", "generator", "discriminator"]) -> Part:
        """Return a part that has to be there.

        Raises:
            ConfigError: It is missing, and `problems` say why.
        """
        found: Part | None = getattr(self, key)
        if found is None:
            raise ConfigError(self.problems)
        return found

    @property
    def makers(self) -> dict[str, Callable[[Run], object]]:
        """By name what makes a tracker, once there is a run to track."""
        return {name: part.build for name, part in self.trackers.items()}

    def resolved(self) -> dict[str, Json]:
        """Return the resolved config as plain data; reading it back gives the same run without any alias."""
        data: dict[str, Json] = self.config.model_dump(mode="json", exclude={"sweep", "executor"})
        data["tracking"]["folder"] = str(self.config.tracking.folder)
        for key in ("dataset", "generator", "discriminator"):
            part = getattr(self, key)
            data[key] = {**data[key], **part.resolved()} if part else data[key]
        data["phases"] = [phase.model_dump(mode="json", exclude_defaults=True) for phase in self.config.phases]
        data["augment"] = [part.resolved() for part in self.augment]
        data["evaluate"]["metrics"] = [part.resolved() for part in self.metrics.values()]
        for name, part in (
            *self.losses.items(),
            *self.idle.items(),
        ):  # spelt out too, so that runs differ in weight only
            data["losses"][name] = {**data["losses"][name], **part.resolved()}
        for name, part in self.optimizers.items():
            data["optimizers"][name] = {**data["optimizers"][name], **part.resolved()}
        if self.schedule is not None:
            found = self.schedule.resolved()
            data["schedule"] |= {"shape": component_name({"use": found["use"]}), "params": found["params"]}
        for name, part in self.trackers.items():
            if name in data["tracking"]["trackers"]:  # the others take part in every run
                data["tracking"]["trackers"][name] |= part.resolved()
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
    written, in_use = config.losses.items(), terms_in_use(config)
    losses = {name: finder.term(f"losses.{name}", term) for name, term in written if name in in_use}
    unheard = _Finder(registry, [])  # a term that is left out may be wrong
    idle = {name: unheard.term(f"losses.{name}", term) for name, term in written if name not in in_use}
    problems += phase_problems(config)
    metrics = finder.metrics(config.evaluate.metrics)
    augment = [finder.part("augmentation", f"augment.{i}", item) for i, item in enumerate(config.augment)]
    dataset = finder.part("dataset", "dataset", config.dataset)
    generator = finder.part("generator", "generator", config.generator)
    discriminator = finder.part("discriminator", "discriminator", config.discriminator)
    optimizers = {key: finder.optimizer(f"optimizers.{key}", item) for key, item in config.optimizers if item}
    shape = ComponentConfig(use=config.schedule.shape, params=config.schedule.params)
    schedule = finder.part("schedule", "schedule", shape, key="shape")
    trackers = finder.trackers(config.tracking.trackers)
    executor = finder.executor(config.executor, config.engine.device) if config.executor else None
    terms = {name: part for name, part in losses.items() if part}
    return Plan(
        source=source,
        config=config,
        problems=tuple(problems),
        dataset=dataset,
        generator=generator,
        discriminator=discriminator,
        augment=tuple(part for part in augment if part),
        losses=terms,
        metrics=metrics,
        idle={name: part for name, part in idle.items() if part},
        optimizers={key: part for key, part in optimizers.items() if part},
        schedule=schedule,
        trackers=trackers,
        executor=executor,
        phases=phases_of(config, terms),
    )


_ABSENT = "\0"
"""Stands for a component whose name is missing; no YAML file can hold it."""


class _Finder:
    def __init__(self, registry: Registry, problems: list[Problem]) -> None:
        self.registry = registry
        self.problems = problems

    def part(self, kind: str, path: str, written: ComponentConfig, *, key: str = "use") -> Part | None:
        return self._sound(self._found(kind, path, written, key=key))

    def term(self, path: str, written: LossConfig) -> LossPart | None:
        part = self._found("loss", path, written)
        if part is None:
            return None
        return self._sound(LossPart(path, part.component, part.params, part.alias, written.weight, written.every))

    def optimizer(self, path: str, written: OptimizerConfig) -> OptimizerPart | None:
        """Find an optimiser; the parameters that have keys of their own may not be written twice."""
        part = self._found("optimizer", path, written)
        twice = [key for key in OptimizerPart.OWN_KEYS if key in written.params]
        self.problems += [
            Problem(f"{path}.params.{key}", "has a key of its own", f"write it as {path}.{key}") for key in twice
        ]
        if part is None or twice:
            return None
        own = {key: getattr(written, key) for key in OptimizerPart.OWN_KEYS if getattr(written, key) is not None}
        return self._sound(OptimizerPart(path, part.component, {**part.params, **own}, part.alias))

    def executor(self, written: ExecutorConfig, device: str) -> ExecutorPart | None:
        """Find an executor; where no GPU is asked for and the device is none, there is to be none."""
        part = self._found("executor", "executor", written)
        if part is None:
            return None
        gpus = 0.0 if written.gpus is None and device in ("cpu", "mps") else written.gpus
        resources = Resources(written.cpus, gpus, written.memory)
        return self._sound(
            ExecutorPart("executor", part.component, part.params, part.alias, resources, written.retries)
        )

    def trackers(self, written: Mapping[str, TrackerConfig]) -> dict[str, Part]:
        """Find those that a config names, and those that always take part and are not left out."""
        offered = [offer for offer in self.registry.plugins.offers if offer.always]
        named = {item.use: name for name, item in written.items()}
        unasked = [offer for offer in offered if not {offer.name, offer.full_name} & named.keys()]
        paths = {offer.name: f"tracking.trackers.{offer.name}" for offer in unasked}
        found: dict[str, Part | None] = {
            offer.name: self.registry.resolve("tracker", offer.full_name, path=paths[offer.name]) for offer in unasked
        }
        for name, item in written.items():
            if item.enabled:
                found[name] = self.part("tracker", f"tracking.trackers.{name}", item)
        return {name: part for name, part in found.items() if part}

    def _found(self, kind: str, path: str, written: ComponentConfig, *, key: str = "use") -> Part | None:
        if written.use == _ABSENT:
            return None
        try:
            part = self.registry.resolve(kind, written.use, written.params, path)
        except RegistryError as error:
            self.problems += [Problem(f"{path}.{key}", p.cause, p.remedy) for p in error.problems]
            return None
        return replace(part, alias=written.alias) if written.alias else part

    def _sound(self, part: P | None) -> P | None:
        """Return the part if its parameters are right."""
        wrong = part.problems() if part else []
        self.problems += wrong
        return None if wrong or part is None else self._with_readers(part)

    def _with_readers(self, part: P) -> P | None:
        """Spell out the readers that parameters name, so that a model says all by which its files are read."""
        spelt: dict[str, Json] = {}
        for name, info in part.component.parameters.model_fields.items():
            given = part.values[name]
            if given is None or ReaderChoice not in typing.get_args(info.annotation):
                continue
            chosen = ReaderChoice(given) if isinstance(given, str) else given
            use = ComponentConfig(use=chosen.use, params=dict(chosen.params))
            found = self.part("reader", f"{part.path}.params.{name}", use)
            if found is None:
                return None
            resolved = found.resolved()
            spelt[name] = {"use": resolved["use"], "params": resolved["params"]}
        return replace(part, params={**part.params, **spelt}) if spelt else part

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
    raw = copy_plain(raw)
    wrong: list[Problem] = []
    while True:
        try:
            return RunConfig.model_validate(raw), first_problems(wrong, lambda problem: problem)
        except ValidationError as error:
            taken: set[tuple[int | str, ...]] = set()
            for found in error.errors(include_url=False):
                if not any(found["loc"][:length] in taken for length in range(len(found["loc"]) + 1)):
                    wrong += _new_problem(found, raw, wrong)
                    taken.add(_take_out(raw, found["loc"], missing=found["type"] == "missing"))


def _new_problem(found: ErrorDetails, raw: Raw, known: Sequence[Problem]) -> list[Problem]:
    if len(known) >= MOST_PROBLEMS:
        return [Problem("", "")]  # which is counted only
    problem = structural_problem(found, RunConfig, raw, extra=["extends"])
    return [] if any(_follows(problem.path, found["type"], other.path) for other in known) else [problem]


def _follows(path: str, error: str, known: str) -> bool:
    """Tell whether an error is but a consequence of what was taken out at the path `known`."""
    return path == known or (error == "value_error" and known.startswith(f"{path}."))


def _take_out(raw: Raw, loc: tuple[int | str, ...], *, missing: bool) -> tuple[int | str, ...]:
    """Take out the innermost key or item that is wrong, or fill in the one that is missing; return where it was."""
    reached: list[Json] = [raw]
    for part in loc:
        try:
            reached.append(reached[-1][part])
        except (KeyError, IndexError, TypeError):
            break
    if missing and len(reached) == len(loc) and isinstance(reached[-1], dict):
        reached[-1][loc[-1]] = {"use": _ABSENT} if loc[-1] == "dataset" else _ABSENT
        return loc
    for depth in reversed(range(len(reached) - 1)):
        holder, key = reached[depth], loc[depth]
        if isinstance(holder, dict):
            del holder[key]
            return loc[: depth + 1]
        if isinstance(holder, list) and isinstance(key, int) and loc[depth - 1] in ("augment", "metrics"):
            holder[key] = {"use": _ABSENT}
            return loc[: depth + 1]
    raise ConfigError(Problem(".".join(map(str, loc)), "is wrong in a way that p2pkit can't put into words"))
