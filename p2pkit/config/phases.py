"""The phases of a run as it goes by them: what holds in each stretch of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from p2pkit.config.model import RunConfig
from p2pkit.config.phase_sections import PhaseConfig, PhaseTermConfig, UpdatesConfig
from p2pkit.errors import Problem
from p2pkit.parts import LossPart
from p2pkit.types import PairSpec, times
from p2pkit.yaml_files import did_you_mean


@dataclass(frozen=True)
class Phase:
    """A stretch of a run with all that holds in it; a run without phases is a run of one.

    Args:
        number: Which it is, from 1.
        count: How many there are.
        start: Where it begins, in what the schedule counts in.
        end: Where it ends.
        terms: All terms of the run by name, with their weights of now.
        path: Where the config has it; empty for what is left of the run after the last phase that is written.
        name: What it is called; may be empty.
        rates: By key of `optimizers` the factor of its learning rate.
        updates: The pace of the players.
        frozen: By player the patterns of parameters that stay as they are.
        size: Height, or height and width, of the images; None for the run's own.
    """

    number: int
    count: int
    start: int
    end: int
    terms: Mapping[str, LossPart]
    path: str = ""
    name: str = ""
    rates: Mapping[str, float] = field(default_factory=dict)
    updates: UpdatesConfig = field(default_factory=UpdatesConfig)
    frozen: Mapping[str, list[str]] = field(default_factory=dict)
    size: int | tuple[int, int] | None = None

    def __str__(self) -> str:
        return f"phase {self.number}/{self.count}" + (f" ({self.name})" if self.name else "")

    def describe(self, images: PairSpec) -> str:
        """Say what is trained in it: `1 x gan + 100 x l1, 128 x 128`.

        Args:
            images: What the run's images are.
        """
        said = [" + ".join(f"{part.weight:g} x {name}" for name, part in self.terms.items() if part.weight > 0)]
        size = self.size_of(images)
        said += [f"images of {times(size)}"] if size != images.size else []
        if self.updates != UpdatesConfig():
            pace = self.updates
            said.append(f"{pace.discriminator} updates of the discriminator for {pace.generator} of the generator")
        said += [f"the {player}'s {', '.join(held)} frozen" for player, held in self.frozen.items() if held]
        said += [f"{rate:g} x the learning rate of the {key}" for key, rate in self.rates.items() if rate != 1]
        return ", ".join(said)

    def at(self, key: str) -> str:
        """Return the path of a key that the phase may say: there, or else in the run's config."""
        return f"{self.path}.{key}" if self.path else key

    def rate(self, player: str) -> float:
        """Return the factor of the learning rate of `generator`, `discriminator` or `losses.TERM`."""
        return self.rates.get(player.partition(".")[0], self.rates.get("generator", 1.0))

    def size_of(self, images: PairSpec) -> tuple[int, ...]:
        """Return the size of the images, given what the run's are; a height alone changes all sides with it."""
        if isinstance(self.size, tuple):
            return (*images.size[:-2], *self.size)
        height = self.size or images.height
        return tuple(round(height * side / images.height) for side in images.size)


def terms_in_use(config: RunConfig) -> set[str]:
    """Return the names of the terms that have a weight in some stretch of a run."""
    phased = {name for phase in config.phases for name, term in phase.losses.items() if term.weight}
    return {name for name, term in config.losses.items() if term.weight > 0} | (phased & config.losses.keys())


def phases_of(config: RunConfig, terms: Mapping[str, LossPart]) -> tuple[Phase, ...]:
    """Return a run's phases, the stretch after the last one that is written included.

    Args:
        config: The run's config.
        terms: The terms in use.
    """
    unit, whole = config.schedule.unit, config.schedule.length
    own = config.updates or UpdatesConfig()
    found, start = list[Phase](), 0
    for index, phase in enumerate(config.phases):
        end = min(start + (getattr(phase, unit) or 0), whole)
        frozen = {player: getattr(phase.frozen, player) or [] for player in config.frozen.patterns}
        unsaid = {p: held for p, held in config.frozen.patterns.items() if getattr(phase.frozen, p) is None}
        weighed = {name: _weighed(part, phase.losses.get(name)) for name, part in terms.items()}
        found.append(
            Phase(
                *(index + 1, 0, start, end, weighed, f"phases.{index}", phase.name or "", _rates(config, phase)),
                phase.updates or own,
                {**frozen, **unsaid},
                phase.size,
            )
        )
        start = end
    if start < whole or not found:
        last = Phase(len(found) + 1, 0, start, whole, terms, updates=own, frozen=config.frozen.patterns)
        found.append(last)
    return tuple(replace(phase, count=len(found)) for phase in found)


def _weighed(part: LossPart, change: PhaseTermConfig | None) -> LossPart:
    given = change.model_dump(exclude_none=True) if change else {}
    return replace(part, **given)


def _rates(config: RunConfig, phase: PhaseConfig) -> dict[str, float]:
    """Return by key of `optimizers` the phase's learning rate over the run's."""
    found, own = dict[str, float](), config.optimizers
    for key in ("generator", "discriminator"):
        wanted = getattr(phase.optimizers, key).lr
        found[key] = wanted / getattr(own, key).lr if wanted else 1.0
    wanted = phase.optimizers.losses.lr
    if wanted or own.losses is not None:  # else they learn as the generator does
        found["losses"] = wanted / (own.losses or own.generator).lr if wanted else 1.0
    return found


def phase_problems(config: RunConfig) -> Iterator[Problem]:
    """Yield what is wrong with the phases by themselves: lengths, and terms that the run does not have."""
    unit, whole, taken = config.schedule.unit, config.schedule.length, 0
    other = "steps" if unit == "epochs" else "epochs"
    for index, phase in enumerate(config.phases):
        path, length = f"phases.{index}", getattr(phase, unit)
        if getattr(phase, other) is not None:
            remedy = f"write {unit}, or give schedule.{other}"
            yield Problem(f"{path}.{other}", f"the run counts in {unit}, as schedule says", remedy)
        elif length is None:
            yield Problem(path, "has no length", f"write {unit}: N")
        taken += length or 0
        if taken > whole and taken - (length or 0) <= whole:
            cause = f"the phases up to this one take {taken} {unit}, and the run has {whole}"
            yield Problem(f"{path}.{unit}", cause, f"raise schedule.{unit}, or make phases shorter")
        for name in phase.losses.keys() - config.losses.keys():
            known = f"{did_you_mean(name, config.losses)}terms: {', '.join(config.losses)}"
            remedy = f"{known}; one for this phase alone stands under losses with weight 0"
            yield Problem(f"{path}.losses.{name}", "there is no such term in this run", remedy)
