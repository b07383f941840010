"""The benchmark measures what it says; how fast this machine is, is no test."""

from __future__ import annotations

import json

import pytest
import torch
from PIL import Image

import p2pkit
from p2pkit.bench import machine
from p2pkit.bench.machine import ceiling
from p2pkit.bench.measure import measure, measure_checkpoint, measure_shards, measure_translation
from p2pkit.bench.textbook_step import EagerStep
from p2pkit.bench.training import _flops
from p2pkit.engine.device.timing import timed

SMALL = {
    "dataset": {"use": "shapes", "params": {"size": 32}},
    "generator": {"use": "unet", "params": {"depth": 3, "width": 8}},
    "discriminator": {"use": "patch", "params": {"layers": 1, "width": 8}},
    "augment": [],
}


@pytest.fixture(autouse=True)
def small_products(monkeypatch, tmp_path):
    monkeypatch.setenv("P2PKIT_CACHE", str(tmp_path))
    monkeypatch.setitem(machine._SIDE, "cpu", 64)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("act", [measure, measure_checkpoint, measure_translation])
def test_a_device_that_is_not_there_is_told(act, registry):
    with pytest.raises(p2pkit.ConfigError, match=r"engine\.device: there is no cuda here"):
        act("facades", registry=registry, device="cuda", **SMALL)


def test_rows_for_each_batch_precision_and_variant(registry):
    options = {"batches": [1, 2], "precisions": ["fp32", "bf16"], "seconds": 0.1, "device": "cpu"}
    measured = measure("facades", registry=registry, **options, **SMALL)
    json.dumps(measured)
    keys = [(row["batch"], row["variant"], row["precision"]) for row in measured["rows"]]
    assert keys == [
        (batch, variant, precision)
        for batch in (1, 2)
        for wanted in ("fp32", "bf16")
        for variant, precision in (("p2pkit", wanted), ("eager", "fp32"))
    ]
    for row in measured["rows"]:
        assert row["images_per_second"] == pytest.approx(row["batch"] / row["step_seconds"])
        low, high = row["spread"]
        assert low <= row["images_per_second"] <= high
        if row["variant"] == "eager":
            assert row["ratio"] == 1
    parts = measured["rows"][0]["parts"]
    updates = {"forward", "discriminator_update", "generator_update", "optimiser", "rest"}
    assert set(parts) == {"data_wait", "host_to_device", *updates}
    assert all(parts[name] > 0 for name in updates - {"rest"})
    assert all(row["peak_memory_bytes"] > 0 and row["cuda_graph"].startswith("off") for row in measured["rows"])
    assert set(measured["ceiling_tflops"]) == {"fp32", "bf16"}


def test_a_setting_may_be_measured_against(registry):
    options = {"batches": [1], "precisions": ["fp32"], "seconds": 0.1, "device": "cpu"}
    others = ["engine.memory_format=contiguous", "eager"]
    fixed = {"engine.memory_format": "channels_last"}
    rows = measure("facades", registry=registry, against=others, **options, **SMALL, **fixed)["rows"]
    assert [row["variant"] for row in rows] == ["p2pkit", *others]
    assert [row["channels_last"] for row in rows] == [True, False, False]
    assert rows[1]["ratio"] == 1
    assert rows[2]["ratio"] == pytest.approx(rows[2]["images_per_second"] / rows[1]["images_per_second"])


def test_a_recipe_without_adversary_has_nothing_to_compare_with(registry):
    with pytest.raises(p2pkit.ConfigError, match="the textbook step is adversarial"):
        measure("facades", registry=registry, **SMALL, **{"losses.gan": None})


def test_the_textbook_step_learns():
    torch.manual_seed(0)
    spec = p2pkit.PairSpec(p2pkit.ImageSpec(3), p2pkit.ImageSpec(3), 16, 16)
    from p2pkit.builtin.discriminators.patch import PatchDiscriminator
    from p2pkit.builtin.generators.unet import UNet

    generator, discriminator = UNet(spec, depth=2, width=8), PatchDiscriminator(spec, layers=1, width=8)
    step = EagerStep(generator, discriminator)
    source = torch.rand(4, 3, 16, 16) * 2 - 1
    before = (generator(source) + source).abs().mean().item()
    for _ in range(150):
        step(source, -source)
    assert (generator(source) + source).abs().mean().item() < 0.8 * before


