"""Where networks lie and in which layout."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from p2pkit.config.model import EngineConfig
from p2pkit.engine.device.placement import Placement, choose_memory_format, choose_placement
from p2pkit.engine.device.precision import Precision

CPU = torch.device("cpu")


def test_what_auto_means_on_a_cpu():
    place = choose_placement(EngineConfig(device="cpu"), nn.Conv2d(3, 8, 4, 2))
    assert place.facts()["precision"] == "fp32"
    assert place.memory_format == torch.channels_last
    assert (
        choose_placement(EngineConfig(device="cpu", memory_format="contiguous")).memory_format
        == torch.contiguous_format
    )


def test_a_network_that_channels_last_would_crash_stays_contiguous():
    """torch 2.15 ends the process in this convolution's backward pass, channels last on a CPU."""
    network = nn.Sequential(nn.Conv2d(8, 16, 1, 2, bias=False))
    place = choose_placement(EngineConfig(device="cpu"), network)
    assert place.memory_format == torch.contiguous_format
    with pytest.warns(UserWarning, match=r"engine\.memory_format: channels_last crashes torch"):
        choose_placement(EngineConfig(device="cpu", memory_format="channels_last"), network)
    place.put(network)
    image = torch.randn(2, 8, 64, 64).contiguous(memory_format=place.memory_format).requires_grad_()
    network(image).sum().backward()
    assert image.grad is not None


def test_weights_of_transposed_convolutions_are_not_copied_in_each_update():
    place = choose_placement(EngineConfig(device="cpu"))
    network = place.put(nn.Sequential(nn.Conv2d(3, 64, 4, 2, 1), nn.ConvTranspose2d(64, 32, 4, 2, 1)))
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    image = torch.randn(2, 3, 16, 16).contiguous(memory_format=place.memory_format)
    network(image).sum().backward()
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, record_shapes=True, acc_events=True) as profile:
        optimizer.step()
    copied = [event.input_shapes[0] for event in profile.events() if event.name == "aten::copy_"]
    assert [64, 32, 4, 4] not in copied


@pytest.mark.parametrize(
    ("wanted", "device", "last"),
    [
        ("auto", "cpu", True),
        ("auto", "cuda", True),
        ("auto", "mps", False),
        ("channels_last", "mps", True),
        ("contiguous", "cpu", False),
        ("contiguous", "cuda", False),
    ],
)
def test_the_layout_of_each_device(wanted, device, last):
    found = choose_memory_format(wanted, torch.device(device))
    assert found == (torch.channels_last if last else torch.contiguous_format)


@pytest.mark.parametrize(
    ("layer", "crashes"),
    [
        (nn.Conv2d(15, 32, 1, 2), True),
        (nn.Conv2d(16, 32, 1, 2), False),
        (nn.Conv2d(8, 32, 1), False),
        (nn.Conv2d(8, 32, 3, 2), False),
    ],
)
def test_only_strided_points_of_few_channels_crash_and_on_a_cpu_only(layer, crashes):
    network = nn.Sequential(nn.Sequential(layer))
    assert (choose_memory_format("auto", CPU, nn.Linear(1, 1), network) == torch.contiguous_format) == crashes
    assert choose_memory_format("auto", torch.device("cuda"), network) == torch.channels_last


def test_a_network_is_put_there_in_that_layout():
    place = Placement(CPU, Precision("fp32", CPU), torch.channels_last)
    network = nn.Sequential(nn.Conv2d(3, 4, 2), nn.ConvTranspose2d(4, 3, 2))
    assert place.put(network) is network
    assert network[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert not network[0].weight.is_contiguous()
    assert network[1].weight.is_contiguous()


def test_facts_are_words_for_trackers():
    for products, said in ((False, "direct"), (True, "products")):
        place = Placement(CPU, Precision("fp32", CPU, products=products), torch.contiguous_format)
        facts = place.facts()
        assert facts.pop("device").startswith("cpu (")
        assert facts == {"precision": "fp32", "convolutions": said, "channels_last": False}


def test_what_is_written_is_in_force():
    engine = EngineConfig(device="cpu", precision="bf16", convolutions="products", memory_format="contiguous")
    place = choose_placement(engine)
    assert (place.device, place.precision.name, place.memory_format) == (CPU, "bf16", torch.contiguous_format)
    assert not place.precision.products  # which are for fp32
    assert choose_placement(engine.model_copy(update={"precision": "fp32"})).precision.products


def test_a_gpu_with_a_number_becomes_the_present_one(monkeypatch):
    seen = []
    monkeypatch.setattr("torch.cuda.set_device", seen.append)
    for name in ("cuda:1", "cuda"):
        choose_placement(EngineConfig(device=name, precision="fp32"))
    assert seen == [torch.device("cuda:1")]
