"""Encoders' names and first weights."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest
import torch
from p2pkit_smp.encoders import check_encoder, statistics
from safetensors.torch import save_file

import p2pkit
from p2pkit import ComponentError
from p2pkit.layers import Standardise


@pytest.mark.parametrize("name", ["resnet34", "efficientnet-b0", "tu-resnet18", "tu-resnet18.a1_in1k"])
def test_names_of_both_libraries(name):
    check_encoder(name)


@pytest.mark.parametrize(
    ("name", "near"),
    [("resnet43", "resnet34"), ("tu-convnext_tinny", "tu-convnext_tiny"), ("convnext_tiny", "tu-convnext_tiny"),
     ("tu-resnet18.of_my_own", "tu-resnet18")],
)  # fmt: skip
def test_unknown_names(name, near, build):
    with pytest.raises(ComponentError, match="there is no encoder") as raised:
        build("smp_unet", encoder=name)
    assert near in raised.value.remedy
    assert raised.value.parameter == "encoder"


@pytest.fixture
def resnet(tmp_path):
    """Weights of an encoder in the library's form, as a file."""
    from segmentation_models_pytorch.encoders import get_encoder

    encoder = get_encoder("resnet18", weights=None)
    file = tmp_path / "resnet18.safetensors"
    save_file(encoder.state_dict(), file)
    return encoder, file


def test_weights_from_a_file(build, spec, resnet):
    encoder, file = resnet
    generator = build("smp_unet", encoder="resnet18", weights=str(file))
    loaded = generator.encoder.state_dict()
    assert all(torch.equal(weight, loaded[name]) for name, weight in encoder.state_dict().items())
    assert generator(torch.zeros(2, 3, 64, 64)).shape == (2, 3, 64, 64)
    assert isinstance(generator.standardise, Standardise)
    other = build("smp_unet", spec(source=5), encoder="resnet18", weights=str(file))
    assert other.encoder.conv1.weight.shape[1] == 5
    assert torch.equal(other.encoder.layer4[0].conv1.weight, encoder.layer4[0].conv1.weight)
    assert not isinstance(other.standardise, Standardise)


def test_weights_of_timm_from_a_file(build, tmp_path):
    import timm

    network = timm.create_model("test_resnet", pretrained=False)
    file = tmp_path / "test_resnet.pth"
    torch.save(network.state_dict(), file)
    generator = build("smp_unet", encoder="tu-test_resnet", weights=str(file))
    assert generator(torch.zeros(2, 3, 64, 64)).isfinite().all()
    first, loaded = (next(iter(n.parameters())) for n in (network, generator.encoder.model))
    assert torch.equal(first, loaded)


def test_pretrained_encoders_see_what_they_were_trained_with(build, resnet):
    _, file = resnet
    generator = build("smp_linknet", encoder="resnet18", weights=str(file)).eval()
    seen = []
    generator.encoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        generator(torch.full((1, 3, 64, 64), 1.0))
    expected = [(1 - mean) / std for mean, std in zip(*statistics("resnet18"), strict=True)]
    assert seen[0][0, :, 0, 0].tolist() == pytest.approx(expected)
    assert (
        statistics("tu-mobilenetv3_small_050") == ((0.5,) * 3, (0.5,) * 3) or statistics("tu-resnet18")[0][0] == 0.485
    )


@pytest.mark.parametrize(
    ("encoder", "place"),
    [
        ("resnet18", "https://huggingface.co/smp-hub/resnet18.imagenet"),
        ("tu-resnet18", "https://huggingface.co/timm/resnet18."),
    ],
)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_offline_and_missing(encoder, place, device, build, offline):
    with torch.device(device):
        generator = build("smp_unet", encoder=encoder, weights="imagenet")
        with pytest.raises(ComponentError, match=f"the weights imagenet of encoder {encoder} can't be had") as raised:
            generator(torch.zeros(2, 3, 64, 64))
    assert raised.value.parameter == "weights"
    assert place in raised.value.remedy
    assert "give the file's path as weights" in raised.value.remedy


def test_a_checkpoint_stands_in_for_weights_that_are_lacking(build, offline):
    """A trained generator is used where its encoder's first weights can't be had."""
    lacking = build("smp_linknet", encoder="resnet18", weights="imagenet")
    lacking.load_state_dict(copy.deepcopy(lacking.state_dict()))
    assert lacking(torch.zeros(2, 3, 64, 64)).isfinite().all()


def test_encoders_without_weights(build, offline):
    generator = build("smp_unet", encoder="resnext101_32x4d", weights="imagenet")
    with pytest.raises(ComponentError, match="can't be had") as raised:
        generator(torch.zeros(2, 3, 64, 64))
    assert "has no such weights" in raised.value.remedy


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (None, "there is no file"),
        (b"no weights", "can't be given to encoder resnet18"),
        ({"x": torch.zeros(2)}, "can't be given"),
    ],
)
def test_files_that_are_no_weights(content, cause, device, build, tmp_path):
    file = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        torch.save(content, file)
    with torch.device(device):
        generator = build("smp_linknet", encoder="resnet18", weights=str(file))
        with pytest.raises(ComponentError, match=cause):
            generator(torch.zeros(2, 3, 64, 64))


def test_a_config_hears_of_lacking_weights_before_training(here, offline):
    config = {
        "dataset": {"use": "shapes", "params": {"size": 32, "count": 4}},
        "generator": {"use": "smp:smp_linknet", "params": {"encoder": "resnet18", "weights": "imagenet"}},
        "losses": {"l1": 1},
        "engine": {"batch": 2, "device": "cpu"},
    }
    with pytest.raises(p2pkit.ConfigError) as caught:
        p2pkit.train(config)
    assert [problem.path for problem in caught.value.problems] == ["generator.params.weights"]


def test_weights_from_a_file_are_only_tried_on_the_meta_device(build, resnet, spec):
    _, file = resnet
    with torch.device("meta"):
        generator = build("smp_unet", spec(source=4), encoder="resnet18", weights=str(file))
        assert generator(torch.zeros(2, 4, 64, 64)).is_meta
    assert all(tensor.is_meta for tensor in (*generator.parameters(), *generator.buffers()))


def test_the_library_is_imported_when_it_is_needed():
    code = "import p2pkit_smp, sys; print(sorted({'timm', 'segmentation_models_pytorch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
