"""A new plugin: a small, complete distribution, written without any network."""

from p2pkit.scaffold.starters import STARTERS, Starter
from p2pkit.scaffold.write import Named, new_plugin

__all__ = ["STARTERS", "Named", "Starter", "new_plugin"]
