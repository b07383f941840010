"""One-file plugins that runs bring along: carried everywhere, run where they are trusted, and never read again."""

from __future__ import annotations

import hashlib
import py_compile
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import p2pkit
from p2pkit.api import evaluate, resume
from p2pkit.bridge import export_checkpoint
from p2pkit.cli import main
from p2pkit.evaluate_modes import survey
from p2pkit.exporting import export
from p2pkit.plugins.loading import Plugins
from p2pkit.plugins.one_file import OneFile, brought_along, named_plugins
from p2pkit.registry import Registry, load_registry
from p2pkit.sweep import sweep
from p2pkit.translation import load, translate_split

IMAGE = np.zeros((16, 16, 3), np.uint8)
Rules = Callable[..., Registry]


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    """The names in force in the other place, with rules for plugins."""

    def read(**plugins: Any) -> Registry:
        file = tmp_path / "registry.yaml"
        file.write_text(f"plugins: { ({'block': ['p2pkit.mlflow']} | plugins)!r}\n".replace("'", '"'))
        return load_registry(file, discover=False)

    return read


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, quiet: Registry, tiny: dict[str, Any], marking: Any) -> Path:
    """A folder with the run, the cache of who trained it, and the file that the plugin writes when it is imported."""
    home = tmp_path_factory.mktemp("made")
    plugin = home / "acme.py"
    plugin.write_text("import p2pkit\n" + marking(home / "was-imported"))
    names = Registry(quiet.file, Plugins(block=["p2pkit.mlflow"], files=[plugin], discover=False))
    config = {**tiny, "generator": "acme:plain", "schedule": {"steps": 1}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("P2PKIT_CACHE", str(home / "cache"))
        p2pkit.train({**config, "tracking": {"folder": str(home), "name": "run"}}, registry=names)
    plugin.unlink()
    return home


@pytest.fixture
def marker(made: Path) -> Path:
    """The file that the plugin writes whenever it is imported."""
    file = made / "was-imported"
    file.unlink(missing_ok=True)
    return file


@pytest.fixture
def moved(made: Path, marker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That run, on the machine of somebody who has never seen the plugin."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("P2PKIT_CACHE", str(tmp_path / "theirs"))
    return Path(shutil.copytree(made / "run", tmp_path / "elsewhere" / "run"))


def carried(run: Path) -> Path:
    (checkpoint,) = run.glob("checkpoints/step-*")
    return checkpoint / "plugins" / "acme.py"


def test_it_lies_in_the_run_and_in_its_checkpoints(moved: Path) -> None:
    assert (moved / "plugins" / "acme.py").read_bytes() == carried(moved).read_bytes()
    assert carried(moved) in p2pkit.inference_files(carried(moved).parent.parent)


def test_it_is_not_run_unasked(moved: Path, rules: Rules, marker: Path) -> None:
    sha256 = hashlib.sha256(carried(moved).read_bytes()).hexdigest()
    for act in (load, resume, evaluate, export, translate_split, survey, export_checkpoint):
        given = {export: ["out"], translate_split: ["val", "out"], export_checkpoint: ["G.pth"]}.get(act, [])
        with pytest.raises(p2pkit.PluginError, match=rf"acme\.py: is code .*SHA-256 {sha256}\n.*--trust"):
            act(moved, *given, registry=rules())
    assert not marker.exists()
    assert not Path("out").exists()


def test_a_registry_that_came_along_trusts_nothing(moved: Path, marker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever works in a folder that they were given has not named the registry.yaml in it."""
    sha256 = hashlib.sha256(carried(moved).read_bytes()).hexdigest()
    file = moved / "registry.yaml"
    file.write_text(f"plugins: {{trust: [{sha256}]}}\n")
    monkeypatch.chdir(moved)
    with pytest.raises(p2pkit.PluginError, match=r"acme\.py: is code .*\n.*--registry"):
        load(moved, registry=load_registry(discover=False))
    assert not marker.exists()
    assert load(moved, registry=load_registry(file, discover=False)).translate(IMAGE).shape == IMAGE.shape


def test_trusted_it_is_enough_to_translate_evaluate_and_resume(moved: Path, rules: Rules, marker: Path) -> None:
    assert load(moved, registry=rules(), trust=True).translate(IMAGE).shape == IMAGE.shape
    assert marker.exists()
    made = export(moved, "out", format="safetensors", registry=rules(), trust=True)
    assert (made.folder / "plugins" / "acme.py").read_bytes() == carried(moved).read_bytes()
    listed = rules(trust=[hashlib.sha256(carried(moved).read_bytes()).hexdigest()])
    assert evaluate(moved, registry=listed).report.metrics["l1"] > 0
    assert resume(moved, registry=listed, **{"schedule.steps": 2}).step == 2
    # who has trained with it here is not asked again
    assert load(moved, registry=rules()).translate(IMAGE).shape == IMAGE.shape


def test_on_the_machine_it_was_trained_on_it_is_known_until_it_is_changed(
    moved: Path, rules: Rules, made: Path, marker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("P2PKIT_CACHE", str(made / "cache"))
    assert load(moved, registry=rules()).translate(IMAGE).shape == IMAGE.shape
    marker.unlink()
    carried(moved).write_text(carried(moved).read_text() + "\nevil = True\n")
    with pytest.raises(p2pkit.PluginError, match="nothing of it was run"):
        load(moved, registry=rules())
    assert not marker.exists()


@pytest.mark.parametrize(
    ("rule", "state"), [({"block": ["acme", "p2pkit.mlflow"]}, "blocked"), ({"enable": []}, "not enabled")]
)
def test_a_blocked_one_stays_blocked(moved: Path, rules: Rules, marker: Path, rule: dict[str, Any], state: str) -> None:
    with pytest.raises(p2pkit.ConfigError, match=f"plugin acme is {state}"):
        load(moved, registry=rules(**rule), trust=True)
    assert not marker.exists()


def test_bytecode_beside_it_is_not_run(moved: Path, rules: Rules, tmp_path: Path) -> None:
    evil = tmp_path / "evil.py"
    evil.write_text(f"import pathlib\npathlib.Path({str(tmp_path / 'bitten')!r}).touch()\n")
    cached = Path(py_compile.compile(str(evil), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH))
    place = carried(moved).parent / "__pycache__" / cached.name.replace("evil", "acme")
    place.parent.mkdir()
    shutil.move(cached, place)
    load(moved, registry=rules(), trust=True)
    assert not (tmp_path / "bitten").exists()


@pytest.mark.usefixtures("environment_as_it_was")
@pytest.mark.parametrize(
    ("command", "written"),
    [("translate {} --split val -o out", "*.png"), ("export {} -o out --format safetensors", "plugins/acme.py")],
)
def test_the_command_line_asks_too(
    moved: Path, rules: Rules, marker: Path, command: str, written: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    rules()

    def code(*further: str) -> object:
        monkeypatch.setattr("sys.argv", ["p2pkit", *command.format(moved).split(), *further])
        with pytest.raises(SystemExit) as left:
            main()
        return left.value.code

    assert code() == 2
    assert "--trust" in capsys.readouterr().err
    assert not marker.exists()
    assert code("--trust") == 0
    assert any(Path("out").glob(written))


@pytest.mark.usefixtures("environment_as_it_was")
def test_a_sweep_brings_it_along_too(
    tmp_path: Path,
    rules: Rules,
    tiny: dict[str, Any],
    marking: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    """Both points are done, so that going on is quick: the plan alone needs the plugin."""
    marker, plugin = tmp_path / "was-imported", tmp_path / "acme.py"
    plugin.write_text("import p2pkit\n" + marking(marker))
    rules()
    names = load_registry(tmp_path / "registry.yaml", plugin_files=[plugin], discover=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("P2PKIT_CACHE", str(tmp_path / "ours"))
    config = {**tiny, "schedule": {"steps": 1}}
    sweep(config, ["generator=plain,unet_tiny"], name="s", registry=names)
    for file in (marker, plugin):
        file.unlink()
    monkeypatch.setenv("P2PKIT_CACHE", str(tmp_path / "theirs"))

    def code(*further: str) -> object:
        monkeypatch.setattr("sys.argv", ["p2pkit", "sweep", "--resume", "s", "-q", *further])
        with pytest.raises(SystemExit) as left:
            main()
        return left.value.code

    assert code() == 2
    assert "runs/s/plugins/acme.py: is code" in capsys.readouterr().err
    assert not marker.exists()
    assert not code("--trust")
    assert marker.exists()


def test_names_lead_out_of_no_folder(tmp_path: Path) -> None:
    (tmp_path / "acme.py").write_text("")
    config = {"generator": {"use": "../acme:plain"}, "losses": {"l1": {"use": "p2pkit:l1"}}}
    assert named_plugins(config) == {"../acme", "p2pkit"}
    assert list(brought_along(named_plugins(config), tmp_path / "model")) == []
    assert OneFile.read(tmp_path / "none.py").source is None
