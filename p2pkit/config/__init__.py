"""From a recipe, file or mapping to a run that is known to be possible."""

from p2pkit.config.flat import flat_config
from p2pkit.config.model import PublishedConfig, RunConfig, SweepConfig
from p2pkit.config.resolve import Plan, resolve
from p2pkit.config.schema import config_schema
from p2pkit.config.sources import Source, load_config, parse_overrides, recipe_names
from p2pkit.parts import LossPart, Part

__all__ = [
    "LossPart",
    "Part",
    "Plan",
    "PublishedConfig",
    "RunConfig",
    "Source",
    "SweepConfig",
    "config_schema",
    "flat_config",
    "load_config",
    "parse_overrides",
    "recipe_names",
    "resolve",
]
