"""Trained generators: load one, and translate with it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from p2pkit.engine.check import open_dataset
from p2pkit.engine.device.choose import device_problems
from p2pkit.engine.storage.find import find_checkpoint
from p2pkit.errors import ConfigError, DeviceError, ModelError, Problem
from p2pkit.inference.names import fetch_model
from p2pkit.inference.translate import Translator
from p2pkit.planning import plan_of, with_brought
from p2pkit.programs.exported import is_exported, load_exported
from p2pkit.programs.runtimes import Runtime, known_runtime
from p2pkit.programs.writing import PLAIN, in_runtime
from p2pkit.progress import reporter
from p2pkit.registry import Registry, names_in_force
from p2pkit.untyped import Json, Plain, Untyped


def load(
    model: str | Path,
    *,
    device: str = "auto",
    runtime: Runtime | None = None,
    registry: Registry | None = None,
    plugins: Sequence[str | Path] = (),
    trust: bool = False,
    note: Callable[[str], None] | None = None,
    **overrides: Json,
) -> Translator:
    """Load a trained generator.

    Args:
        model: A run's folder or name, a tracker's name of it, or a checkpoint; `RUN@best` is a run's best one. Or a
            folder that `p2pkit export` has written, an MLflow model's folder, `runs:/ID/NAME`,
            `models:/NAME@ALIAS`, or `hf://OWNER/NAME`. `demo` comes with p2pkit, where no model of yours is called so.
        device: Where to compute.
        runtime: What computes: `torch`, or on a CPU `onnxruntime` or `openvino`, for which a program is written once
            and kept beside the run; by default torch, and for an exported program the one that it was made for.
        registry: The names in force.
        plugins: One-file plugins to load beside those of this environment.
        trust: Whether one-file plugins that the model brings along, and that are none of yours, may be run.
        note: Hears when a program is written.
        **overrides: Keys to change: `**{"evaluate.batch_norm": "batch"}` for another inference mode.

    Returns:
        The generator; the checkpoint says all that there is to know about the network.

    Raises:
        ModelError: There is no such model.
        ConfigError: Its network or an inference mode can't be had.
        DeviceError: There is no such device here, or it can't compute in the precision that is asked for.
        PluginError: It brings code along that is not trusted.
    """
    local = fetch_model(model)
    if is_exported(Path(local)):
        _require_cpu(device, "an exported program")
        if overrides:
            cause = "an exported program is what it was when it was exported"
            raise ModelError(Problem(", ".join(overrides), cause, "export the model anew with these settings"))
        names_in_force(registry, plugins, trust=trust)  # a plugin may be what reads its sources
        return load_exported(Path(local), runtime)
    checkpoint = find_checkpoint(local)
    asked = ("engine.device", *(key for key in overrides if key == "engine.precision"))
    if runtime is not None and runtime != "torch":
        overrides, device = _for_program(runtime, device, overrides), "cpu"
    overrides["engine.device"] = device
    needed = ("generator", "engine", "evaluate")  # a model is used where its data set may be out of reach
    registry = with_brought(names_in_force(registry, plugins, trust=trust), checkpoint, needed=needed)
    planned = plan_of(checkpoint, overrides, registry)
    wrong = [problem for problem in planned.problems if problem.path.partition(".")[0] in needed]
    if wrong:
        raise ConfigError(wrong)
    lacking = [problem for problem in device_problems(planned.config, training=False) if problem.path in asked]
    if lacking:
        raise DeviceError(lacking)
    translator = Translator.from_checkpoint(checkpoint, planned)
    return translator if runtime is None or runtime == "torch" else in_runtime(checkpoint, translator, runtime, note)


def _for_program(runtime: Runtime, device: str, overrides: Plain) -> dict[str, Json]:
    """Return the keys to change for a network that a runtime is to compute."""
    known_runtime(runtime)
    _require_cpu(device, f"what {runtime} computes")
    if overrides.get("engine.precision", "fp32") not in ("auto", "fp32"):
        cause = f"{runtime} computes in fp32 here, not in {overrides['engine.precision']}"
        raise DeviceError(Problem("--precision", cause, "say fp32, or --runtime torch"))
    return {**overrides, **PLAIN}


def _require_cpu(device: str, what: str) -> None:
    if device not in ("auto", "cpu"):
        raise DeviceError(Problem("--device", f"{what} runs on a CPU here, not on {device}", "say cpu"))


def translate(
    translator: Translator,
    inputs: Sequence[str | Path],
    output: str | Path,
    *,
    progress: bool = False,
    **options: Untyped,
) -> list[Path]:
    """Translate files and folders, and show how it comes along.

    Args:
        translator: A trained generator; see `p2pkit.load`.
        inputs: Files and folders.
        output: The folder that fakes are written to, or the file, if there is one input.
        progress: Show it on the terminal.
        **options: Those of `Translator.translate_files`.

    Returns:
        The files that were written.
    """
    shown = reporter(progress)
    translator = replace(translator, note=shown.note)
    try:
        return translator.translate_files(
            inputs, output, report=lambda done, total: shown.working("translating", done, total), **options
        )
    finally:
        shown.close()


def translate_bytes(translator: Translator, content: bytes, **options: Untyped) -> bytes:
    """Translate the content of one image file, and return that of its fake's; options as for `translate_files`."""
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary, "source")
        source.write_bytes(content)
        return translator.translate_files(source, Path(temporary, "fakes"), **options)[0].read_bytes()


def translate_split(
    model: str | Path,
    split: str,
    output: str | Path,
    *,
    device: str = "auto",
    runtime: Runtime | None = None,
    registry: Registry | None = None,
    plugins: Sequence[str | Path] = (),
    progress: bool = False,
    options: Plain | None = None,
    trust: bool = False,
    **overrides: Json,
) -> list[Path]:
    """Translate all sources of a split of a model's data, each to a file of its own.

    Args:
        model: As for `load`.
        split: The part of the data.
        output: Folder for the fakes.
        device: Where to compute.
        runtime: What computes, as for `load`.
        registry: The names in force.
        plugins: One-file plugins to load beside those of this environment.
        progress: Whether to show how it comes along.
        options: Those of `Translator.translate_pairs`.
        trust: Whether one-file plugins that the model brings along, and that are none of yours, may be run.
        **overrides: Keys to change, for instance `**{"dataset.params.root": "more/pairs"}`.

    Returns:
        The files written, named as the pairs are.

    Raises:
        ConfigError: The data can't be opened.
        DataError: Pairs can't be read; the others have been translated.
    """
    registry = with_brought(names_in_force(registry, plugins, trust=trust), find_checkpoint(model))
    shown = reporter(progress)
    translator = load(model, device=device, runtime=runtime, registry=registry, note=shown.note, **overrides)
    dataset = open_dataset(plan_of(find_checkpoint(model), overrides, registry))
    if split not in dataset.splits:
        cause = f"the data set has no split {split!r}"
        raise ConfigError(Problem("--split", cause, f"its splits: {', '.join(dataset.splits)}"))
    try:
        return translator.translate_pairs(
            dataset,
            split,
            output,
            report=lambda done, total: shown.working("translating", done, total),
            **(options or {}),
        )
    finally:
        shown.close()
