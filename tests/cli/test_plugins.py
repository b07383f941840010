"""Commands for those who write plugins, and for those whose plugins don't work."""

from __future__ import annotations

import json


def test_new_plugin(p2pkit, tmp_path):
    made = p2pkit("new-plugin", "acme-unets", "--kind", "generator", "--into", "mine")
    assert made.code == 0
    assert made.out.startswith("wrote mine/acme-unets; next:\n  cd mine/acme-unets\n")
    assert (tmp_path / "mine" / "acme-unets" / "pyproject.toml").is_file()
    again = p2pkit("new-plugin", "acme-unets", "--kind", "loss", "--into", "mine")
    assert (again.code, again.out) == (2, "")
    assert "mine/acme-unets: this is already there, and nothing is overwritten" in again.err


def test_new_plugin_that_can_not_be(p2pkit, tmp_path):
    assert "there is already a Python module called 'torch' here" in p2pkit("new-plugin", "torch", "--kind", "loss").err
    assert p2pkit("new-plugin", "acme", "--kind", "trainer").code == 2
    assert p2pkit("new-plugin", "acme").code == 2
    assert not (tmp_path / "acme").exists()


def test_doctor_is_content(p2pkit, monkeypatch, tmp_path):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    ran = p2pkit("doctor")
    assert (ran.code, ran.err) == (0, "")
    for part in ("packages", "devices", "names", "plugins", "store", "folders", "torch", "mlflow.db", "p2pkit.mlflow"):
        assert part in ran.out
    assert "nothing to do" in ran.out
    assert [path.name for path in tmp_path.iterdir()] == ["registry.yaml"]


def test_doctor_finds_what_is_broken(p2pkit, tmp_path):
    (tmp_path / "registry.yaml").write_text("plugins: {blok: []}\n")
    ran = p2pkit("doctor")
    assert ran.code == 1
    assert "registry.yaml: did you mean block? " in ran.out.partition("to do\n")[2]
    said = json.loads(p2pkit("doctor", "--json").out)
    assert said["fine"] is False
    (broken,) = [finding for finding in said["findings"] if finding["state"] == "broken"]
    assert broken["part"] == "names"
    assert broken["fact"].endswith("plugins.blok: there is no key 'blok' here")


def test_doctor_takes_files(p2pkit, plugin, tmp_path):
    ran = p2pkit("doctor", "--plugin", plugin, "--json")
    found = {finding["name"]: finding for finding in json.loads(ran.out)["findings"]}
    assert "generator line" in found["mine"]["fact"]
    plugin.write_text("raise ValueError('no')")
    ran = p2pkit("doctor", "--plugin", plugin)
    assert ran.code == 1
    assert "mend the file that --plugin names" in ran.out
