"""The attributes that a component may have: each is named, typed, explained and read here, and nowhere else.

`multiple(generator)` reads the generator's attribute `multiple`, or gives what holds for a generator without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from p2pkit.types.protocols import PROTOCOLS, FileRows, PairDataset
from p2pkit.untyped import Plain, Untyped

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from p2pkit.errors import Problem
    from p2pkit.types.view import View
    from p2pkit.types.work import Resources

T = TypeVar("T")


@dataclass(frozen=True)
class Attribute(Generic[T]):
    """An attribute or method that what a factory makes may have; calling it reads it.

    Args:
        name: Its name.
        owner: Whose it is: a kind of component, `stream`, or `any`.
        written: Its type, or a method's signature, as the documentation writes it.
        default: What holds where there is none.
        holds: Whether a value is of that type.
        meaning: What it is for, in a sentence.
    """

    name: str
    owner: str
    written: str
    default: T
    holds: Callable[[object], bool]
    meaning: str

    def __call__(self, component: object) -> T:
        """Return the component's own attribute, or the default."""
        found: T = getattr(component, self.name, self.default)
        return found

    def wrong(self, component: object) -> str:
        """Say why a component's attribute can't be used; empty where it can, or where there is none."""
        found = self(component)
        if found is self.default or self.holds(found):
            return ""
        return f"has {found!r} as its attribute {self.name}, which must be {self.written}"


