"""The bridge to other toolboxes: their checkpoints become models of ours, and ours become theirs."""

from __future__ import annotations

from p2pkit.bridge.exporting import ExportedModel, export_checkpoint
from p2pkit.bridge.importing import ImportedModel, ImportedNetwork, import_checkpoint

__all__ = ["ExportedModel", "ImportedModel", "ImportedNetwork", "export_checkpoint", "import_checkpoint"]
