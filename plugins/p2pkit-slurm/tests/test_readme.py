"""What the README writes is what there is."""

from __future__ import annotations

import re
from pathlib import Path

import p2pkit_slurm

README = Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8")


def test_every_parameter_is_in_the_table_and_each_that_a_command_sets_is_one():
    (component,) = p2pkit_slurm.p2pkit_executors()
    parameters = set(component.parameters.model_fields)
    assert set(re.findall(r"^\| `(\w+)` \| (?!executor)", README, re.MULTILINE)) == parameters
    assert set(re.findall(r"executor\.params\.(\w+)", README)) <= parameters
