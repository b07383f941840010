"""Points weighed by two values against each other: those that no other point beats in both are the Pareto front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from p2pkit.atomic_files import atomic_file
from p2pkit.compare.plots import plain


def pareto_front(points: Mapping[str, tuple[float, float]], higher: Sequence[bool]) -> list[str]:
    """Return the points that no other one beats, along the front.

    Args:
        points: Both values of each point.
        higher: Of each value, whether more is better.
    """

    def worth(name: str) -> tuple[float, float]:
        first, second = (value if more else -value for value, more in zip(points[name], higher, strict=True))
        return first, second

    def beaten(name: str) -> bool:
        own = worth(name)
        return any(
            all(a >= b for a, b in zip(worth(other), own, strict=True)) and worth(other) != own for other in points
        )

    return sorted((name for name in points if not beaten(name)), key=worth)


def draw_front(points: Mapping[str, tuple[float, float]], higher: Mapping[str, bool], path: Path) -> None:
    """Draw all points, and a line through those of the front, which are named.

    Args:
        points: Both values of each point.
        higher: By the names of the two values, whether more is better.
        path: Where the PNG goes.
    """
    from matplotlib.figure import Figure

    (x, y), (x_higher, y_higher) = higher.keys(), higher.values()
    front = pareto_front(points, (x_higher, y_higher))
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(*zip(*points.values(), strict=True), "o", color="0.7")
    axes.plot(*zip(*(points[name] for name in front), strict=True), "o-")
    for name in front:
        axes.annotate(plain(name), points[name], textcoords="offset points", xytext=(5, 5), fontsize=8)
    better = {True: "higher is better", False: "lower is better"}
    axes.set_xlabel(f"{plain(x)} ({better[x_higher]})")
    axes.set_ylabel(f"{plain(y)} ({better[y_higher]})")
    axes.margins(0.15)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    with atomic_file(path) as partial:
        figure.savefig(partial, dpi=120, format="png")
