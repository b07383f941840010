from __future__ import annotations

import yaml


def test_shard_says_what_to_write(p2pkit, tmp_path):
    ran = p2pkit("data", "shard", "shapes", "pairs", "-s", "dataset.params.size=16", "-s", "dataset.params.count=20")
    assert ran.code == 0, ran.err
    train, val, config = ran.out.splitlines()
    assert train.startswith("train   20 pairs in 1 shards")
    assert val.startswith("val     8 pairs")
    (tmp_path / "run.yaml").write_text(
        f"{config}\ngenerator: unet_tiny\ndiscriminator: {{use: patch, params: {{layers: 1, width: 8}}}}\n"
    )
    assert yaml.safe_load(config) == {"dataset": {"use": "webdataset", "params": {"root": "pairs"}}}
    checked = p2pkit("check", "run.yaml")
    assert "dataset        webdataset: 20 train, 8 val" in checked.out
    assert "16 x 16" in checked.out


def test_a_config_is_a_data_set_too(p2pkit, tiny):
    ran = p2pkit("data", "shard", tiny, "pairs", "--split", "val", "--encoding", "raw", "--pairs", 3, "--quiet")
    assert ran.out.startswith("val     8 pairs in 3 shards")
    assert ran.err == ""


def test_what_is_wrong_is_said(p2pkit, tmp_path):
    assert "no dataset is called 'shape'" in p2pkit("data", "shard", "shape", "pairs").err
    assert "has no split test" in p2pkit("data", "shard", "shapes", "pairs", "--split", "test").err
    (tmp_path / "pairs").mkdir()
    ran = p2pkit("data", "shard", "shapes", "pairs")
    assert ran.code == 2
    assert "pairs: is there already" in ran.err
