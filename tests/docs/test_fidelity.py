"""The table of choices speaks of parameters that exist and of numbers that the code has."""

import re

import pytest
from pages import read

from p2pkit.builtin.schedules import linear
from p2pkit.config import RunConfig
from p2pkit.config.model import ScheduleConfig
from p2pkit.registry import load_registry

PAGE = "explanation/fidelity-to-the-paper.md"
KINDS = {"generator": "generator", "discriminator": "discriminator", "dataset": "dataset", "losses": "loss"}


def rows() -> list[list[str]]:
    table = read(PAGE).partition("## Choices, one by one")[2].partition("\n(the-bottleneck)")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_row_has_every_column() -> None:
    assert len(rows()) > 20
    assert all(len(row) == 5 and all(row) for row in rows())


@pytest.mark.parametrize("key", sorted({key for row in rows() for key in re.findall(r"`([a-z_.0-9]+)`", row[4])}))
def test_parameter_exists(key: str) -> None:
    section, *rest = key.split(".")
    registry = load_registry(discover=False)
    components = registry.plugins.components
    if section in KINDS and rest:
        mine = [component for component in components if component.kind == KINDS[section]]
        assert rest[-1] == "weight" or any(rest[-1] in component.parameters.model_fields for component in mine)
    elif rest:
        assert rest[0] in RunConfig.model_fields[section].annotation.model_fields
    else:
        networks = [c for c in components if c.kind in ("generator", "discriminator")]
        assert key in RunConfig.model_fields or any(key in c.parameters.model_fields for c in networks)


@pytest.mark.parametrize("done", [0, 99, 100, 150, 199])
def test_learning_rate_follows_the_rule(done: int) -> None:
    assert "1 - (e + 1 - c) / (f + 1)" in read(PAGE)
    factor = linear(ScheduleConfig(epochs=200, decay_after=100).run_length(1))(done)
    assert factor == pytest.approx(1 - max(0, done + 1 - 100) / 101)


def test_sizes_in_the_text_are_those_of_the_code() -> None:
    text, table = read(PAGE).partition("## Sizes")[2].split("| name |", 1)
    written = re.findall(r"([\d,]{7,}) for\s+`(\w+)`", text)
    assert len(written) == 7
    assert [pair for pair in written if not re.search(rf"\| `{pair[1]}` \| \w+ \| {pair[0]} \|", table)] == []
