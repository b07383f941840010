"""A trained generator leaves the house: as a program of its own, checked against the network, with a card."""

from __future__ import annotations

from p2pkit.exporting.folder import FORMATS, ExportedFolder, export
from p2pkit.exporting.pushing import push
from p2pkit.programs.graph import PortableGenerator
from p2pkit.programs.program import export_program, save_program

__all__ = ["FORMATS", "ExportedFolder", "PortableGenerator", "export", "export_program", "push", "save_program"]
