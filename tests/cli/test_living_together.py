"""What the user sees when plugins collide, break or are shut out."""

from __future__ import annotations

import sys
import textwrap

import pytest

CONFIG = """
dataset: {{use: shapes, params: {{size: 16, count: 8}}}}
generator: unet_tiny
discriminator: {{use: patch, params: {{layers: 1, width: 8}}}}
losses: {{gan: 1, l1: 100}}
schedule: {{epochs: 2}}
engine: {{batch: 4, log_every: 1, device: cpu}}
evaluate: {{metrics: [l1], samples: 2}}
{0}
"""
NET = """
    from torch import nn

    class Net(nn.Conv2d):
        '''One convolution.'''

        def __init__(self, images, *, side: int = 3):
            super().__init__(images.source.channels, images.target.channels, side, padding=side // 2)

    @p2pkit.hookimpl
    def p2pkit_generators():
        yield p2pkit.Generator("swin", Net)
"""


@pytest.fixture
def config(tmp_path):
    """Write a config that trains in a moment, with keys of its own: `config("generator: swin")`."""

    def write(keys: str):
        names = {line.partition(":")[0] for line in keys.splitlines()}
        kept = [line for line in CONFIG.format("").splitlines() if line.partition(":")[0] not in names]
        (tmp_path / "run.yaml").write_text("\n".join([*kept, keys]) + "\n")
        return tmp_path / "run.yaml"

    return write


def test_a_name_that_two_plugins_offer(p2pkit, install, config, tmp_path):
    install(NET, "acme")
    install(NET, "zeta")
    assert p2pkit("check", "demo").code == 0  # nobody uses the name
    both = p2pkit("check", config("generator: swin"))
    assert both.code == 2
    assert both.err == (
        "error:\n"
        "  generator.use: several plugins offer a generator 'swin': acme:swin, zeta:swin\n"
        "    -> write one of these full names, or in registry.yaml `prefer: {generator/swin: acme}`\n"
    )
    assert p2pkit("check", config("generator: zeta:swin")).code == 0
    with (tmp_path / "registry.yaml").open("a") as registry:
        registry.write("prefer: {generator/swin: acme}\n")
    preferred = p2pkit("check", config("generator: swin"))
    assert (preferred.code, preferred.err) == (0, "")
    assert "acme" in p2pkit("list", "generator").out


def test_a_builtin_name_stays_the_builtins(p2pkit, install, config):
    install(NET.replace('"swin"', '"unet"'), "acme")
    parameters = p2pkit("show", "unet").out
    assert "p2pkit:unet" in parameters
    assert "acme:unet" in p2pkit("show", "acme:unet").out