def test_flops_are_counted():
    layer = torch.nn.Linear(64, 32, bias=False)
    assert _flops(lambda: layer(torch.randn(8, 64))) == 2 * 8 * 64 * 32


def test_a_machine_that_is_slow_at_something_is_not_asked_for_more(monkeypatch):
    calls = []
    monkeypatch.setattr(machine, "timed", lambda work, device: calls.append(work) or 1.0)
    assert ceiling(torch.device("cpu"), "bf16") > 0
    assert len(calls) == 2


def test_the_ceiling_is_a_rate():
    cpu = torch.device("cpu")
    assert ceiling(cpu, "fp32") > 1e-4
    assert timed(lambda: None, cpu) < 0.1


def test_the_loader_beside_decoding_each_image(registry, tmp_path):
    (tmp_path / "train").mkdir()
    for index in range(4):
        Image.new("RGB", (64, 32), (index, 0, 0)).save(tmp_path / "train" / f"{index}.png")
    own = {
        **SMALL,
        "dataset": {"use": "side_by_side", "params": {"size": 32}},
        "augment": [{"use": "jitter_crop", "params": {"load": 36}}, "flip"],
    }
    options = {"batches": [2], "seconds": 0.1, "device": "cpu", "data": tmp_path, "workers": 0}
    loader = measure("facades", registry=registry, **options, **own)["loader"]
    assert loader["pairs"] == 4
    rates = loader["images_per_second"]
    assert loader["ratio"] == pytest.approx(rates["p2pkit"] / rates["decode_each"])


def test_reading_from_shards_beside_the_cache(registry):
    own = {"dataset.params": {"size": 16, "count": 24}}
    measured = measure_shards("shapes", registry=registry, encodings=["raw"], workers=[0], rounds=1, **own)
    json.dumps(measured)
    cache, shards = measured["rows"]
    assert (cache["variant"], shards["variant"]) == ("cache", "raw")
    assert cache["ratio"] == 1
    assert shards["ratio"] == pytest.approx(shards["pairs_per_second"] / cache["pairs_per_second"])
    assert shards["pairs_read"] == measured["pairs"] == 24
    assert shards["peak_memory"] >= shards["memory_before"] > 10_000_000
    assert shards["peak_mapped"] >= shards["mapped_before"] >= 0
    assert shards["bytes"] > 24 * 2 * 3 * 16 * 16


def test_translating_beside_one_after_another(registry):
    own = {**SMALL, "evaluate.batch_norm": "running", "evaluate.dropout": "off"}
    options = {"side": 32, "images": 5, "batches": [1, 2], "rounds": 1, "device": "cpu"}
    measured = measure_translation("facades", registry=registry, **options, **own)
    json.dumps(measured)
    assert [row["variant"] for row in measured["rows"]] == ["batch_1", "batch_2", "one_by_one"]
    assert measured["rows"][2]["ratio"] == 1
    assert max(row["largest_difference"] for row in measured["rows"]) <= 1


@pytest.mark.long
def test_translating_by_another_runtime_beside_torch(registry):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    own = {**SMALL, "evaluate.batch_norm": "running", "evaluate.dropout": "off"}
    options = {"side": 32, "images": 2, "batches": [2], "rounds": 1, "device": "cpu", "runtimes": ["onnxruntime"]}
    measured = measure_translation("facades", registry=registry, **options, **own)
    assert [row["variant"] for row in measured["rows"]] == ["batch_2", "onnxruntime_batch_2", "one_by_one"]
    assert max(row["largest_difference"] for row in measured["rows"]) <= 1
    assert all(row["processor_ms"] > 0 for row in measured["rows"])


def test_a_checkpoint_is_written_in_each_way_and_nothing_is_left(registry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    measured = measure_checkpoint("facades", rounds=1, device="cpu", registry=registry, **SMALL)
    json.dumps(measured)
    rows = {row["variant"]: row for row in measured["rows"]}
    assert list(rows) == ["p2pkit", "dcp", "dcp async"]
    for row in rows.values():
        assert 0 < row["still_ms"] <= row["whole_ms"]
        assert 0 < row["still_processor_ms"] <= row["processor_ms"]
        assert row["ratio"] == pytest.approx(rows["p2pkit"]["still_ms"] / row["still_ms"])
    assert list(tmp_path.glob("p2pkit-bench-*")) == []
