"""Every layout is described in the documents, and its tensors come back as they were from a model of ours."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from originals import Erik, ErikPatch, Patch, Pixel, ResNet, UNet

from p2pkit.bridge.importing import _seen
from p2pkit.bridge.layout import name_tensors, swap_colours
from p2pkit.bridge.recognise import LAYOUTS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "checkpoint-layouts.md"
STATES = {
    "junyanz U-Net": lambda norm: UNet.make(6, 2, norm).junyanz(),
    "junyanz ResNet": lambda norm: ResNet.make(6, 2, norm).junyanz(),
    "junyanz PatchGAN": lambda norm: Patch.make(3, 4, norm).junyanz(),
    "junyanz PixelGAN": lambda norm: Pixel.make(4, norm).junyanz(),
    "mmgen U-Net": lambda norm: UNet.make(5, 2, norm).mmgen(),
    "mmgen ResNet": lambda norm: ResNet.make(4, 2, norm).mmgen(),
    "mmgen PatchGAN": lambda norm: Patch.make(3, 4, norm).mmgen(),
    "erik U-Net": lambda norm: Erik.make(8, 2).layers.state,
    "erik PatchGAN": lambda norm: ErikPatch.make(4).layers.state,
}


def test_every_layout_is_described():
    rows = [row for row in PAGE.read_text(encoding="utf-8").splitlines() if row.startswith("| ")]
    for layout in LAYOUTS:
        row = next(row for row in rows if row.startswith(f"| {layout.name} |"))
        assert f"`{layout.anchor}`" in row
        assert f"[`{layout.use.removeprefix('p2pkit:')}`]" in row
        modes = f"| {layout.batch_norm}, {layout.dropout} |" if layout.kind == "generator" else "| |"
        assert row.endswith(modes)


def test_every_layout_has_a_round_trip():
    assert STATES.keys() == {layout.name for layout in LAYOUTS}


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("name", STATES)
def test_tensors_come_back_as_they_were(save, imported, generator, discriminator, quiet, name, norm):
    layout = next(layout for layout in LAYOUTS if layout.name == name)
    theirs = STATES[name](norm)
    files = [save(theirs)]
    if layout.kind == "discriminator":
        files = [save(UNet.make(5, 1, "batch").junyanz()), save(theirs, "latest_net_D.pth")]
    model = imported(files)
    part, load = (model.generator, generator) if layout.kind == "generator" else (model.discriminator, discriminator)
    component = quiet.resolve(layout.kind, layout.use).component
    names = name_tensors(layout, component, model.images, part.params)
    ours = load(model).state_dict()
    if part.channels == "bgr":
        ours = partial(swap_colours, names, groups=_seen(part, 3, 3), image=layout.kind == "generator")(ours)
    back = {key: ours[mine] for key, mine in names.ours.items()}
    assert back.keys() == theirs.keys()
    for key, tensor in theirs.items():
        assert torch.equal(back[key], tensor), key