LEFT_OUT = {
    "of a newer API": ("P2PKIT_PLUGIN_API = 9", "written for plugin API 9, this p2pkit has 2; upgrade p2pkit"),
    "broken at import": ("import nowhere_to_be_found", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
    "broken at registration": (
        "@p2pkit.hookimpl\ndef p2pkit_generators():\n    raise OSError('no such weights')",
        "OSError: no such weights",
    ),
}


@pytest.mark.parametrize(("code", "error"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_a_plugin_that_is_left_out(p2pkit, install, config, code, error):
    install(code, "acme")
    for run in (p2pkit("check", "demo"), p2pkit("list", "loss")):
        assert run.code == 0
        (warning,) = run.err.splitlines()
        assert warning.startswith("warning: plugin acme (acme-dist) is left out: ")
        assert error in warning
    wanted = p2pkit("check", config("generator: acme:swin"))
    assert wanted.code == 2
    assert "generator.use: no generator is called 'acme:swin'" in wanted.err
    assert "it may belong to a plugin that failed to load: acme (" in wanted.err
    sick = p2pkit("doctor")
    assert sick.code == 1
    assert "mend or upgrade acme-dist, or add acme to plugins.block in registry.yaml" in sick.out


def test_a_blocked_plugin_is_named_and_not_imported(p2pkit, install, config, tmp_path):
    install("open('imported', 'w').close()\n" + NET.replace("\n    ", "\n"), "acme", "acme_traces")
    assert p2pkit("check", config("generator: acme:swin")).code == 0
    assert (tmp_path / "imported").exists()
    (tmp_path / "imported").unlink()
    del sys.modules["acme_traces"]
    (tmp_path / "registry.yaml").write_text("plugins: {block: [p2pkit.mlflow, acme]}\n")
    barred = p2pkit("check", config("generator: acme:swin"))
    assert barred.code == 2
    assert f"plugin acme is blocked in {tmp_path}/registry.yaml" in barred.err
    for command in (["plugins"], ["list"], ["doctor"], ["check", "demo"]):
        p2pkit(*command)
    assert not (tmp_path / "imported").exists()
    assert "acme_traces" not in sys.modules


@pytest.mark.parametrize("command", ["check", "train"])
def test_a_component_that_breaks_in_build(p2pkit, install, config, command):
    install(NET.replace("super()", "raise KeyError('no weights'); super()"), "acme")
    broken = p2pkit(command, config("generator: acme:swin"))
    assert broken.code == 2
    assert broken.err == "error:\n  generator: acme:swin can't be built: KeyError: 'no weights'\n"


def test_a_component_that_leaves_in_build(p2pkit, install, config):
    install(NET.replace("super()", "raise SystemExit(0); super()"), "acme")
    broken = p2pkit("check", config("generator: acme:swin"))
    assert (broken.code, "generator: acme:swin can't be built: SystemExit: 0" in broken.err) == (2, True)


@pytest.mark.parametrize(
    ("kind", "keys", "wanted"),
    [
        ("generator", "generator: acme:thing", "generator: acme:thing made a NoneType where a torch.nn.Module is"),
        (
            "metric",
            "evaluate: {metrics: [acme:thing]}",
            "evaluate.metrics.0: acme:thing made a NoneType where a",
        ),
    ],
)
def test_a_factory_that_makes_nothing(p2pkit, install, config, kind, keys, wanted):
    code = f"""
        def thing(): "Makes nothing."

        @p2pkit.hookimpl
        def p2pkit_{kind}s(): yield p2pkit.{kind.title()}("thing", thing)
    """
    install(code, "acme")
    empty = p2pkit("check", config(keys))
    assert empty.code == 2
    assert wanted in empty.err
    assert p2pkit("show", "acme:thing").code == 0


MIDDLE = {
    "generator": (
        "generator: acme:thing",
        """
        class Thing(nn.Conv2d):
            '''Breaks at its third call.'''
            calls = 0
            def __init__(self, images): super().__init__(3, 3, 1)
            def forward(self, source):
                self.calls += source.device.type != "meta"
                if self.calls == 3: raise ArithmeticError("lost count\\nsecond line")
                return super().forward(source)
        """,
        "generator",
    ),
    "a network of torch's own": (
        "generator: acme:thing",
        """
        class Break(nn.Identity):
            calls = 0
            def forward(self, source):
                self.calls += source.device.type != "meta"
                if self.calls == 3: raise ArithmeticError("lost count")
                return source
        def Thing(images):
            "A sequence."
            return nn.Sequential(nn.Conv2d(3, 3, 1), Break())
        """,
        "generator",
    ),
    "loss": (
        "losses: {gan: 1, sharp: {use: acme:thing}}",
        """
        class Thing:
            '''Breaks where something is computed.'''
            def generator(self, view):
                if view.fake.device.type != "meta": raise ArithmeticError("lost count")
                return view.fake.mean()
        """,
        "losses.sharp",
    ),
    "metric": (
        "evaluate: {metrics: [l1, acme:thing], samples: 1}",
        """
        def Thing():
            "Fails when it is updated."
            from torchmetrics import Metric
            class Wrong(Metric):
                def update(self, fake, target): raise ArithmeticError("lost count")
                def compute(self): ...
            return Wrong()
        """,
        "evaluate.metrics.1",
    ),
    "augmentation": (
        "augment: [flip, acme:thing]",
        """
        def Thing(images):
            "A plain function."
            def change(source, target): raise ArithmeticError("lost count")
            return change
        """,
        "augment.1",
    ),
    "dataset": (
        "dataset: acme:thing",
        """
        class Pairs(list):
            def __getitem__(self, index): raise ArithmeticError("lost count")
        class Thing:
            '''Pairs that can't be had.'''
            spec = p2pkit.PairSpec(p2pkit.ImageSpec(3), p2pkit.ImageSpec(3), 16, 16)
            splits = ("train",)
            def pairs(self, split): return Pairs(range(8))
        """,
        "dataset",
    ),
}


@pytest.mark.parametrize(("keys", "code", "path"), MIDDLE.values(), ids=MIDDLE)
def test_a_component_that_breaks_in_the_middle(p2pkit, install, config, tmp_path, keys, code, path):
    kind = {"evaluate": "metric", "augment": "augmentation", "losses": "loss"}.get(path.partition(".")[0], path)
    hook = {"loss": "losses"}.get(kind, f"{kind}s")
    offer = f"@p2pkit.hookimpl\ndef p2pkit_{hook}(): yield p2pkit.{kind.title()}('thing', Thing)\n"
    site = install("", "acme")
    (site / "acme_module.py").write_text(f"import p2pkit\nfrom torch import nn\n{textwrap.dedent(code)}\n{offer}")
    broken = p2pkit("train", config(keys), "--quiet")
    (run,) = (tmp_path / "runs").iterdir()
    assert broken.code == 2
    assert broken.err == (
        f"error:\n  {path}: acme:thing failed: ArithmeticError: lost count\n"
        f"    -> the traceback is in {run.relative_to(tmp_path)}/error.txt\n"
    )
    kept = (run / "error.txt").read_text()
    assert kept.startswith("Traceback")
    assert "acme_module.py" in kept


LISTENER = """
    @p2pkit.hookimpl
    def p2pkit_scalars(step):
        with open("heard", "a") as heard:
            heard.write("x")
        raise ConnectionError("server gone")
"""


def test_a_listener_that_breaks_in_the_middle(p2pkit, install, config, tmp_path):
    install(LISTENER, "acme")
    run = p2pkit("train", config(""))
    assert run.code == 0
    said = "plugin acme failed in p2pkit_scalars: ConnectionError: server gone"
    assert run.err.count(f"{said}; the run goes on without it") == 1
    assert "checkpoint" in run.out
    assert (tmp_path / "heard").read_text() == "x"
    strict = p2pkit("train", config(""), "--strict")
    assert strict.code == 2
    assert f"error:\n  {said}\n    -> block acme in registry.yaml to do without it\n" in strict.err


def test_a_listener_that_breaks_at_the_start(p2pkit, install, config):
    install(LISTENER.replace("scalars(step)", "run_started(run)"), "acme")
    run = p2pkit("train", config(""), "--quiet")
    assert run.code == 2
    assert "plugin acme failed in p2pkit_run_started: ConnectionError: server gone" in run.err


def test_a_metric_that_flattens_by_view(p2pkit, install, config):
    code = """
        def mse():
            "Of torchmetrics, which flattens images by a view."
            from torchmetrics import MeanSquaredError
            return MeanSquaredError()

        @p2pkit.hookimpl
        def p2pkit_metrics(): yield p2pkit.Metric("mse", mse)
    """
    install(code, "acme")
    keys = "evaluate: {metrics: [mse], samples: 1}\nengine: {batch: 4, device: cpu, memory_format: channels_last}"
    run = p2pkit("train", config(keys), "--quiet")
    assert (run.code, run.err) == (0, "")
    assert "mse ↓" in run.out
