"""Time the translation of a folder, beside a loop that opens, translates and saves one image after another."""

from __future__ import annotations

import copy
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from p2pkit.config import Plan
from p2pkit.engine.build.seeding import seed_everything
from p2pkit.engine.device.choose import device_problems
from p2pkit.engine.device.placement import choose_placement
from p2pkit.engine.device.timing import describe
from p2pkit.engine.evaluation.inference_mode import InferenceMode, run_in_mode
from p2pkit.errors import ConfigError
from p2pkit.inference.translate import Translator
from p2pkit.programs.exported import translator_of
from p2pkit.programs.graph import PortableGenerator
from p2pkit.programs.runtimes import Runtime, known_runtime
from p2pkit.programs.writing import write_program
from p2pkit.types import ImageSpec, PairSpec
from p2pkit.untyped import Json


def bench_translate(
    plan: Plan,
    *,
    side: int = 256,
    images: int = 32,
    batches: Sequence[int] = (1, 8),
    rounds: int = 3,
    runtimes: Sequence[str] = (),
    note: Callable[[str], None] = lambda text: None,
) -> dict[str, Json]:
    """Measure how fast a recipe's generator translates a folder of pictures, in turn with the plain loop.

    Args:
        plan: The recipe; its generator is not trained, which changes no time.
        side: Height and width of the pictures, which are made up.
        images: How many there are.
        batches: Images of a forward pass.
        rounds: How often each variant translates all of them; the first time does not count.
        runtimes: What computes beside torch, by a program of the generator; each has rows of its own.
        note: Hears how it comes along.

    Returns:
        One object: the machine and a row for each variant. The ratio is to the plain loop; the largest difference is
        that of the pixels to the plain loop's.

    Raises:
        ConfigError: The recipe has no generator that can be built.
        ModelError: A runtime is not installed, or the generator is no program.
    """
    chosen = [known_runtime(runtime) for runtime in runtimes]
    lacking = device_problems(plan.config, training=False)
    if plan.generator is None or lacking:
        raise ConfigError((*plan.problems, *lacking))
    spec = PairSpec(ImageSpec(3), ImageSpec(3), side, side)
    seed_everything(plan.config.engine.seed)
    generator: nn.Module = plan.generator.build(spec)
    place = choose_placement(plan.config.engine, generator)
    modes = plan.config.evaluate
    plain = copy.deepcopy(generator).to(place.device)
    translator = Translator(place.put(generator), spec, place, modes.batch_norm, modes.dropout)
    with tempfile.TemporaryDirectory(prefix="p2pkit-bench-") as name:
        folder = Path(name)
        _draw(folder / "in", images, side)
        by = {"": translator, **_programs(replace(translator, generator=plain), chosen, folder, note)}
        variants: dict[str, Callable[[], object]] = {
            f"{runtime}batch_{batch}": partial(_folder, own, folder, f"{runtime}batch_{batch}", batch)
            for runtime, own in by.items()
            for batch in batches
        }
        variants["one_by_one"] = lambda: _one_by_one(plain, translator, folder / "in", folder / "one_by_one")
        times, processor = _interleaved(variants, rounds, note)
        rows = [_row(variant, times, processor, images, folder) for variant in variants]
    facts = {"side": side, "images": images, "batch_norm": modes.batch_norm, "dropout": modes.dropout}
    return {"machine": describe(place.device), "generator": plan.generator.name, **place.facts(), **facts, "rows": rows}


def _draw(folder: Path, count: int, side: int) -> None:
    """Write pictures that compress as photos do: smooth, with a little noise."""
    folder.mkdir()
    dice = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(dice.integers(0, 256, (12, 12, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC)).astype(np.int16)
        picture = (smooth + dice.integers(-4, 5, smooth.shape)).clip(0, 255).astype(np.uint8)
        Image.fromarray(picture).save(folder / f"{number:04}.png")


def _programs(
    translator: Translator, runtimes: Sequence[Runtime], folder: Path, note: Callable[[str], None]
) -> dict[str, Translator]:
    """Return a plain generator as runtimes run it, by the beginning of its rows' names."""
    if not runtimes:
        return {}
    note("writing its program")
    graph = PortableGenerator(translator).eval()
    about, _ = write_program(graph, "onnx", folder, runtime=runtimes[0])
    return {f"{runtime}_": translator_of(folder, about, runtime) for runtime in runtimes}


def _folder(translator: Translator, folder: Path, name: str, batch: int) -> None:
    translator.translate_files([folder / "in"], folder / name, batch=batch)


def _one_by_one(generator: nn.Module, translator: Translator, inputs: Path, output: Path) -> None:
    """Translate as a tutorial would: fp32, one image at a time, each step after the other."""
    output.mkdir(exist_ok=True)
    with run_in_mode(generator, InferenceMode(translator.batch_norm, translator.dropout)):
        for path in sorted(inputs.iterdir()):
            with Image.open(path) as opened:
                array = np.array(opened.convert("RGB"))
            image = torch.from_numpy(array).permute(2, 0, 1)[None].float().div(127.5).sub(1)
            fake = generator(image.to(translator.place.device))[0].float().cpu()
            pixels = ((fake.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
            Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy()).save(output / path.name)


def _interleaved(
    variants: dict[str, Callable[[], object]], rounds: int, note: Callable[[str], None]
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Return the seconds of each round, and those of all processors together."""
    times: dict[str, list[float]] = {name: [] for name in variants}
    processor: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(rounds + 1):
        note(f"round {number} of {rounds}" if number else "warming up")
        for name, act in variants.items():
            begun, used = time.perf_counter(), time.process_time()
            act()
            times[name].append(time.perf_counter() - begun)
            processor[name].append(time.process_time() - used)
    first, second = ({name: values[1:] for name, values in each.items()} for each in (times, processor))
    return first, second


def _row(
    variant: str, times: dict[str, list[float]], processor: dict[str, list[float]], images: int, folder: Path
) -> dict[str, Json]:
    own, base = times[variant], times["one_by_one"]
    return {
        "variant": variant,
        "images_per_second": images / statistics.median(own),
        "spread": [images / max(own), images / min(own)],
        "ratio": statistics.median(base) / statistics.median(own),
        "processor_ms": statistics.median(processor[variant]) / images * 1000,
        "largest_difference": max(_difference(path, folder / "one_by_one") for path in (folder / variant).iterdir()),
    }


def _difference(picture: Path, folder: Path) -> int:
    first, second = (np.asarray(Image.open(path)).astype(np.int16) for path in (picture, folder / picture.name))
    return int(np.abs(first - second).max())
