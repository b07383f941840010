"""What is recorded of a run before it begins: its data, and the versions of all that has a part in it."""

from __future__ import annotations

import importlib.metadata
import subprocess
from collections.abc import Mapping

from p2pkit.engine.checked import ValidatedRun
from p2pkit.types import DatasetFacts, optional

_PACKAGES = ("p2pkit", "torch", "torchvision", "kornia", "torchmetrics", "mlflow")


def dataset_facts(checked: ValidatedRun, counts: Mapping[str, int]) -> DatasetFacts:
    """Return what is recorded of a run's data, given the number of pairs of each split that it uses."""
    fingerprint = optional.fingerprint(checked.dataset)
    root = str(checked.data.resolved()["params"].get("root", ""))
    return DatasetFacts(checked.data.name, checked.spec, counts, "-".join(map(fingerprint, counts)), root)


def counts_of(checked: ValidatedRun) -> dict[str, int]:
    """Return the number of pairs of each split that is used, where the data set knows it."""
    splits = {split: checked.dataset.pairs(split) for split in dict.fromkeys(("train", checked.split))}
    return {split: len(pairs) for split, pairs in splits.items() if hasattr(pairs, "__len__")}


def versions() -> dict[str, str]:
    """Return the version of each package that matters, and the commit where there is one."""
    found = {name: importlib.metadata.version(name) for name in _PACKAGES}
    commit = _git_commit()
    return {**found, "git": commit} if commit else found


def _git_commit() -> str:
    """Return the commit of the working directory's repository, empty outside of one."""
    command = ["git", "rev-parse", "--short=12", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
