"""The section of a config that says where runs are recorded."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from p2pkit.config.sections import ComponentConfig, Name, Section

RunName = Annotated[str, Field(pattern=r"^[^/.\x00-\x1f\x7f][^/\x00-\x1f\x7f]{0,199}$")]
"""The name of a single folder that is not hidden."""
TagName = Annotated[str, Field(pattern=r"^\w[\w .:-]*(/\w[\w .:-]*)*$", max_length=250)]
"""What MLflow takes: letters, digits and `_ - . : /`, as in a path."""
RegisteredName = Annotated[str, Field(pattern=r"^\w[\w .-]{0,199}$")]
"""What MLflow's registry takes as a name, and addresses can hold."""


def _possible(path: Path) -> Path:
    if "\0" in str(path):  # the system would refuse it when the first file is written
        raise ValueError("no path holds the character NUL")
    return path


class PriceConfig(Section):
    """What training costs, in a currency of yours."""

    kwh: float | None = Field(
        None, ge=0, description="Price of a kilowatt-hour, where the energy that is used can be measured."
    )
    hour: float | None = Field(
        None, ge=0, description="Price of an hour of one process: of a GPU, or of a machine without one."
    )


class TrackerConfig(ComponentConfig):
    """One tracker; the key it stands under is its name."""

    enabled: bool = Field(True, description="Whether it takes part; `false` in its place is short for that.")


with warnings.catch_warnings():  # classes have a method `register` of Python's own, which no config is looked up by
    warnings.filterwarnings("ignore", 'Field name "register"')

    class TrackingConfig(Section):
        """Where runs are recorded."""

        experiment: Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,500}$")] = Field(
            "p2pkit", description="Experiment in MLflow."
        )
        name: RunName | None = Field(None, description="The run's name; by default the recipe's name and the time.")
        folder: Annotated[Path, AfterValidator(_possible)] = Field(
            Path("runs"), description="Folder in which each run has a folder of its own."
        )
        tags: dict[TagName, str] = Field(default_factory=dict, description="Tags of the run.")
        system_metrics: bool = Field(True, description="Whether MLflow records processor, memory and GPU use.")
        model: bool = Field(
            True,
            description="Whether kept checkpoints are MLflow models; the best, or else the last, with its files.",
        )
        portable: bool = Field(
            True, description="Whether that model also holds the network as a program of torch, to run without p2pkit."
        )
        register: RegisteredName | None = Field(
            None,
            description="Name by which that model is registered in MLflow; the alias `champion` moves to a better one.",
        )
        price: PriceConfig = Field(
            default_factory=PriceConfig, description="What training costs, so that `speed/cost` is recorded."
        )
        trackers: dict[Name, TrackerConfig] = Field(
            default_factory=dict,
            description="Trackers beside those that take part in every run, by name; `use` defaults to the name. "
            "MLflow is one that does, unless `mlflow: false` says otherwise.",
        )
