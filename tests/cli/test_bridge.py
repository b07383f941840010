"""Commands that exchange checkpoints with other toolboxes."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

LAYERS = {  # a PixelGAN of junyanz, whose file comes along with the generator's
    "net.0.weight": (4, 6, 1, 1),
    "net.0.bias": (4,),
    "net.2.weight": (8, 4, 1, 1),
    "net.2.bias": (8,),
    "net.5.weight": (1, 8, 1, 1),
    "net.5.bias": (1,),
}


def test_train_export_import_translate_train_on(p2pkit, tiny, tmp_path):
    network = ["-s", "generator={use: resnet, params: {blocks: 6, width: 2, norm: instance, dropout: 0}}"]
    network += ["-s", "engine.memory_format=contiguous"]
    trained = p2pkit("train", tiny, *network, "-s", "tracking.name=first", "-q")
    assert trained.code == 0, trained.err

    exported = p2pkit("export-checkpoint", "first", "-o", "latest_net_G.pth", "--format", "junyanz")
    assert exported.code == 0, exported.err
    assert "python test.py --dataroot DATA --name NAME --model pix2pix --netG resnet_6blocks --ngf 2" in exported.out
    assert "--load_size 16 --crop_size 16 --no_dropout --eval" in exported.out

    torch.save({name: torch.zeros(shape) for name, shape in LAYERS.items()}, tmp_path / "latest_net_D.pth")
    imported = p2pkit("import-checkpoint", "latest_net_G.pth", "latest_net_D.pth", "-o", "model")
    assert imported.code == 0, imported.err
    assert "generator      junyanz ResNet = resnet: blocks 6, width 2, dropout 0.0, norm instance" in imported.out
    assert "discriminator  junyanz PixelGAN = patch: layers 0, width 4, norm instance" in imported.out
    assert "p2pkit train model/run.yaml -s engine.init=model" in imported.out

    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "in.png")
    for model in ("first", "model"):
        assert p2pkit("translate", model, "in.png", "-o", model + "_out", "-q").code == 0
    fakes = [np.asarray(Image.open(tmp_path / f"{model}_out" / "in.png")) for model in ("first", "model")]
    np.testing.assert_array_equal(*fakes)

    settings = (
        "-s",
        "dataset={use: shapes, params: {size: 16, count: 8}}",
        "-s",
        "schedule.epochs=1",
        "-s",
        "engine.batch=4",
    )
    on = p2pkit("train", "model/run.yaml", "-s", "engine.init=model", *settings)
    assert on.code == 0, on.err
    assert "generator and discriminator begin with the weights of model" in on.err


def test_refusals_have_no_traceback(p2pkit, tmp_path):
    (tmp_path / "page.pth").write_text("<html>")
    refused = p2pkit("import-checkpoint", "page.pth", "-o", "model")
    assert refused.code == 2
    assert "page.pth: is a web page and no checkpoint" in refused.err
    assert "Traceback" not in refused.err
    assert p2pkit("export-checkpoint", "gone", "-o", "out.pth").code == 2
