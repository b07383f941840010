"""What the parts for segmentation share."""

from __future__ import annotations

from p2pkit import ComponentError, PairSpec


def check_labels(images: PairSpec, name: str) -> None:
    """Refuse targets that are not label maps.

    Args:
        images: What the run's images are.
        name: The component.

    Raises:
        ComponentError: The targets are no label maps.
    """
    if images.target.kind != "labels":
        remedy = "use a data set whose targets are label maps, as dataset labels with labels: target"
        raise ComponentError(f"{name} is for targets that are labels, and these are not", remedy=remedy)
