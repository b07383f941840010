"""What can be wrong with shapes, data and environment: each message, and all of them at once."""

from __future__ import annotations

from collections import Counter

import pytest

from p2pkit import ConfigError
from p2pkit.config import Part


def problems(checked, **overrides):
    with pytest.raises(ConfigError) as caught:
        checked(**overrides)
    return {problem.path: f"{problem.cause} {problem.remedy}" for problem in caught.value.problems}


def test_every_component_is_built_once(checked, monkeypatch):
    """Some load a network, and one that fails would say so twice."""
    built = Counter()
    build = Part.build

    def counted(part, *args, **options):
        built[part.path] += 1
        return build(part, *args, **options)

    monkeypatch.setattr(Part, "build", counted)
    checked(augment=["flip"], **{"evaluate.metrics": ["l1", "psnr"], "checkpoint.best": "l1"})
    assert set(built) >= {"generator", "discriminator", "dataset", "losses.gan", "losses.l1"}
    assert len(built) == 11
    assert set(built.values()) == {1}


def test_a_metric_that_fails_says_so_once(checked):
    with pytest.raises(ConfigError) as caught:
        checked(**{"evaluate.metrics": ["l1", "ms_ssim"]})  # which wants larger images
    assert len(caught.value.problems) == 1


def test_a_plan_in_order_passes(checked):
    found = checked()
    assert found.split == "val"
    assert found.discriminator
    assert (found.spec.height, found.spec.width) == (16, 16)


def test_too_deep_a_unet_names_what_fits(checked):
    found = problems(checked, generator="unet_256")
    (path, text), *rest = found.items()
    assert not rest
    assert path == "generator.params.depth"
    assert "16" in text
    assert "depth" in text


def test_too_many_discriminator_layers(checked):
    found = problems(checked, discriminator="patch_286")
    assert any(path.startswith("discriminator") for path in found)


def test_a_discriminator_nobody_trains_may_be_too_large(checked):
    assert not checked(**{"losses.gan": None}, discriminator="patch_286").discriminator


def test_nothing_to_learn(checked):
    found = problems(checked, **{"losses.gan.weight": 0, "losses.l1.weight": 0})
    assert "no term has a weight above 0" in found["losses"]


def test_a_term_that_needs_a_discriminator_nobody_trains(checked):
    found = problems(checked, **{"losses.gan": None, "losses.feature_matching": 10})
    assert "needs a discriminator, but no loss of the run trains one" in found["losses.feature_matching"]


@pytest.mark.parametrize(("count", "accumulate"), [(1, 6), (2, 3), (6, 1)])
def test_an_update_of_so_many_pairs_is_made_of_as_many_batches_as_the_processes_leave(
    checked, placed, count, accumulate
):
    placed(RANK=0, WORLD_SIZE=count)
    plan = checked(**{"engine.batch": 2, "engine.global_batch": 12, "engine.accumulate": 7}).plan
    assert plan.config.engine.accumulate == plan.resolved()["engine"]["accumulate"] == accumulate


@pytest.mark.parametrize("batch", [5, 8, 24])
def test_an_update_that_can_not_be_shared(checked, placed, batch):
    placed(RANK=0, WORLD_SIZE=2)
    found = problems(checked, **{"engine.batch": batch, "engine.global_batch": 12})["engine.global_batch"]
    assert found.startswith(f"12 pairs are no whole number of batches of {batch} in 2 processes")


def test_an_address_that_can_not_be_used(checked):
    assert "checkpoint.mirror" in problems(checked, **{"checkpoint.mirror": "nowhere://bucket"})


def test_batch_larger_than_the_data(checked):
    found = problems(checked, **{"engine.batch": 8, "engine.accumulate": 2})
    assert "one update takes 16 pairs, and there are 12 to train on" in found["engine.batch"]


def test_an_update_must_not_take_more_pairs_than_there_are(placed, checked):
    placed(RANK=0, WORLD_SIZE=4)
    with pytest.raises(ConfigError, match="one update takes 16 pairs, and there are 12"):
        checked()


def test_unknown_split_names_the_splits(checked):
    found = problems(checked, **{"evaluate.split": "vall"})
    assert "no split 'vall'" in found["evaluate.split"]
    assert "val" in found["evaluate.split"]


def test_missing_folder_is_named(checked, tmp_path):
    found = problems(checked, dataset={"use": "side_by_side", "params": {"root": str(tmp_path / "gone")}})
    assert "gone" in found["dataset.params.root"]


def test_empty_folder_is_named(checked, tmp_path):
    found = problems(checked, dataset={"use": "side_by_side", "params": {"root": str(tmp_path)}})
    assert str(tmp_path) in found["dataset.params.root"]


