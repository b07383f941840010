"""What the pages show works: configs are in order, commands exist, Python runs."""

import re
import shlex
import shutil
import sys

import pytest
import typer
import yaml
from pages import DOCS, PAGES, blocks, source

from p2pkit.cli import app, main
from p2pkit.cli.groups import find_command
from p2pkit.config import load_config, parse_overrides, recipe_names, resolve
from p2pkit.registry import RegistryFile, load_registry
from p2pkit.sweep import outline

WITH_MLFLOW = ("tutorial/compare-loss-weights.md", "how-to/compare-runs.md")
GROUP = typer.main.get_command(app)


@pytest.fixture
def folder(tmp_path, monkeypatch, mlflow_here):
    """A working folder with the example files, and a store of MLflow of its own."""
    monkeypatch.syspath_prepend(str(tmp_path))
    for file in (DOCS / "examples").glob("*.py"):
        shutil.copy(file, tmp_path)
    yield tmp_path
    for name in [name for name, module in sys.modules.items() if str(tmp_path) in str(getattr(module, "__file__", ""))]:
        del sys.modules[name]


def is_story(page: str) -> bool:
    return any(block.mark or block.file or block.language == "python" for block in blocks(page))


@pytest.mark.parametrize("page", list(filter(is_story, PAGES)))
def test_page(page: str, folder, environment_as_it_was, monkeypatch, capsys) -> None:
    """Follow a page from top to bottom."""
    if page not in WITH_MLFLOW:
        (folder / "registry.yaml").write_text("plugins: {block: [p2pkit.mlflow]}\n")
    namespace: dict[str, object] = {}
    said = ""
    for block in blocks(page):
        if block.file == "registry.yaml":
            RegistryFile.model_validate(yaml.safe_load(block.text))
        elif block.file:
            (folder / block.file).write_text(block.text)
            plugins = [folder / "my_unet.py"] if "my_unet" in block.text else []
            outline(block.file, registry=load_registry(plugin_files=plugins))
        elif block.language == "python":
            exec(compile(block.text, page, "exec"), namespace)
        elif block.mark == "output":
            assert said == block.text
        elif block.mark:
            for command in block.commands:
                monkeypatch.setattr(sys, "argv", ["p2pkit", *command])
                capsys.readouterr()
                with pytest.raises(SystemExit) as left:
                    main()
                said = capsys.readouterr().err
                assert left.value.code == {"run": 0, "run: fails": 2}[block.mark], said


def commands() -> list[tuple[str, list[str]]]:
    return [(page, command) for page in PAGES for block in blocks(page) for command in block.commands]


def test_there_are_commands_to_look_at() -> None:
    assert len(commands()) > 40


@pytest.mark.parametrize(
    ("page", "command"), commands(), ids=lambda value: value if isinstance(value, str) else " ".join(value)
)
def test_command_exists_with_its_options(page: str, command: list[str]) -> None:
    name, found, arguments = find_command(GROUP, command)
    found.make_context(name, arguments)


def written_settings() -> list[tuple[str, str, list[str]]]:
    """Return every `-s KEY=VALUE` of the pages, with the recipe that it is for."""
    found = []
    for page, command in commands():
        name, parsed, arguments = find_command(GROUP, command)
        context = parsed.make_context(name, list(arguments)).params
        recipe = "demo" if name == "demo" else context.get("config") or context.get("model") or ""
        settings = list(context.get("set_") or ())
        failing = any(block.mark == "run: fails" and command in block.commands for block in blocks(page))
        if settings and not failing:
            found.append((page, recipe, settings))
    for page in PAGES:
        for inline in re.findall(r"`(-s [^`]*)`", source(page)):
            if "KEY" not in inline:
                found.append((page, "facades", [setting for setting in shlex.split(inline) if setting != "-s"]))
    return found


@pytest.mark.parametrize(("page", "recipe", "settings"), written_settings(), ids=str)
def test_setting_is_a_key_with_a_value_it_takes(page: str, recipe: str, settings: list[str]) -> None:
    shown = {block.file: yaml.safe_load(block.text) for block in blocks(page) if block.file}
    known = recipe if recipe in recipe_names() else shown.get(recipe, "facades")
    plan = resolve(load_config(known, parse_overrides(settings)), load_registry(discover=False))
    assert plan.problems == ()
