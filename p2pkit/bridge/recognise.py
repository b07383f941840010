"""From a file's tensors to the networks in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from p2pkit.bridge.discriminators import DISCRIMINATORS
from p2pkit.bridge.generators import GENERATORS
from p2pkit.bridge.layout import NORM_STATE, Inferred, Layout, Names, Params, Shapes, image_specs, name_tensors
from p2pkit.errors import ComponentError, ModelError, Problem
from p2pkit.registry import Registry

LAYOUTS = (*GENERATORS, *DISCRIMINATORS)
_SIDE = 1024
_PART = re.compile(r"(generator|discriminator)(?:s\.([^.]+))?\.")
"""What mmgeneration puts before a network's keys: its part and, in later versions, its domain."""


@dataclass(frozen=True)
class Recognised:
    """A network that was found in a file.

    Args:
        path: The file.
        layout: The layout of its keys.
        inferred: What they say.
        names: Their keys beside ours.
        tensors: The tensors, by their keys.
    """

    path: Path
    layout: Layout
    inferred: Inferred
    names: Names
    tensors: Mapping[str, Tensor]


@dataclass(frozen=True)
class _Fit:
    """How far a file is from a layout; without names where not even the network can be told."""

    layout: Layout
    found: tuple[Inferred, Names] | None
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    misshapen: tuple[str, ...] = ()

    @property
    def distance(self) -> tuple[bool, int]:
        return self.found is None, len(self.missing) + len(self.unexpected) + len(self.misshapen)


def split(tensors: Mapping[str, Tensor], path: Path, domain: str | None) -> list[Mapping[str, Tensor]]:
    """Take apart a file of several networks.

    Args:
        tensors: The file's tensors.
        path: The file.
        domain: Which of several generators is wanted, by the domain that it leads to.

    Returns:
        The tensors of each network.

    Raises:
        ModelError: There are several generators, and none or an unknown one is wanted.
    """
    parts: dict[tuple[str, str], dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        named = _PART.match(key)
        if named:
            parts.setdefault((named[1], named[2] or ""), {})[key[named.end() :]] = tensor
    if not parts:
        return [tensors]
    domains = sorted({of for _, of in parts})
    if (domain is None and len(domains) > 1) or (domain is not None and domain not in domains):
        cause = f"holds networks that lead to {', '.join(domains)}"
        raise ModelError(Problem(str(path), cause, f"choose one, for instance --domain {domains[0]}"))
    return [part for (_, of), part in parts.items() if of == (domain or domains[0])]


def recognise(tensors: Mapping[str, Tensor], path: Path, registry: Registry) -> Recognised:
    """Find out which network tensors are of.

    Args:
        tensors: The tensors of one network.
        path: The file that they are from.
        registry: The names in force.

    Returns:
        The network.

    Raises:
        ModelError: It is of no known layout; says how it differs from the nearest one.
    """
    shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    fits = [_fit(layout, shapes, registry) for layout in LAYOUTS if layout.anchor in shapes]
    nearest = min(fits, key=lambda fit: fit.distance, default=None)
    if nearest is None or nearest.found is None or nearest.distance[1]:
        raise ModelError(_unknown(path, shapes, nearest))
    inferred, names = nearest.found
    return Recognised(path, nearest.layout, inferred, names, {k: tensors[k] for k in names.ours if k in tensors})


def _fit(layout: Layout, shapes: Shapes, registry: Registry) -> _Fit:
    try:
        inferred = layout.infer(shapes)
        names = _named(layout, inferred, registry)
    except KeyError as error:
        return _Fit(layout, None, missing=(str(error.args[0]),))
    except (ComponentError, IndexError, ValueError):  # sizes that no network of ours has
        return _Fit(layout, None, misshapen=(layout.anchor,))
    expected = names.shapes
    left_out = _left_out(shapes, inferred.params)
    return _Fit(
        layout,
        (inferred, names),
        missing=tuple(k for k in expected if k not in shapes and not k.endswith("num_batches_tracked")),
        unexpected=tuple(k for k in shapes if k not in expected and k not in left_out),
        misshapen=tuple(k for k, shape in expected.items() if k in shapes and shapes[k] != shape),
    )


def _named(layout: Layout, inferred: Inferred, registry: Registry) -> Names:
    component = registry.resolve(layout.kind, layout.use).component
    if layout.kind == "generator":
        images = image_specs(inferred.inputs, inferred.outputs, _SIDE)
        return name_tensors(layout, component, images, inferred.params)
    images = image_specs(inferred.inputs - 1, 1, _SIDE)  # how the channels are shared out makes no difference yet
    return name_tensors(layout, component, images, inferred.params)


def _left_out(shapes: Shapes, params: Params) -> set[str]:
    """Statistics that instance norm once gathered; the toolbox that did so never uses them either."""
    if params.get("norm") != "instance":
        return set()
    return {key for key in shapes if key.rpartition(".")[2] in NORM_STATE}


def _unknown(path: Path, shapes: Shapes, nearest: _Fit | None) -> Problem:
    known = ", ".join(layout.name for layout in LAYOUTS)
    if nearest is None:
        cause = f"is of no known layout: {len(shapes)} tensors, {_some(shapes)}"
        return Problem(str(path), cause, f"known are {known}")
    differences = (
        ("missing", nearest.missing),
        ("unexpected", nearest.unexpected),
        ("of another shape", [f"{key} {list(shapes[key])}" for key in nearest.misshapen]),
    )
    said = "; ".join(f"{what}: {_some(keys)}" for what, keys in differences if keys)
    cause = f"looks like a {nearest.layout.kind} of {nearest.layout.name}, but is not: {said}"
    return Problem(str(path), cause, f"known are {known}")


def _some(keys: Iterable[str], count: int = 5) -> str:
    shown = list(keys)
    more = f" and {len(shown) - count} more" if len(shown) > count else ""
    return ", ".join(shown[:count]) + more