def test_a_bottleneck_of_one_pixel_takes_batches_of_one(checked):
    """The paper's code once normalised it, and with one value per channel that gives nothing but zeros."""
    assert checked(generator={"use": "unet", "params": {"depth": 4, "width": 8}}, **{"engine.batch": 1}).discriminator


def test_device_that_is_not_there(checked):
    found = problems(checked, **{"engine.device": "cuda:77"})
    assert "there is no cuda:77 here" in found["engine.device"]
    assert "write auto or cpu" in found["engine.device"]


def test_fp16_on_a_cpu(checked):
    assert "fp16" in problems(checked, **{"engine.precision": "fp16"})["engine.precision"]


def test_output_folder_that_is_a_file(checked, tmp_path):
    (tmp_path / "file").write_text("")
    found = problems(checked, **{"tracking.folder": str(tmp_path / "file" / "runs")})
    assert "is a file" in found["tracking.folder"]


def test_channels_that_do_not_fit(tiny, tmp_path):
    """A plugin's generator that makes other images than the data has."""
    plugin = tmp_path / "grey.py"
    plugin.write_text(
        "import p2pkit\nfrom torch import nn\n"
        "class Grey(nn.Conv2d):\n"
        "    def __init__(self, images: p2pkit.PairSpec) -> None:\n"
        "        super().__init__(images.source.channels, 1, 1)\n"
        "@p2pkit.hookimpl\n"
        "def p2pkit_generators():\n"
        "    yield p2pkit.Generator('grey', Grey, 'makes grey images')\n"
    )
    from p2pkit.config import load_config, resolve
    from p2pkit.engine.check import check
    from p2pkit.registry import load_registry

    registry = load_registry(discover=False, plugin_files=[plugin])
    with pytest.raises(ConfigError) as caught:
        check(resolve(load_config(tiny, {"generator": "grey"}), registry))
    text = str(caught.value)
    assert "generator: makes images of shape 1 x 16 x 16, where the data has 3 x 16 x 16" in text


def test_everything_at_once(checked, tmp_path):
    found = problems(
        checked,
        dataset={"use": "side_by_side", "params": {"root": str(tmp_path / "gone")}},
        discriminator="patch_71",
        **{
            "losses.l2": {"weight": "much"},
            "generator.params.depht": 3,
            "engine.device": "cuda:77",
            "engine.bacth": 3,
        },
    )
    assert set(found) == {
        "dataset.params.root",
        "discriminator.use",
        "losses.l2.weight",
        "generator.params.depht",
        "engine.device",
        "engine.bacth",
    }
    assert "patch_70" in found["discriminator.use"]
    assert "did you mean depth" in found["generator.params.depht"]
    assert "did you mean batch" in found["engine.bacth"]


@pytest.mark.parametrize(
    ("loss", "norm", "refused"), [("r1", "batch", True), ("r1", "instance", False), ("l2", "batch", False)]
)
def test_batch_norm_over_several_processes_is_not_differentiated_twice(checked, monkeypatch, loss, norm, refused):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    wanted = {"engine.sync_batch_norm": True, f"losses.{loss}": 1, "discriminator.params.norm": norm}
    try:
        checked(**wanted)
        found = []
    except ConfigError as error:
        found = [problem.cause for problem in error.problems]
    assert any(f"losses.{loss} differentiates a gradient" in cause for cause in found) == refused


def test_a_data_set_that_does_not_come_in_the_size_that_is_asked_for(checked, monkeypatch):
    from p2pkit.builtin.datasets.shapes import ShapesDataset

    monkeypatch.setattr(ShapesDataset, "at", lambda self, height, width: self)
    with pytest.raises(ConfigError, match=r"dataset: its at\(20, 20\) gives a data set whose spec says \(16, 16\)"):
        checked(augment=[{"use": "jitter_crop", "params": {"load": 20}}])


def test_pairs_that_have_no_length(checked, monkeypatch):
    from p2pkit.builtin.datasets.shapes import ShapesDataset

    pairs = ShapesDataset.pairs
    monkeypatch.setattr(ShapesDataset, "pairs", lambda self, split: (pair for pair in pairs(self, split)))
    found = problems(checked)
    assert list(found) == ["dataset"]
    assert "its pairs('train') is a generator, which has no length" in found["dataset"]


def test_addresses_that_open_what_they_lead_to_are_refused_wherever_they_are(checked):
    wrong = {"checkpoint.mirror": "memory://me:secret@host/runs", "tracking.tags": {"from": "https://token@host/a"}}
    found = problems(checked, **wrong)
    assert found.keys() == {"checkpoint.mirror", "tracking.tags.from"}
    assert all("holds a password or a token" in text for text in found.values())
    assert "secret" not in str(found)
    assert checked(**{"checkpoint.mirror": "memory://me@host/runs"})
