"""Models of ours become checkpoints of another toolbox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file

from p2pkit.atomic_files import atomic_file
from p2pkit.bridge.generators import GENERATORS
from p2pkit.bridge.layout import Layout, name_tensors
from p2pkit.config import Part, Plan
from p2pkit.engine.storage.checkpoint import load_statistics
from p2pkit.engine.storage.find import find_checkpoint
from p2pkit.engine.storage.layout import GENERATOR
from p2pkit.engine.storage.state import read_state
from p2pkit.errors import ConfigError, ModelError, Problem
from p2pkit.planning import plan_of, with_brought
from p2pkit.registry import Registry, names_in_force
from p2pkit.types import PairSpec
from p2pkit.untyped import Plain

FORMATS = ("junyanz",)
_UNETS = {7: "unet_128", 8: "unet_256"}
_RESNETS = {6: "resnet_6blocks", 9: "resnet_9blocks"}
_SAID = frozenset({"depth", "blocks", "width", "max_width", "norm", "bias", "dropout", "dropout_blocks", "init_std"})
"""Parameters that are checked by their meaning, or have none for a trained network; the others must be defaults."""


@dataclass(frozen=True)
class ExportedModel:
    """What came of an export.

    Args:
        path: The file.
        command: The command that tests it in the other toolbox.
        notes: What the other toolbox does otherwise.
    """

    path: Path
    command: str
    notes: tuple[str, ...]


def export_checkpoint(
    model: str | Path,
    output: str | Path,
    *,
    format: str = "junyanz",
    registry: Registry | None = None,
    plugins: Sequence[str | Path] = (),
    trust: bool = False,
) -> ExportedModel:
    """Write a generator as a file that another toolbox loads.

    Args:
        model: A run's folder or name, a tracker's name of it, or a checkpoint.
        output: The file, for instance latest_net_G.pth; must not exist.
        format: The toolbox; `junyanz` is pytorch-CycleGAN-and-pix2pix.
        registry: The names in force.
        plugins: One-file plugins to load beside those of this environment.
        trust: Whether one-file plugins that the model brings along, and that are none of yours, may be run.

    Returns:
        The file, and the command to test it by.

    Raises:
        ModelError: The generator is none that the toolbox has.
    """
    registry, output = names_in_force(registry, plugins, trust=trust), Path(output)
    checkpoint = find_checkpoint(model)
    plan = plan_of(checkpoint, {}, with_brought(registry, checkpoint, needed=("generator",)))
    wrong = [problem for problem in plan.problems if problem.path.startswith(("generator", "evaluate"))]
    if wrong or plan.generator is None:
        raise ConfigError(wrong)
    if output.exists():
        raise ModelError(Problem(str(output), "is there already", "name a file that is not"))
    layout = _layout(plan.generator, format)
    params = plan.generator.resolved()["params"]
    problems = _problems(plan.generator, params, format)
    if problems:
        raise ModelError(problems)
    images: PairSpec = read_state(checkpoint)["images"]
    names = name_tensors(layout, plan.generator.component, images, params)
    weights = load_file(checkpoint / GENERATOR)
    if plan.config.evaluate.batch_norm == "recalibrated":
        weights |= load_statistics(checkpoint)
    output.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(output) as partial:
        torch.save({theirs: weights[ours] for theirs, ours in names.ours.items()}, partial)
    command, notes = _command(plan, params, images)
    return ExportedModel(output, command, tuple(notes))


def _layout(generator: Part, format: str) -> Layout:
    if format not in FORMATS:
        raise ModelError(Problem("format", f"there is no format {format!r}", f"formats: {', '.join(FORMATS)}"))
    found = [layout for layout in GENERATORS if layout.toolbox == format]
    for layout in found:
        if layout.use == generator.component.full_name:
            return layout
    known = ", ".join(layout.use for layout in found)
    cause = f"{generator.component.full_name} is no generator of {format}"
    raise ModelError(Problem("generator", cause, f"what can be exported is {known}"))


def _problems(generator: Part, params: Plain, format: str) -> list[Problem]:
    """List what the other toolbox's network can't be."""
    model = generator.component.parameters
    defaults = {name: field.default for name, field in model.model_fields.items()}
    problems = [
        Problem(f"generator.params.{name}", f"is {value}, and {format} has {defaults[name]} only")
        for name, value in params.items()
        if name not in _SAID and value != defaults[name]
    ]
    norm, biased = params["norm"], params["bias"]
    if norm == "group":
        problems.append(Problem("generator.params.norm", f"is group, and {format} has batch, instance and none"))
    elif (norm in ("instance", "none") if biased is None else biased) != (norm == "instance"):
        problems.append(Problem("generator.params.bias", f"with norm {norm}, {format} has it the other way round"))
    if params.get("max_width") not in (None, 8 * params["width"]):
        cause = f"is {params['max_width']}, and {format} has 8 x width only"
        problems.append(Problem("generator.params.max_width", cause))
    size, known = ("depth", _UNETS) if "depth" in params else ("blocks", _RESNETS)
    if params[size] not in known:
        cause = f"is {params[size]}, and {format} has {' and '.join(map(str, known))} only"
        problems.append(Problem(f"generator.params.{size}", cause))
    return problems


def _command(plan: Plan, params: Plain, images: PairSpec) -> tuple[str, list[str]]:
    """Write the command of their test script that runs the network as we do, and say where it can't."""
    net = _UNETS[params["depth"]] if "depth" in params else _RESNETS[params["blocks"]]
    options = f"--model pix2pix --netG {net} --ngf {params['width']} --norm {params['norm']}"
    options += f" --input_nc {images.source.channels} --output_nc {images.target.channels}"
    if plan.config.dataset.params.get("direction") == "b_to_a":
        options += " --direction BtoA"
    notes = []
    if images.height != images.width:
        options += " --preprocess none"
        notes.append("their pairs keep their size, which must be a multiple of the network's")
    elif images.height != 256:
        options += f" --load_size {images.height} --crop_size {images.height}"
    mode, said = _mode(plan, params)
    return f"python test.py --dataroot DATA --name NAME {options}{mode}", notes + said


def _mode(plan: Plan, params: Plain) -> tuple[str, list[str]]:
    """Choose their options of dropout and mode.

    Their script tests as it trains, with dropout and each image's own statistics, or with neither by `--eval`. A
    U-Net's dropout can be left out by itself, since it leaves no trace in the keys.
    """
    modes, rate = plan.config.evaluate, params["dropout"]
    own = modes.batch_norm == "batch" or params["norm"] != "batch"
    gathered = modes.batch_norm != "batch" or params["norm"] != "batch"
    drops = modes.dropout == "on" and rate > 0
    without = " --no_dropout" if rate == 0 else ""
    if gathered and not drops:
        return f"{without} --eval", []
    if own and not drops:
        if "depth" in params:
            return " --no_dropout", []
        if not rate:
            return without, []
        return "", ["their script has no mode with each image's own statistics and without dropout; this one drops"]
    notes = []
    if not own:
        notes.append("their script has no mode with gathered statistics and dropout; this one uses each image's own")
    depth = params.get("depth")
    blocks = params.get("dropout_blocks")
    if rate != 0.5 or (depth and blocks is not None and tuple(blocks) != tuple(range(2, depth - 3))):
        notes.append(
            "their dropout has rate 0.5, in a U-Net in blocks 2 to depth - 4; this network was trained otherwise"
        )
    return "", notes
