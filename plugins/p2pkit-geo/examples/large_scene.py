"""A scene larger than memory, from training to a program of its own.

$ python examples/large_scene.py FOLDER --side 20000

Draws a scene of five bands of 16 bits and its map, and runs p2pkit's commands on them, each in a process of its own:
`train` on tiles, `translate` of the whole scene, of a part of it at once, `export`, and `translate` by onnxruntime.
Says what each took. Ends with exit code 1 where one took too much MEMORY, the scene's fake differs from the part's by
more than SEAM, away from the part's ends, or the two fakes of the scene by more than APART.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio import Affine
from rasterio.windows import Window

MEMORY = 2000  # MB
SEAM = 4  # of 255
APART = 1  # of 255
BANDS = ("blue", "green", "red", "nir", "swir")
WATER, SOIL, PLANTS = (400, 350, 250, 120, 60), (900, 1200, 1600, 2200, 2900), (300, 600, 350, 3600, 1700)
INKS = ((120, 170, 220), (235, 225, 200), (150, 200, 140))
STRIP, PERIOD, PART, END = 256, 2048, 1536, 256

CONFIG = """\
dataset: {{use: geo_tiles, params: {{source: scene.tif, target: map.tif, size: {size}, source_shown: [2, 1, 0]}}}}
generator: {{use: unet, params: {{depth: 3, width: 8, dropout: 0.0}}}}
losses: {{l1: 1}}
schedule: {{steps: {steps}}}
engine: {{batch: 8, device: cpu, cache: off, workers: 0}}
evaluate: {{every: 0, metrics: [l1], samples: 2, batch_norm: running, baselines: false}}
tracking: {{system_metrics: false, model: false, name: scene}}
"""


def smooth(seed: int) -> NDArray[np.float32]:
    """Draw hills without a seam where they repeat, from 0 to 1."""
    noise = np.fft.rfft2(np.random.default_rng(seed).standard_normal((PERIOD, PERIOD)))
    slow = np.hypot(np.fft.fftfreq(PERIOD)[:, None], np.fft.rfftfreq(PERIOD)[None]) + 1 / PERIOD
    hills = np.fft.irfft2(noise / slow**1.6)
    return ((hills - hills.min()) / np.ptp(hills)).astype(np.float32)


def strips(side: int) -> Iterator[tuple[Window, NDArray[np.uint16], NDArray[np.uint8]]]:
    """Draw a scene and its map, some rows at a time: wet where it is low, green where it is moist."""
    heights, moist, noise = (smooth(seed) for seed in range(3))
    columns = np.arange(side)
    for top in range(0, side, STRIP):
        rows = np.arange(top, min(top + STRIP, side))
        here = np.ix_(rows % PERIOD, columns % PERIOD)
        tilted = heights[here] + 0.2 * np.sin(columns / side * 9)[None].astype(np.float32)
        water = (tilted < 0.4).astype(np.float32)
        plants = np.clip((moist[here] - 0.4) * 6 + (rows / side - 0.5)[:, None].astype(np.float32), 0, 1) * (1 - water)
        shares = (water, 1 - water - plants, plants)
        light = 0.7 + 0.6 * noise[here]
        scene = [
            sum(s * c[band] for s, c in zip(shares, (WATER, SOIL, PLANTS), strict=True)) * light for band in range(5)
        ]
        drawn = [sum(s * ink[band] for s, ink in zip(shares, INKS, strict=True)) for band in range(3)]
        yield Window(0, top, side, len(rows)), np.stack(scene).astype(np.uint16), np.stack(drawn).astype(np.uint8)


def draw(folder: Path, side: int) -> None:
    """Write `scene.tif` and `map.tif`, compressed, in tiles, with a place on earth and two smaller copies."""
    how = {"driver": "GTiff", "height": side, "width": side, "crs": "EPSG:32632", "tiled": True, "compress": "deflate"}
    how |= {"transform": Affine(10, 0, 5e5, 0, -10, 5.4e6), "predictor": 2, "zlevel": 1, "bigtiff": "if_safer"}
    with (
        rasterio.Env(GDAL_CACHEMAX=2**28),
        rasterio.open(folder / "scene.tif", "w", count=5, dtype="uint16", interleave="pixel", **how) as scene,
        rasterio.open(folder / "map.tif", "w", count=3, dtype="uint8", photometric="RGB", **how) as drawn,
    ):
        scene.descriptions = BANDS
        for window, bands, colours in strips(side):
            scene.write(bands, window=window)
            drawn.write(colours, window=window)
        scene.build_overviews([2, 4], rasterio.enums.Resampling.average)


def p2pkit(folder: Path, *command: str) -> int:
    """Run a command of p2pkit's; return the most memory that it took, in MB."""
    process = subprocess.Popen(
        [sys.executable, "-m", "p2pkit", *command],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    memory = used.ru_maxrss // 1024
    seconds = used.ru_utime + used.ru_stime
    print(f"$ p2pkit {' '.join(command)}\n{said}{memory} MB at most, {seconds:.0f} s of the processor\n")
    if process.returncode:
        sys.exit(process.returncode)
    return memory


def cut(folder: Path, corner: int) -> None:
    """Write `part.tif`, a part of the scene across several tiles."""
    window = Window(corner, corner, PART, PART)
    with rasterio.open(folder / "scene.tif") as scene:
        lies = {"width": PART, "height": PART, "transform": scene.window_transform(window)}
        with rasterio.open(folder / "part.tif", "w", **{**scene.profile, **lies}) as part:
            part.write(scene.read(window=window))


def apart(one: Path, other: Path, windows: Iterable[tuple[Window, Window]]) -> int:
    """Return the largest difference of two rasters, between a window of each."""
    with rasterio.Env(GDAL_CACHEMAX=2**28), rasterio.open(one) as first, rasterio.open(other) as second:
        each = (first.read(window=here).astype(int) - second.read(window=there) for here, there in windows)
        return max(int(np.abs(difference).max()) for difference in each)


def main() -> int:
    """Do it all, and say what was too much."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=300)
    asked = parser.parse_args()
    folder, side = asked.folder, asked.side
    folder.mkdir(parents=True, exist_ok=True)
    draw(folder, side)
    (folder / "run.yaml").write_text(CONFIG.format(size=asked.size, steps=asked.steps))
    size = (folder / "scene.tif").stat().st_size >> 20
    print(f"scene.tif: {side} x {side}, 5 bands of 16 bits, {size} MB\n")
    corner = side // 2 // 64 * 64 - PART // 2
    cut(folder, corner)
    most = max(
        p2pkit(folder, "train", "run.yaml", "-q"),
        p2pkit(folder, "translate", "runs/scene", "scene.tif", "-o", "fake.tif", "--device", "cpu"),
        p2pkit(folder, "translate", "runs/scene", "part.tif", "-o", "at_once.tif", "--tile", "0", "--device", "cpu"),
        p2pkit(folder, "export", "runs/scene", "-o", "program", "--format", "onnx"),
        p2pkit(folder, "translate", "program", "scene.tif", "-o", "by_program.tif"),
    )
    inner = PART - 2 * END
    there = Window(END, END, inner, inner), Window(corner + END, corner + END, inner, inner)
    seam = apart(folder / "at_once.tif", folder / "fake.tif", [there])
    rows = [Window(0, top, side, min(STRIP, side - top)) for top in range(0, side, STRIP)]
    differ = apart(folder / "fake.tif", folder / "by_program.tif", zip(rows, rows, strict=True))
    print(
        f"{most} MB at most; by tiles and at once {seam} of 255 at most; by torch and by onnxruntime {differ} at most"
    )
    return int(most > MEMORY or differ > APART or seam > SEAM)


if __name__ == "__main__":
    sys.exit(main())
