"""What factories make: a protocol for each kind, and optional attributes that are read in one place only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import p2pkit
from p2pkit.components import KIND_NAMES
from p2pkit.plugins.loading import Plugins
from p2pkit.types import optional
from p2pkit.types.protocols import PROTOCOLS

PACKAGE = Path(p2pkit.__file__).parent
NAMES = {attribute.name for attribute in optional.ATTRIBUTES}


class Odd:
    multiple = 32
    loads = "256"
    wants = ("fake", "mask")
    higher_is_better = 1
    fakes = 0

    def __call__(self, *images): ...
    def update(self): ...
    def compute(self): ...
    def reset(self): ...
    def generator(self, view): ...


def test_every_kind_has_its_protocol():
    assert tuple(PROTOCOLS) == KIND_NAMES
    assert {attribute.owner for attribute in optional.ATTRIBUTES} == {*KIND_NAMES, "stream", "any"} - {
        "optimizer",
        "schedule",
    }
    protocols = [protocol.__name__ for found in PROTOCOLS.values() for protocol in found]
    assert set(protocols) <= set(p2pkit.__all__)


def test_an_attribute_is_read_or_has_its_default():
    assert optional.multiple(Odd()) == 32
    assert optional.multiple(object()) == 1
    assert optional.wants(object()) == ("fake", "target")
    assert optional.TURNS["generator"](Odd()) is not None
    assert optional.TURNS["discriminator"](Odd()) is None
    assert optional.fingerprint(object())("train") == ""
    assert list(optional.problems(object())()) == []


@pytest.mark.parametrize("attribute", optional.ATTRIBUTES, ids=lambda attribute: attribute.name)
def test_every_attribute_is_explained(attribute):
    assert attribute.meaning.endswith(".")
    assert attribute.wrong(object()) == ""


def test_wrong_attributes_are_told():
    assert optional.misfits("generator", Odd()) == []
    assert optional.misfits("augmentation", Odd()) == [
        "has '256' as its attribute loads, which must be (height, width) or None"
    ]
    told = " ".join(optional.misfits("metric", Odd()))
    assert all(f"as its attribute {name}, which must be" in told for name in ("wants", "fakes", "higher_is_better"))


def test_what_is_of_no_kind_is_told():
    (told,) = optional.misfits("dataset", [1, 2])
    assert told == "made a list where a p2pkit.PairDataset is wanted"
    (told,) = optional.misfits("loss", object())
    assert told == "made a object where a p2pkit.GeneratorLoss or DiscriminatorLoss is wanted"


def asked_by_name(file: Path):
    """Yield where a file asks an object for an optional attribute by getattr or hasattr."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("getattr", "hasattr"):
            name = node.args[1]
            if isinstance(name, ast.Constant) and name.value in NAMES:
                yield f"{file.relative_to(PACKAGE)}:{node.lineno} {name.value}"


def test_optional_attributes_are_read_in_one_place():
    files = [file for file in PACKAGE.rglob("*.py") if file != PACKAGE / "types" / "optional.py"]
    others = {"engine/data/splits.py", "yaml_files.py"}  # `names`, `problem`: not of components
    found = [place for file in files for place in asked_by_name(file)]
    assert [place for place in found if place.partition(":")[0] not in others] == []


def test_the_built_ins_state_no_attribute_that_is_unknown():
    plugins = Plugins(discover=False)
    assert plugins.components
    assert not [plugin.left_out for plugin in plugins.found if plugin.left_out]
