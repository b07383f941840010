"""What the README shows works."""

import re
import shlex

import pytest
import typer
from pages import DOCS

from p2pkit import api
from p2pkit.cli import app
from p2pkit.cli.groups import find_command
from p2pkit.registry import load_registry

README = (DOCS.parent / "README.md").read_text(encoding="utf-8")
GROUP = typer.main.get_command(app)
COMMANDS = re.findall(
    r"(?:^|&& |do )p2pkit ([^#;&\n]+)", "\n".join(re.findall(r"^```sh\n(.*?)^```", README, re.M | re.S)), re.M
)


@pytest.mark.parametrize("command", COMMANDS)
def test_command_exists_with_its_options(command: str) -> None:
    name, found, rest = find_command(GROUP, shlex.split(command))
    found.make_context(name, rest)


def test_there_are_commands_to_look_at() -> None:
    assert len(COMMANDS) >= 8


def test_links_lead_to_files() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert len(links) > 5
    assert [link for link in links if not (DOCS.parent / link).is_file()] == []


def test_plugin_is_found_and_can_be_used(tmp_path) -> None:
    (code,) = re.findall(r"^```python\n# my_unet.py\n(.*?)^```", README, re.M | re.S)
    (tmp_path / "my_unet.py").write_text(code)
    registry = load_registry(plugin_files=[tmp_path / "my_unet.py"], discover=False)
    generator = {"use": "plain", "params": {"width": 64}}
    checked = api.check({"dataset": "shapes", "generator": generator}, registry=registry)
    assert checked.plan.generator.name == "plain"