def _whole(least: int) -> Callable[[object], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= least


def _bool(value: object) -> bool:
    return isinstance(value, bool)


def _names(value: object) -> bool:
    return value is None or (isinstance(value, tuple | list) and all(isinstance(each, str) for each in value))


def _size(value: object) -> bool:
    return value is None or (isinstance(value, tuple | list) and len(value) in (2, 3) and all(map(_whole(1), value)))


def _scales(value: object) -> bool:
    return value is None or (isinstance(value, tuple | list) and len(value) == 2 and 0 < value[0] <= value[1])


def _number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


WANTED = ("source", "target", "fake", "fakes")
"""What a metric may want."""


def _wishes(value: object) -> bool:
    return isinstance(value, tuple | list) and all(name in WANTED for name in value)


multiple = Attribute(
    *("multiple", "generator", "a whole number of 1 or more", 1, _whole(1)),
    "The sides of its images must be divisible by this; `translate` pads others.",
)
stochastic = Attribute(
    *("stochastic", "generator", "true or false", False, _bool),
    "Its fakes of one source differ, beside dropout: the conformance suite does not hold two calls against each other.",
)
conditional = Attribute(
    *("conditional", "discriminator", "true or false", True, _bool),
    "Whether it looks at the source; the conformance suite expects so unless this says otherwise.",
)
takes = Attribute[Sequence[str] | None](
    *("takes", "generator", "a list of names or None", None, _names),
    "The extras that its forward is given by name, where its arguments' names don't say so.",
)
generator_turn = Attribute[Callable[["View"], "Tensor"] | None](
    *("generator", "loss", "a method (view) -> scalar", None, callable),
    "What the generator minimises; a loss without it has no say in the generator's turn.",
)
discriminator_turn = Attribute[Callable[["View"], "Tensor"] | None](
    *("discriminator", "loss", "a method (view) -> scalar", None, callable),
    "What the discriminator minimises; a run is given a discriminator where a loss has it.",
)
threshold = Attribute[float | None](
    *("threshold", "loss", "a number or None", None, _number),
    "Above which logit its discriminator takes a pair for real; the engine then measures how often it is right.",
)
encode = Attribute[Callable[["Tensor", "Tensor", Mapping[str, "Tensor"]], Mapping[str, "Tensor"]] | None](
    *("encode", "loss", "a method (source, target, extras) -> mapping", None, callable),
    "Makes extras of training pairs, in the place of drawn ones, before the generator is asked; in `view.extras` too.",
)
detached = Attribute(
    *("detached", "loss", "true or false", False, _bool),
    "Its gradient is meant not to be its value's derivative; the conformance suite does not compare the two.",
)
at = Attribute[Callable[..., PairDataset] | None](
    *("at", "dataset", "a method (height, width) -> PairDataset", None, callable),
    "The same data at another size, for augmentations that load larger images than they return; of volumes the depth "
    "comes first.",
)
own_shapes = Attribute(
    *("own_shapes", "dataset", "true or false", False, _bool),
    "Pairs `at` a size keep their proportions and may be larger, since those of the data are not the run's.",
)
native = Attribute[Callable[[], PairDataset] | None](
    *("native", "dataset", "a method () -> PairDataset", None, callable),
    "The same data with each pair at its own size, for augmentations that take parts of images.",
)
fingerprint = Attribute[Callable[[str], str]](
    *("fingerprint", "dataset", "a method (split) -> str", lambda split: "", callable),
    "A short text that changes when the data of a split change; recorded with the run.",
)
resampling = Attribute(
    *("resampling", "dataset", "a text", "not stated", lambda value: isinstance(value, str)),
    "The filter by which images came to their size, for the protocol of evaluations.",
)
faults = Attribute[Callable[[str], "Sequence[Problem]"]](
    *("faults", "dataset", "a method (split) -> list of Problem", lambda split: (), callable),
    "What can be told to be wrong with a split's files without reading them, for instance files that are empty.",
)
notes = Attribute[Sequence[str]](
    *("notes", "dataset", "a list of sentences", (), lambda value: isinstance(value, tuple | list)),
    "What is to be known before training: what is left out, which values are cut off.",
)
problems = Attribute[Callable[[], "Sequence[Problem]"]](
    *("problems", "stream", "a method () -> list of Problem", list, callable),
    "What can be told to be wrong without reading the pairs, for instance files that are missing.",
)
resident = Attribute(
    *("resident", "stream", "true or false", False, _bool),
    "Pairs lie ready in memory or in mapped files, so that a thread which reads ahead would only be in the way.",
)
moves = Attribute(
    *("moves", "augmentation", "true or false", True, _bool),
    "Whether it changes where things are; if so, its call takes the images among the extras too: `*extras`.",
)
loads = Attribute[tuple[int, ...] | None](
    *("loads", "augmentation", "(height, width) or None", None, _size),
    "The size of the images that it wants to be given, where they are larger than those it returns; of volumes with "
    "the depth before it.",
)
parts = Attribute[tuple[float, float] | None](
    *("parts", "augmentation", "(least, most) scale or None", None, _scales),
    "Between which scales images of their own size are before the engine takes a part of the run's size.",
)
wants = Attribute[Sequence[str]](
    *("wants", "metric", f"some of {', '.join(WANTED)}", ("fake", "target"), _wishes),
    "The arguments of its `update`, in order; `fakes` are several fakes (B, N, C, H, W) of each source that differ by "
    "noise, drawn or dropout's.",
)
fakes = Attribute(
    *("fakes", "metric", "a whole number of 1 or more", 2, _whole(1)), "How many `fakes` of each source it wants."
)
higher_is_better = Attribute[bool | None](
    *("higher_is_better", "metric", "true, false or None", None, lambda value: value is None or _bool(value)),
    "Which values are better; without it neither the best checkpoint nor a sweep can go by the metric.",
)
protocol = Attribute[Plain](
    *("protocol", "metric", "a mapping", {}, lambda value: isinstance(value, Mapping)),
    "What else its value depends on, such as `weights`, the checksum of a network's.",
)
warnings = Attribute[Callable[[], Sequence[str]]](
    *("warnings", "metric", "a method () -> list of sentences", tuple, callable),
    "Why a value should not be believed, asked after `compute`.",
)

evaluated = Attribute[Callable[..., str | None] | None](
    *("evaluated", "tracker", "a method (step, report, samples)", None, callable),
    "Receives the outcome of an evaluation: a `Report`, and the `Samples`.",
)
checkpointed = Attribute[Callable[..., str | None] | None](
    *("checkpointed", "tracker", "a method (step, path, best)", None, callable),
    "Learns that a checkpoint is complete on disk, and whether it is the best so far.",
)
went_back = Attribute[Callable[..., str | None] | None](
    *("went_back", "tracker", "a method (step)", None, callable),
    "Learns that a training goes on from an earlier step, and has set aside what came later.",
)
summarised = Attribute[Callable[..., str | None] | None](
    *("summarised", "tracker", "a method (facts, files)", None, callable),
    "Receives what a run comes to as a whole; what comes later replaces what came before.",
)
ended = Attribute[Callable[..., str | None] | None](
    *("ended", "tracker", "a method (error, reason)", None, callable),
    "Learns that the run is over: by which error, if any, or why as planned; it is told nothing after that.",
)

write = Attribute[Callable[..., object] | None](
    *("write", "reader", "a method (path, image)", None, callable),
    "Writes an `ImageFile`, with the `meta` of the file that a fake was made of: None where its size is another.",
)
sniff = Attribute[Callable[[bytes], bool] | None](
    *("sniff", "reader", "a method (head) -> bool", None, callable),
    "Says by the first 4096 bytes whether a file is of its format, where names don't tell: files without a suffix, and "
    "those whose suffix several readers have.",
)
rows = Attribute[Callable[["Path"], "FileRows"] | None](
    *("rows", "reader", "a method (path) -> FileRows", None, callable),
    "Opens a file that is too large for memory, to be translated by rows; raises `OSError` where that can't be.",
)
example = Attribute[Callable[..., object] | None](
    *("example", "reader", "a method (path)", None, callable),
    "Writes a small file, by which the conformance suite tries a reader that can't write.",
)

workers = Attribute[int | None](
    *(
        "workers",
        "executor",
        "a whole number of 1 or more, or None",
        None,
        lambda value: value is None or _whole(1)(value),
    ),
    "How many pieces of work it does at a time: a sweep has so many workers, and files are cut into portions by it; "
    "None where that is not known.",
)
require = Attribute[Callable[["Resources"], None]](
    *("require", "executor", "a method (resources)", lambda resources: None, callable),
    "Raises `P2pkitError` where it can't be reached, or nowhere has so much; asked before anything is written.",
)

exempt = Attribute[Mapping[str, str]](
    *("exempt", "any", "a mapping of texts", {}, lambda value: isinstance(value, Mapping)),
    "Rules of the conformance suite that it can't keep, each with the reason, by which they are skipped.",
)

ATTRIBUTES: tuple[Attribute[Untyped], ...] = tuple(
    found for found in list(globals().values()) if isinstance(found, Attribute)
)
"""All of them, in the order of the kinds."""

TURNS = {"generator": generator_turn, "discriminator": discriminator_turn}
"""For each player how a loss is asked what the player minimises."""


def turn(loss: object, player: str) -> Callable[[View], Tensor]:
    """Return how a loss is asked in a player's turn, in which it has a say."""
    asked = TURNS[player](loss)
    if asked is None:
        raise LookupError(f"this loss has no say in the {player}'s turn")
    return asked


def misfits(kind: str, made: object) -> list[str]:
    """List what keeps something from being used as a component of a kind, a sentence each.

    Args:
        kind: The kind, or `stream`.
        made: What a factory made.
    """
    if not isinstance(made, PROTOCOLS.get(kind, (object,))):
        names = " or ".join(protocol.__name__ for protocol in PROTOCOLS[kind])
        return [f"made a {type(made).__name__} where a p2pkit.{names} is wanted"]
    return wrong_attributes(kind, made)


def wrong_attributes(kind: str, made: object) -> list[str]:
    """List which of the attributes that a component of a kind may have are of a wrong type, a sentence each."""
    mine = (attribute for attribute in ATTRIBUTES if attribute.owner in (kind, "any"))
    return [wrong for attribute in mine if (wrong := attribute.wrong(made))]
