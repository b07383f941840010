"""A data set as shards, written without a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from p2pkit.config import Plan, recipe_names
from p2pkit.engine.check import open_dataset
from p2pkit.engine.data.shard_writer import write_shards
from p2pkit.errors import ConfigError, Problem
from p2pkit.planning import plan_run
from p2pkit.progress import reporter
from p2pkit.registry import Registry
from p2pkit.shards import ShardIndex
from p2pkit.untyped import Json, Plain


def shard(
    dataset: str | Path | Plain,
    out: str | Path,
    *,
    splits: Sequence[str] | None = None,
    encoding: Literal["png", "raw"] = "png",
    per_shard: int = 256,
    registry: Registry | None = None,
    progress: bool = False,
    **overrides: Json,
) -> ShardIndex:
    """Write a data set as shards, without loss; the data set `webdataset` reads them.

    Args:
        dataset: A recipe's name, a YAML file, the keys of a config, or a data set's name.
        out: A folder that is not there yet.
        splits: Which splits; by default all.
        encoding: `png` where PNG can hold the images, or `raw`, which is larger and needs no decoding.
        per_shard: Pairs of a shard.
        registry: The names in force.
        progress: Whether to show how it comes along.
        **overrides: Keys to change, as in `train`: `**{"dataset.params.size": 286}`.

    Returns:
        What has been written.

    Raises:
        ConfigError: The data set can't be opened.
        DataError: Pairs can't be read, all of them named; nothing is left behind then.
    """
    plan = plan_data(dataset, overrides, registry)
    opened = open_dataset(plan)
    unknown = [split for split in splits or () if split not in opened.splits]
    if unknown:
        cause = f"the data set has no split {', '.join(unknown)}"
        raise ConfigError(Problem("dataset", cause, f"its splits: {', '.join(opened.splits)}"))
    shown = reporter(progress)
    try:
        index, left_out = write_shards(
            opened,
            Path(out),
            splits=splits or opened.splits,
            encoding=encoding,
            per_shard=per_shard,
            unreadable=plan.config.dataset.unreadable,
            made_from=plan.resolved()["dataset"],
            report=shown.working,
        )
        for problem in left_out:
            shown.note(f"left out: {problem}")
    finally:
        shown.close()
    return index


def plan_data(dataset: str | Path | Plain, overrides: Plain, registry: Registry | None) -> Plan:
    """Plan a config, or one that has nothing but a data set of this name."""
    ready_made = isinstance(dataset, Mapping) or str(dataset) in recipe_names() or Path(dataset).is_file()
    config = dataset if ready_made else {"dataset": str(dataset)}
    return plan_run(config, overrides, registry)
