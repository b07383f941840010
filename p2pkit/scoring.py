"""Scores of any images, without a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from p2pkit.engine.evaluation.metrics import as_images, metric_inputs, scored
from p2pkit.errors import ConfigError, Problem
from p2pkit.images.convert import conform, full_scale, to_network
from p2pkit.images.pairs import image_pairs
from p2pkit.registry import Registry, names_in_force
from p2pkit.types import ImageSpec, PairSpec, times
from p2pkit.untyped import Plain

if TYPE_CHECKING:
    from torch import Tensor

    from p2pkit.images.files import AnyImage


def score(
    metric: str,
    image: AnyImage,
    reference: AnyImage,
    *,
    params: Plain | None = None,
    registry: Registry | None = None,
    plugins: Sequence[str | Path] = (),
) -> float:
    """Score images against others.

    Args:
        metric: A metric's name.
        image: What to judge: a file, an array (H, W, C), a tensor (C, H, W) or a Pillow image; or several of one size
            as a tensor (B, C, H, W); or a folder, whose images are scored against those of the same names.
        reference: What it should be.
        params: The metric's parameters.
        registry: The names in force.
        plugins: One-file plugins to load beside those of this environment.

    Returns:
        The value.

    Raises:
        RegistryError: There is no such metric.
        ConfigError: The parameters are wrong, the images are not of one size, or the metric compares something else
            than a fake with its target.
        DataError: Images can't be read, or those of folders can't be paired.
    """
    part = (names_in_force(registry, plugins)).resolve("metric", metric, params)
    problems = part.problems()
    pairs = image_pairs(image, reference)
    first = pairs[0]()
    problems += _size_problems(*first)
    if problems:
        raise ConfigError(problems)
    spec = ImageSpec(first[1].shape[0], high=full_scale(first[1]))
    built = part.build(scored(PairSpec(spec, spec, 1, 1).sized(first[1].shape[1:])))
    if set(metric_inputs(built)) - {"fake", "target"}:
        cause = f"{metric} wants {', '.join(metric_inputs(built))} and does not compare two images"
        raise ConfigError(Problem(metric, cause, "score a trained generator by p2pkit evaluate"))
    for pair in pairs:
        images = pair()
        if wrong := _size_problems(*images):
            raise ConfigError(wrong)
        fake, target = (as_images(to_network(_fitting(each, spec)[None], spec)) for each in images)
        built.update(*({"fake": fake, "target": target}[name] for name in metric_inputs(built)))
    return float(built.compute())


def _fitting(image: Tensor, spec: ImageSpec) -> Tensor:
    try:
        return conform(image, spec)
    except OSError as error:
        raise ConfigError(Problem("", f"the images can't be compared: one {error}")) from None


def _size_problems(first: Tensor, second: Tensor) -> list[Problem]:
    if first.shape[1:] == second.shape[1:]:
        return []
    sizes = [times(reversed(each.shape[1:])) for each in (first, second)]
    return [Problem("", f"the images are of different sizes, {sizes[0]} and {sizes[1]}", "resize one")]
