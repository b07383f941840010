"""The examples for many machines are well-formed, and what they start is a command of p2pkit's."""

import re
import shlex
import subprocess

import pytest
import typer
import yaml
from pages import DOCS, read
from torch.distributed.run import get_args_parser

from p2pkit.cli import app
from p2pkit.cli.groups import find_command
from p2pkit.config import load_config, resolve
from p2pkit.registry import load_registry

FOLDER = DOCS / "examples" / "many_machines"
FILES = sorted(FOLDER.iterdir())
GROUP = typer.main.get_command(app)


def launches(text: str) -> list[list[str]]:
    """Return the arguments of each torchrun in a script, or in a manifest's list; variables are one."""
    found = re.findall(r"torchrun (.*? -m p2pkit .*?)(?:\n|$)", re.sub(r"\\\n\s*", " ", text))
    return [shlex.split(re.sub(r"\$\{?[\w#]+(:-\w+)?\}?", "1", line)) for line in found]


def containers(document: dict) -> list[str]:
    """Return the commands of a manifest's containers, each as a line."""
    spec = document["spec"]
    if document["kind"] == "Job":
        spec = spec["template"]["spec"]
        return [" ".join(each["args"]) for each in spec["containers"]]
    return [shlex.join([*spec["trainer"]["command"], *spec["trainer"]["args"]])] if "trainer" in spec else []


def started(name: str) -> list[list[str]]:
    text = (FOLDER / name).read_text(encoding="utf-8")
    if name.endswith(".sh"):
        return launches(text)
    return [found for each in yaml.safe_load_all(text) for line in containers(each) for found in launches(line)]


def test_each_file_is_on_the_page() -> None:
    page = read("how-to/train-on-many-machines.md")
    assert [file.name for file in FILES if file.read_text(encoding="utf-8").strip() not in page] == []


@pytest.mark.parametrize("name", [file.name for file in FILES if file.name != "run.yaml"])
def test_what_is_started_is_a_command(name: str) -> None:
    (given,) = started(name)
    options = get_args_parser().parse_args(given)
    assert (options.training_script, options.module) == ("p2pkit", True)
    assert int(options.max_restarts) > 0
    command, found, arguments = find_command(GROUP, options.training_script_args)
    parsed = found.make_context(command, arguments).params
    assert (parsed["config"].rpartition("/")[2], parsed["go_on"]) == ("run.yaml", True)


@pytest.mark.parametrize("name", [file.name for file in FILES if file.suffix == ".sh"])
def test_a_script_is_one_of_bash(name: str) -> None:
    subprocess.run(["bash", "-n", FOLDER / name], check=True)


def test_the_manifests_are_complete() -> None:
    service, job = yaml.safe_load_all((FOLDER / "job.yaml").read_text(encoding="utf-8"))
    pod = job["spec"]["template"]["spec"]
    assert pod["subdomain"] == service["metadata"]["name"] == service["spec"]["selector"]["job-name"]
    assert {each["name"] for each in pod["volumes"]} == {each["name"] for each in pod["containers"][0]["volumeMounts"]}


def test_the_config_is_in_order_on_as_many_processes_as_the_examples_start() -> None:
    plan = resolve(load_config(FOLDER / "run.yaml"), load_registry(discover=False))
    assert plan.problems == ()
    engine = plan.config.engine
    for processes in (1, 8, 16):  # on a GPU, on a machine, and on two
        assert engine.global_batch % (engine.batch * processes) == 0
