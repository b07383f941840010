"""What is exported has the reference's keys, and the command to test it by."""

from __future__ import annotations

import pytest
import torch
from originals import Erik, ResNet, UNet

import p2pkit
from p2pkit import ModelError


@pytest.fixture
def exported(tmp_path, quiet):
    return lambda **options: p2pkit.export_checkpoint(
        tmp_path / "model", tmp_path / "out.pth", registry=quiet, **options
    )


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize("network", ["unet_128", "unet_256", "resnet_6blocks", "resnet_9blocks", "resnet_dropout"])
def test_round_trip(save, imported, exported, norm, network):
    if network.startswith("unet"):
        state = UNet.make(7 if network == "unet_128" else 8, 1, norm).junyanz()
    else:
        state = ResNet.make(9 if "9" in network else 6, 1, norm).junyanz(dropout=network == "resnet_dropout")
    imported(save(state))
    written = torch.load(exported().path, weights_only=True)
    assert written.keys() == state.keys()
    assert all(torch.equal(tensor, state[key]) and tensor.dtype == state[key].dtype for key, tensor in written.items())


def test_what_the_reference_wrote_comes_back(reference_fixtures, imported, exported):
    imported(reference_fixtures / "unet_256_ngf2_batch.pth")
    theirs = torch.load(reference_fixtures / "unet_256_ngf2_batch.pth", weights_only=True)
    written = torch.load(exported().path, weights_only=True)
    assert list(written) == list(theirs)
    assert all(torch.equal(tensor, theirs[key]) for key, tensor in written.items())


@pytest.mark.parametrize(
    ("dropout", "settings", "options"),
    [
        (True, {}, ""),
        (False, {}, " --no_dropout"),
        (True, {"evaluate.batch_norm": "running", "evaluate.dropout": "off"}, " --eval"),
        (False, {"evaluate.batch_norm": "running"}, " --no_dropout --eval"),
        (True, {"evaluate.dropout": "off"}, " --no_dropout"),
    ],
)
def test_the_command_runs_the_network_as_we_do(save, imported, exported, dropout, settings, options):
    imported(save(UNet.make(7, 2, "batch", 1, 3).junyanz()), dropout=dropout, **settings)
    command = "python test.py --dataroot DATA --name NAME --model pix2pix --netG unet_128 --ngf 2 --norm batch"
    out = exported()
    assert out.command == f"{command} --input_nc 1 --output_nc 3 --load_size 128 --crop_size 128{options}"
    assert out.notes == ()


def test_what_their_script_does_otherwise_is_said(save, imported, exported, tmp_path):
    imported(save(ResNet.make(6, 1, "batch").junyanz(dropout=True)), **{"evaluate.dropout": "off"})
    assert "no mode with each image's own statistics and without dropout" in exported().notes[0]
    (tmp_path / "out.pth").unlink()
    paper = {"generator.params.dropout_blocks": [1, 2, 3]}
    imported(save(UNet.make(8, 1, "batch").junyanz()), output=tmp_path / "model2", **paper)
    notes = p2pkit.export_checkpoint(tmp_path / "model2", tmp_path / "out.pth").notes
    assert "in a U-Net in blocks 2 to depth - 4" in notes[0]


def test_a_trained_run(tiny, quiet, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    generator = {"use": "resnet", "params": {"blocks": 6, "width": 2, "norm": "instance", "dropout": 0.0}}
    run = p2pkit.train({**tiny, "generator": generator, "losses": {"l1": 1}}, registry=quiet)
    out = p2pkit.export_checkpoint(run.folder, "latest_net_G.pth", registry=quiet)
    assert "--netG resnet_6blocks --ngf 2 --norm instance" in out.command
    again = p2pkit.import_checkpoint("latest_net_G.pth", "back", registry=quiet)
    source = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        fakes = [
            p2pkit.load(model, device="cpu", registry=quiet).generator.eval()(source)
            for model in (run.folder, again.folder)
        ]
    torch.testing.assert_close(*fakes, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("generator", "said"),
    [
        (
            {"depth": 8, "upsampling": "nearest"},
            "generator.params.upsampling: is nearest, and junyanz has transposed only",
        ),
        ({"depth": 8, "skips": False}, "generator.params.skips: is False"),
        ({"depth": 8, "norm": "group"}, "generator.params.norm: is group"),
        ({"depth": 8, "norm": "none"}, "generator.params.bias: with norm none"),
        ({"depth": 8, "max_width": 4}, "generator.params.max_width: is 4"),
        ({"depth": 5}, "generator.params.depth: is 5, and junyanz has 7 and 8 only"),
    ],
)
def test_networks_that_they_do_not_have(quiet, tmp_path, generator, said, monkeypatch):
    from p2pkit.bridge.exporting import _problems
    from p2pkit.config import load_config, resolve

    part = resolve(
        load_config({"dataset": "emoji", "generator": {"use": "unet", "params": generator}}), quiet
    ).generator
    assert next(str(problem) for problem in _problems(part, part.resolved()["params"], "junyanz")).startswith(said)


def test_refusals(save, imported, exported, tmp_path):
    imported(save(Erik.make(5, 2).layers.state))
    with pytest.raises(ModelError, match=r"p2pkit:unet_blog is no generator of junyanz\n.*p2pkit:unet, p2pkit:resnet"):
        exported()
    with pytest.raises(ModelError, match="there is no format 'onnx'"):
        exported(format="onnx")
    (tmp_path / "out.pth").write_text("precious")
    with pytest.raises(ModelError, match="is there already"):
        exported()
    assert (tmp_path / "out.pth").read_text() == "precious"
