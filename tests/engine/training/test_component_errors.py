"""Which component an error came from."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from p2pkit import DataError, Problem, TrainingError
from p2pkit.config import load_config, resolve
from p2pkit.engine.check import check
from p2pkit.engine.training.component_errors import attribute_errors, components_in_traceback
from p2pkit.engine.training.session import RunSession
from p2pkit.plugins.loading import Plugins
from p2pkit.progress import Silent
from p2pkit.registry import Registry, load_registry

TWO = """
    from torch import nn

    class Net(nn.Module):
        '''Breaks.'''
        def __init__(self, images): super().__init__()
        def forward(self, source): raise KeyError("inside")

    class Sharp:
        '''Asks the network.'''
        def generator(self, view): return view()

    @p2pkit.hookimpl
    def p2pkit_generators(): yield p2pkit.Generator("net", Net)

    @p2pkit.hookimpl
    def p2pkit_losses(): yield p2pkit.Loss("sharp", Sharp)
"""


@pytest.fixture
def plan(write_plugin, tmp_path, tiny):
    """Two components of one file, built; and a loss twice."""
    registry = load_registry(plugin_files=[write_plugin(TWO)], discover=False, start=tmp_path)
    keys = {**tiny, "generator": "net", "losses": {"sharp": 1, "l1": 1, "other": {"use": "l1"}}}
    return resolve(load_config(keys), registry)


def raised(act) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011  whatever it raises
        act()
    return caught.value


def test_of_two_in_one_file_the_one_that_was_called(plan):
    network, loss = plan.generator.build(None), plan.losses["sharp"].build()
    assert components_in_traceback(raised(lambda: network(None)), plan) == [plan.generator]
    assert components_in_traceback(raised(lambda: loss.generator(lambda: {}["key"])), plan) == [plan.losses["sharp"]]
    assert components_in_traceback(raised(lambda: loss.generator(lambda: network(None))), plan) == [
        plan.losses["sharp"]
    ]


def test_what_can_not_be_told_apart_is_named_together(plan, tmp_path):
    terms = [plan.losses[name].build() for name in ("l1", "other")]
    with pytest.raises(TrainingError) as caught, attribute_errors(plan, tmp_path):
        terms[1].generator(None)
    (problem,) = caught.value.problems
    assert problem.path == "losses.l1 or losses.other"
    assert problem.cause.startswith("p2pkit:l1 failed: AttributeError: ")


def test_an_error_of_nobody_passes_as_it_is(plan, tmp_path):
    with pytest.raises(ZeroDivisionError), attribute_errors(plan, tmp_path):
        _ = 1 / 0
    with pytest.raises(DataError), attribute_errors(plan, tmp_path):
        raise DataError(Problem("", "no images"))
    with pytest.raises(KeyboardInterrupt), attribute_errors(plan, tmp_path):
        raise KeyboardInterrupt
    assert not (tmp_path / "error.txt").exists()


def test_too_little_memory_has_a_remedy(plan, tmp_path, monkeypatch):
    network = plan.generator.build(None)

    def forward(source: torch.Tensor) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2 GiB")

    monkeypatch.setattr(network, "forward", forward)
    assert isinstance(network, nn.Module)
    with pytest.raises(TrainingError) as caught, attribute_errors(plan, tmp_path):
        network(None)
    (problem,) = caught.value.problems
    assert (problem.path, problem.cause) == ("generator", "acme:net failed: OutOfMemoryError: CUDA out of memory.")
    assert problem.remedy == f"lower engine.batch or the images' size; the traceback is in {tmp_path}/error.txt"
    assert "Tried to allocate" in (tmp_path / "error.txt").read_text()


def test_an_optimiser_that_fails_in_a_step_is_named(tiny, quiet, write_plugin, tmp_path):
    code = """
        from torch import optim

        class Failing(optim.SGD):
            '''Fails when it is asked to step.'''
            def __init__(self, groups): super().__init__(groups)
            def step(self, closure=None): raise ArithmeticError("lost count")

        @p2pkit.hookimpl
        def p2pkit_optimizers(): yield p2pkit.Optimizer("failing", Failing)
    """
    plugins = Plugins(files=[write_plugin(code)], discover=False, block=["p2pkit.mlflow"])
    plan = resolve(load_config(tiny, {"optimizers.generator": "failing"}), Registry(quiet.file, plugins))
    with pytest.raises(TrainingError, match=r"optimizers\.generator: acme:failing failed: ArithmeticError: lost count"):
        RunSession(check(plan), plugins, tmp_path, Silent()).train()
