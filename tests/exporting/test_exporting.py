"""Generators as programs: what they take, how they compare, and what lies beside them."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import p2pkit
from p2pkit import ImageSpec, ModelError, PairSpec, Translator, VectorSpec
from p2pkit.engine.device.placement import Placement
from p2pkit.engine.device.precision import Precision
from p2pkit.exporting import PortableGenerator, export, export_program, save_program, sources
from p2pkit.inference.companions import Input
from p2pkit.inference.forms import Form
from p2pkit.programs import formats
from p2pkit.programs.exported import Description
from p2pkit.programs.parity import measure
from p2pkit.programs.program import example
from p2pkit.programs.runtimes import runner
from p2pkit.registry import names_in_force

CPU = torch.device("cpu")


class Small(nn.Module):
    """Halves and doubles its images, with batch norm in between."""

    multiple = 2

    def __init__(self, source=3, target=3):
        super().__init__()
        self.down, self.up = nn.Conv2d(source, 4, 2, 2), nn.ConvTranspose2d(4, target, 2, 2)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, images):
        return torch.tanh(self.up(self.norm(self.down(images))))


class OneSize(Small):
    """Takes images of 8 x 8 alone."""

    def forward(self, images):
        return super().forward(images + torch.ones(1, 1, 8, 8))


def translator(network=Small, source=None, target=None, extras=(), **options):
    images = PairSpec(source or ImageSpec(3), target or ImageSpec(3), 8, 8, extras=dict(extras))
    torch.manual_seed(0)
    channels = images.source.channels, images.target.channels
    place = Placement(CPU, Precision("fp32", CPU), torch.contiguous_format)
    return Translator(network(*channels).eval(), images, place, **options)


def run_graph(graph, given):
    return graph(*map(torch.from_numpy, given.values())).detach().numpy()


class Beside(Small):
    """Takes a class, a depth and noise."""

    def __init__(self, *channels):
        super().__init__(*channels)
        self.shift, self.stir = nn.Linear(3, 3), nn.Linear(2, 3)

    def forward(self, images, *, depth, season, z):
        shift = self.shift(season) + self.stir(z)
        return p2pkit.Made(super().forward(images + depth + shift[:, :, None, None]), {"shift": shift})


BESIDE = {"season": VectorSpec(3, "class"), "depth": ImageSpec(1, high=65535.0), "z": VectorSpec(2, "noise")}


def test_a_program_takes_what_stands_beside_a_source():
    model = translator(Beside, extras=BESIDE)
    graph = PortableGenerator(model, stored=True, layout="NHWC").eval()
    assert list(graph.inputs) == ["source", "depth", "season", "z"]
    program, free = export_program(graph, height=8, width=8)
    assert free
    given = example(graph, 1, 7, 9)
    assert (given["depth"].dtype, given["season"].shape) == (torch.uint16, (1,))
    seen = {name: graph.form.seen(values, graph.inputs[name]) for name, values in given.items()}
    asked = Input(torch.cat([seen["source"], seen["depth"]], 1)[0], {name: seen[name][0] for name in ("season", "z")})
    assert measure(model, partial(run_graph, program.module()), graph.form, [asked], "x").most <= 1
    with torch.no_grad():
        assert not torch.equal(graph(*given.values()), graph(*{**given, "z": given["z"] + 3}.values()))


@pytest.mark.slow
def test_a_runtime_is_given_it_by_name(tmp_path):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    graph = PortableGenerator(translator(Beside, extras=BESIDE)).eval()
    program, _ = export_program(graph, height=8, width=8)
    run = runner("onnx", formats.write(program, "onnx", tmp_path, graph))
    given = {name: values.numpy() for name, values in example(graph, 2, 5, 6).items()}
    np.testing.assert_allclose(run(dict(reversed(given.items()))), run_graph(graph, given), atol=1e-5)


@pytest.mark.parametrize("mode", ["running", "batch"])
def test_a_graph_does_what_translating_does(mode):
    model = translator(batch_norm=mode)
    images = torch.rand(2, 3, 7, 9, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        made = PortableGenerator(model).eval()(images)
    torch.testing.assert_close(made, model.network_values(images), atol=1e-5, rtol=0)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_values_are_read_and_written_inside(layout):
    deep = ImageSpec(2, low=-1000.0, high=3000.0, dtype="int16")
    model = translator(source=deep, target=ImageSpec(4, kind="labels"))
    graph = PortableGenerator(model, stored=True, layout=layout).eval()
    given = example(graph, 2, 6, 8)["source"]
    assert given.dtype == torch.int16
    with torch.no_grad():
        made = graph(given)
    first = given[0].permute(2, 0, 1) if layout == "NHWC" else given[0]
    label = made[0].permute(2, 0, 1) if layout == "NHWC" else made[0]
    assert torch.equal(label, model.translate(first.contiguous()))


def test_noise_is_no_program():
    with pytest.raises(ModelError, match="dropout stays active"):
        PortableGenerator(translator(dropout="on"))


def test_a_program_takes_any_size_where_the_network_does():
    graph = PortableGenerator(translator()).eval()
    program, free = export_program(graph, height=8, width=8)
    assert free
    images = example(graph, 3, 5, 7)["source"]
    torch.testing.assert_close(program.module()(images), graph(images))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_an_error_and_not_the_end_of_the_process(tmp_path):
    program, _ = export_program(PortableGenerator(translator()).eval(), height=8, width=8)
    with pytest.raises(OSError, match="No space left"):
        save_program(program, Path("/dev/full"))
    save_program(program, tmp_path / "whole.pt2")
    assert torch.export.load(tmp_path / "whole.pt2").module() is not None


@pytest.mark.parametrize(
    ("source", "target", "mode"),
    [
        (ImageSpec(5, kind="labels"), ImageSpec(1, high=65535.0), {}),
        (ImageSpec(3), ImageSpec(2, low=-3.0, high=40.0), {"batch_norm": "batch"}),
    ],
)
def test_a_program_of_stored_images_does_what_translating_does(source, target, mode):
    model = translator(source=source, target=target, **mode)
    graph = PortableGenerator(model, stored=True, layout="NHWC").eval()
    program, free = export_program(graph, height=8, width=8)
    assert free
    given = example(graph, 2, 19, 33)["source"]
    wanted = np.stack([model.translate(one.numpy(), given="source") for one in given]).astype(float)
    made = program.module()(given).detach().numpy().astype(float)
    assert np.abs(made - wanted).max() <= (target.high - target.low) / 255


def test_a_program_of_one_size_says_so_and_one_that_can_not_be_had_why():
    program, free = export_program(PortableGenerator(translator(OneSize)).eval(), height=8, width=8)
    assert not free
    assert program.module()(torch.zeros(3, 3, 8, 8)).shape == (3, 3, 8, 8)

    class Asks(Small):
        def forward(self, images):
            return images if float(images.sum()) > 0 else -images

    with pytest.raises(ModelError, match=r"into a program: \w"):
        export_program(PortableGenerator(translator(Asks)).eval(), height=8, width=8)


def test_parity_is_in_steps_of_255_of_the_range():
    model = translator()
    sources = [Input(torch.zeros(3, 8, 8))]
    wrong = measure(
        model,
        lambda given: model.network_values(torch.from_numpy(given["source"])).numpy() + 0.1,
        Form(),
        sources,
        "x",
    )
    assert wrong.most == pytest.approx(12.75, rel=1e-3)
    stored = PortableGenerator(model, stored=True)
    run = partial(run_graph, stored)
    right = measure(model, run, stored.form, sources, "sources")
    assert right.most <= 1
    assert str(right).endswith("over 1 sources")


class Deep(nn.Module):
    """Goes over volumes."""

    def __init__(self, source, target):
        super().__init__()
        self.seen = nn.Conv3d(source, target, 1)

    def forward(self, volumes):
        return torch.tanh(self.seen(volumes))


@pytest.mark.parametrize(("network", "extras", "depth"), [(Beside, BESIDE, 0), (Deep, {}, 4)])
def test_weights_are_compared_on_noise_whatever_they_take(monkeypatch, network, extras, depth):
    model = translator(network, extras=extras)
    model = replace(model, images=replace(model.images, depth=depth))
    monkeypatch.setattr(sources, "held_out", lambda *asked: [])

    def run(given):
        tensors = {name: torch.from_numpy(values) for name, values in given.items()}
        return model.network_values(*model.companions.together(tensors)).numpy()

    inputs, of = sources.sources(Path("nowhere"), model, names_in_force(None))
    assert (len(inputs), of.partition(",")[0]) == (4, "sources of noise")
    assert measure(model, run, Form(), inputs, of).most == 0
    assert measure(model, lambda given: run(given) + 0.1, Form(), inputs, of).most == pytest.approx(12.75, rel=1e-3)


def test_volumes_are_no_program():
    model = translator(Deep)
    with pytest.raises(ModelError, match=r"makes volumes(?s:.)*safetensors"):
        PortableGenerator(replace(model, images=replace(model.images, depth=4)))


def test_weights_travel_with_their_config_and_a_card(small_run, tmp_path):
    made = export(small_run.checkpoint, tmp_path / "out", format="safetensors", license="mit")
    image = np.zeros((20, 18, 3), np.uint8)
    np.testing.assert_array_equal(
        p2pkit.load(made.folder).translate(image), p2pkit.load(small_run.checkpoint).translate(image)
    )
    card = (made.folder / "README.md").read_text(encoding="utf-8")
    assert "license: mit" in card
    assert "unet_tiny" in card
    with pytest.raises(ModelError, match="is there already"):
        export(small_run.checkpoint, tmp_path / "out")


def test_weights_of_16_bits_are_half_as_large_and_checked(small_run, tmp_path):
    whole = export(small_run.checkpoint, tmp_path / "whole", format="safetensors")
    half = export(small_run.checkpoint, tmp_path / "half", format="safetensors", precision="fp16")
    assert whole.parity is None
    assert half.parity.most < 1
    assert half.file.stat().st_size < 0.6 * whole.file.stat().st_size
    assert str(half.parity) in (half.folder / "README.md").read_text(encoding="utf-8")
    image = np.zeros((20, 18, 3), np.uint8)
    made, wanted = p2pkit.load(half.folder).translate(image), p2pkit.load(small_run.checkpoint).translate(image)
    assert np.abs(made.astype(int) - wanted).max() <= 1
    assert next(p2pkit.load(half.folder).generator.parameters()).dtype == torch.float32
    with pytest.raises(ModelError, match="differs from the network by at most"):
        export(small_run.checkpoint, tmp_path / "strict", format="safetensors", precision="fp16", tolerance=0.0)


def test_what_differs_too_much_is_not_kept(small_run, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "p2pkit.exporting.folder.write_program", lambda *given, **how: (None, lambda given: given["source"] + 1)
    )
    with pytest.raises(ModelError, match="differs from the network by at most"):
        export(small_run.checkpoint, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_torchs_own_program_is_written_and_not_loaded_by_us(small_run, tmp_path):
    made = export(small_run.checkpoint, tmp_path / "out", format="pt2", stored=True)
    assert made.parity.most <= 1
    program = torch.export.load(made.file).module()
    image = torch.zeros(1, 3, 21, 30, dtype=torch.uint8)
    fake = p2pkit.load(small_run.checkpoint).translate(image[0])
    assert (program(image)[0].int() - fake.int()).abs().max() <= 1
    with pytest.raises(ModelError, match="may hold code"):
        p2pkit.load(made.folder)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "arithmetic"), [("onnx", "fp32"), ("onnx", "fp16"), ("openvino", "fp32")])
def test_programs_run_in_their_runtimes(small_run, tmp_path, kind, arithmetic):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime" if kind == "onnx" else "openvino")
    made = export(small_run.checkpoint, tmp_path / "out", format=kind, precision=arithmetic)
    assert made.size is None
    assert made.parity.most < (0.01 if arithmetic == "fp32" else 8)
    image = np.random.default_rng(0).integers(0, 256, (21, 30, 3), dtype=np.uint8)
    wanted, fake = (p2pkit.load(model).translate(image).astype(int) for model in (small_run.checkpoint, made.folder))
    assert np.abs(wanted - fake).max() <= (1 if arithmetic == "fp32" else 8)
    assert json.loads((made.folder / "p2pkit.json").read_text())["program"] == kind
    assert replace(made, parity=None) != made


def test_scores_samples_and_licence_go_along_however_often_a_model_is_exported(small_run, tmp_path):
    first = export(small_run.checkpoint, tmp_path / "first", format="safetensors", license="cc-by-4.0").folder
    second = export(first, tmp_path / "second", format="safetensors").folder
    card = (second / "README.md").read_text(encoding="utf-8")
    assert "license: cc-by-4.0" in card
    assert "| l1 ↓ |" in card
    for name in ("evaluation.json", "samples.png"):
        assert (second / name).read_bytes() == (first / name).read_bytes()
    (second / "README.md").write_text("---\nlicense: [\n---\n")
    (second / "evaluation.json").write_text("{}")
    card = (export(second, tmp_path / "third", format="safetensors").folder / "README.md").read_text(encoding="utf-8")
    assert "It has not been scored." in card
    assert "license:" not in card


@pytest.mark.slow
def test_a_program_of_8_bits_says_what_it_loses(small_run, tmp_path):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    made = export(small_run.checkpoint, tmp_path / "out", precision="int8")
    assert made.scores.loss("l1") < 0.05
    assert made.scores.network.metrics["l1"] == pytest.approx(small_run.report.metrics["l1"], rel=1e-4)
    assert "In 8 bits, beside the network" in (made.folder / "README.md").read_text(encoding="utf-8")
    model = onnx.load(made.file)
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    weights = [kinds.get(node.input[1]) for node in model.graph.node if node.op_type in ("Conv", "ConvTranspose")]
    assert weights[0] == weights[-1] == onnx.TensorProto.FLOAT
    assert None in weights  # those between come out of a DequantizeLinear
    assert [entry.key for entry in model.metadata_props].count("p2pkit.images") == 1
    image = np.random.default_rng(0).integers(0, 256, (21, 30, 3), dtype=np.uint8)
    wanted, fake = (p2pkit.load(model).translate(image).astype(int) for model in (small_run.checkpoint, made.folder))
    assert 0 < np.abs(wanted - fake).mean() < 8


@pytest.mark.parametrize("force", [False, True])
def test_a_program_of_8_bits_that_loses_too_much_is_kept_only_by_force(small_run, tmp_path, monkeypatch, force):
    def write(graph, kind, folder, *, examples, **how):
        assert len(examples) == 12
        (folder / "model.onnx").write_bytes(b"program")
        images = graph.images
        about = {"images": images, "multiple": graph.multiple, "size": None, "stored": False, "layout": "NCHW"}
        return Description(program=kind, file="model.onnx", precision="int8", **about), lambda given: -given["source"]

    monkeypatch.setattr("p2pkit.exporting.folder.write_program", write)
    if force:
        assert export(small_run.checkpoint, tmp_path / "out", precision="int8", force=True).scores.loss("l1") > 0.05
    else:
        with pytest.raises(ModelError, match="in 8 bits the model is worse on 8 pairs of val: l1 by"):
            export(small_run.checkpoint, tmp_path / "out", precision="int8")
        assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("score", [False, True])
def test_a_program_of_16_bits_is_scored_where_that_is_asked_for(small_run, tmp_path, monkeypatch, score):
    def write(graph, kind, folder, *, examples, **how):
        assert not examples
        (folder / "model.onnx").write_bytes(b"program")
        about = {"images": graph.images, "multiple": graph.multiple, "size": None, "stored": False, "layout": "NCHW"}

        def run(given):
            with torch.no_grad():
                return graph(torch.from_numpy(given["source"])).numpy()

        return Description(program=kind, file="model.onnx", precision="fp16", **about), run

    monkeypatch.setattr("p2pkit.exporting.folder.write_program", write)
    made = export(small_run.checkpoint, tmp_path / "out", precision="fp16", score=score)
    told = "In 16 bits, beside the network" in (made.folder / "README.md").read_text(encoding="utf-8")
    assert (made.scores is not None) is told is score
    assert not score or abs(made.scores.loss("l1")) < 0.05


def test_weights_alone_are_no_program_that_could_be_scored(small_run, tmp_path):
    with pytest.raises(ModelError, match="--score: hub is no program"):
        export(small_run.checkpoint, tmp_path / "out", format="hub", score=True)


def test_weights_alone_are_not_of_8_bits(small_run, tmp_path):
    with pytest.raises(ModelError, match="there is no safetensors of 8 bits"):
        export(small_run.checkpoint, tmp_path / "out", format="safetensors", precision="int8")
