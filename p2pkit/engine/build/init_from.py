"""The weights that training begins with, where they are another model's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from torch import nn

from p2pkit.config import Plan
from p2pkit.engine.build.meta import trial_device
from p2pkit.engine.checked import ValidatedRun
from p2pkit.engine.storage.checkpoint import Shape, load_discriminator, load_generator, read_config, tensor_shapes
from p2pkit.engine.storage.find import find_checkpoint
from p2pkit.errors import ModelError, Problem
from p2pkit.untyped import Plain

if TYPE_CHECKING:
    from p2pkit.engine.build.assembly import Assembly


PATH = "engine.init"


def initial_problems(plan: Plan, generator: nn.Module) -> list[Problem]:
    """List what is wrong with the model that a run is to begin with.

    Args:
        plan: The run's plan.
        generator: Its generator; without weights is enough.

    Returns:
        The problems; none for a run that begins with random weights.
    """
    wanted = plan.config.engine.init
    if wanted is None:
        return []
    try:
        checkpoint = find_checkpoint(wanted)
        there, _ = tensor_shapes(checkpoint)
        if state_dict_matches(there, generator):
            return []
        own = read_config(checkpoint)["generator"]
    except ModelError as error:
        return [Problem(PATH, problem.cause, problem.remedy) for problem in error.problems]
    changed = {key: own["params"][key] for key in own["params"] if key != "init_std"}
    written = yaml.safe_dump(
        {"use": own["use"], "params": changed}, default_flow_style=True, sort_keys=False, width=9999
    )
    cause = f"the weights of {checkpoint} are of another network than this run's generator"
    return [Problem(PATH, cause, f"write generator: {written.strip()}")]


def resume_problems(checked: ValidatedRun, checkpoint: Path) -> list[Problem]:
    """List in what a run's networks are others than those of the checkpoint that it is to go on from.

    Args:
        checked: The run, whose config may have been changed since.
        checkpoint: The checkpoint's folder.
    """
    before = read_config(checkpoint)
    problems = []
    for key, part, there in zip(
        ("generator", "discriminator"),
        (checked.generator, checked.discriminator),
        tensor_shapes(checkpoint),
        strict=True,
    ):
        if part is None:
            continue
        with trial_device():
            matches = state_dict_matches(there, part.build(checked.spec))
        if not matches:
            problems += _changed(key, before[key], part.resolved())
    return problems


def _changed(key: str, before: Plain, now: Plain) -> list[Problem]:
    remedy = (
        f"a run goes on with the {key} it began with; for another one begin a new run, with engine.init if you like"
    )
    if before["use"] != now["use"]:
        return [Problem(key, f"was {before['use']} in the checkpoint, is {now['use']}", remedy)]
    return [
        Problem(f"{key}.params.{name}", f"was {before['params'].get(name)} in the checkpoint, is {value}", remedy)
        for name, value in now["params"].items()
        if value != before["params"].get(name)
    ]


def load_initial(assembly: Assembly, note: Callable[[str], None]) -> None:
    """Load the model that a run begins with; a discriminator that isn't in it, or is another one, begins anew.

    Args:
        assembly: The run.
        note: Hears what was done.
    """
    wanted = assembly.checked.plan.config.engine.init
    if wanted is None:
        return
    checkpoint = find_checkpoint(wanted)
    players = assembly.players
    load_generator(checkpoint, players.generator.network)
    if players.average is not None:
        load_generator(checkpoint, players.average.network)
    if players.discriminator is None:
        note(f"the generator begins with the weights of {checkpoint}")
    elif state_dict_matches(tensor_shapes(checkpoint)[1], players.discriminator.network):
        load_discriminator(checkpoint, players.discriminator.network)
        note(f"generator and discriminator begin with the weights of {checkpoint}")
    else:
        begun = f"the generator begins with the weights of {checkpoint}"
        note(f"{begun}; the discriminator begins anew, since the model has none that fits")


def state_dict_matches(there: Mapping[str, Shape], network: nn.Module) -> bool:
    """Tell whether tensors of these names and shapes are a network's."""
    return dict(there) == {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
