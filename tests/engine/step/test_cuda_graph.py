"""The step as one CUDA graph: the same learning, and a reason where it can't be."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from p2pkit.engine.build import graph_trial
from p2pkit.engine.build.graph_trial import why_not_capturable
from p2pkit.engine.step.clock import Clock
from p2pkit.engine.step.cuda_graph import WARM_UP, GraphedStep, _examples, capturing, sync_debug
from p2pkit.engine.step.scalars import Scalars
from p2pkit.engine.step.turns import Turns

gpu = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
CUDA = {"engine.device": "cuda"}
STEPS = 20

OPTIONS = {
    "plain": {},
    "average": {"engine.ema": 0.9},
    "accumulation": {"engine.accumulate": 2},
    "clipping": {"engine.clip": 0.1},
    "every": {"losses.l1": {"weight": 100, "every": 3}},
    "r1": {"losses.r1": {"weight": 1, "every": 4}},
    "no adversary": {"losses.gan.weight": 0},
    "generator first": {"engine.order": "generator_first"},
    "adamw": {"optimizers.generator.use": "adamw"},
    "sgd": {"optimizers.generator.use": "sgd"},
    "muon": {"optimizers.generator.use": "muon"},
    "a slower norm": {"optimizers.generator.groups": [{"match": "biases", "lr_factor": 0.1}]},
}


class _Sums:
    """A step that moves nothing: its scalar is the sum of its images; its terms are due now and then."""

    objective = SimpleNamespace(periods=(1, 3))
    turns = Turns()

    def __init__(self):
        self.taken = 0
        self.forward = SimpleNamespace(clock=Clock(torch.device("cpu")))

    def __call__(self, batches, number):
        return self.take(batches, number)

    def take(self, batches, number):
        self.taken += 1
        return Scalars(("sum",), sum(source.sum() + target.sum() for source, target in batches)[None])


class _Graph:
    """What is recorded is done anew at each replay, on the images that were put into it."""

    owner: GraphedStep

    def replay(self):
        captured = next(each for each in self.owner._captured.values() if each.graph is self)
        captured.scalars.stacked.copy_(_Sums()(captured.batches, 0).stacked)


@pytest.fixture
def played(monkeypatch):
    """A graphed step, with CUDA graphs as far as a CPU can play them."""
    stream = SimpleNamespace(wait_stream=lambda other: None)
    monkeypatch.setattr(torch.cuda, "Stream", lambda: stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", object)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", _Graph)
    monkeypatch.setattr(torch.cuda, "graph", lambda graph, **options: nullcontext())
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda tensor, stream: None)
    _Graph.owner = GraphedStep(_Sums())
    return _Graph.owner


def test_each_combination_of_due_terms_is_captured_once_and_sees_each_batch(played):
    dice = torch.Generator().manual_seed(0)
    kept = []
    for number in range(20):
        batch = (torch.rand(2, 3, 4, 4, generator=dice), torch.rand(2, 3, 4, 4, generator=dice))
        kept.append((played([batch], number)["sum"].item(), batch[0].sum() + batch[1].sum()))
    assert len(played._captured) == 2
    assert played.step.taken == WARM_UP + 2  # later steps are replayed
    assert played.step.forward.clock.step == -1  # steps count by themselves, and these count nothing
    for found, expected in kept:
        assert found == pytest.approx(expected.item())


def test_a_batch_of_another_size_has_a_graph_of_its_own(played):
    for number in range(WARM_UP + 2):
        for count in (2, 1):
            images = torch.ones(count, 3, 4, 4)
            assert played([(images, images)], number)["sum"].item() == count * 2 * 3 * 16
    for count in (2, 1, 2):
        images = torch.full((count, 3, 4, 4), 0.5)
        assert played([(images, images)], 1)["sum"].item() == count * 3 * 16
    assert len(played._captured) == 4  # of each size with both terms and with one


def test_a_phase_that_is_over_gives_its_graphs_back(played, monkeypatch):
    waited = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: waited.append(len(played._captured)))
    images = torch.ones(1, 3, 4, 4)
    for number in range(WARM_UP + 2):
        played([(images, images)], number)
    played.release()
    assert (waited, played._captured) == ([2], {})


def test_nothing_is_captured_before_each_combination_of_due_terms_was_taken_once(played):
    images = torch.ones(1, 3, 4, 4)
    for number in (1, 2, 4, 5, 7, 8):  # a run that goes on from a checkpoint
        played([(images, images)], number)
    assert not played._captured
    for number in (9, 10, 12):
        played([(images, images)], number)
    assert len(played._captured) == 2


def test_numbers_of_steps_to_warm_up_with():
    for every, examples, warm_up in (
        ([1], (0,), (0, 0, 0)),
        ([1, 3], (0, 1), (0, 1, 0)),
        ([2, 3], (0, 1, 2, 3), (0, 1, 2, 3)),
        ([1, 10**9], (0, 1), (0, 1, 0)),
        ([], (0,), (0, 0, 0)),
    ):
        step = SimpleNamespace(examples=_examples(every))
        assert (step.examples, GraphedStep.warm_up.fget(step)) == (examples, warm_up)


@pytest.fixture
def debugged(monkeypatch):
    """torch's sync-debug mode as far as a CPU can play it, with its remark."""
    modes = [0]

    def change(mode):
        warnings.warn("Synchronization debug mode is a prototype feature", UserWarning, stacklevel=1)
        modes.append(mode)

    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", change)
    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: modes[-1])
    return modes


def test_what_torch_says_of_its_debug_mode_is_no_wait(debugged):
    def waits(batches, number):
        if debugged[-1] == "warn":
            warnings.warn("called a synchronizing CUDA operation", UserWarning, stacklevel=1)

    assert graph_trial._waits(SimpleNamespace(step=lambda batches, number: None), []) == ""
    assert graph_trial._waits(SimpleNamespace(step=waits), []) == "called a synchronizing CUDA operation"
    assert debugged == [0, "warn", 0, "warn", 0]


def test_the_debug_mode_is_put_back_where_warnings_are_errors(debugged):
    with pytest.raises(KeyError), sync_debug("error"):
        raise KeyError
    assert debugged == [0, "error", 0]


class TestAFailedCapture:
    @pytest.fixture
    def streams(self, monkeypatch):
        """Streams that are current one in the other, and a capture that fails as torch's does."""
        current = ["outside"]

        class Stream:
            def __init__(self, stream):
                self.stream = stream

            def __enter__(self):
                self.before, current[0] = current[0], self.stream

            def __exit__(self, *error):
                current[0] = self.before

        class Capture:
            def __init__(self, graph, **options):
                pass

            def __enter__(self):
                current[0] = "captured"

            def __exit__(self, *error):
                raise RuntimeError("operation failed due to a previous error during capture")

        monkeypatch.setattr(torch.cuda, "current_stream", lambda: current[0])
        monkeypatch.setattr(torch.cuda, "stream", Stream)
        monkeypatch.setattr(torch.cuda, "graph", Capture)
        return current

    def test_leaves_the_stream_and_tells_the_first_error(self, streams):
        with pytest.raises(torch.OutOfMemoryError, match="tried to allocate 2 GiB"), capturing(None):
            raise torch.OutOfMemoryError("tried to allocate 2 GiB")
        assert streams == ["outside"]

    def test_without_an_error_within_tells_that_of_the_capture(self, streams):
        with pytest.raises(RuntimeError, match="previous error"), capturing(None):
            pass
        assert streams == ["outside"]

    @pytest.mark.parametrize(
        ("error", "reason"),
        [
            (torch.OutOfMemoryError("2 GiB\nmore"), "there is too little memory for its graph (2 GiB)"),
            (RuntimeError("not permitted\nmore"), "the step can't be captured (not permitted)"),
        ],
    )
    def test_has_its_reason(self, played, debugged, monkeypatch, error, reason):
        def fail(self, batches, number):
            raise error

        monkeypatch.setattr(GraphedStep, "_capture", fail)
        images = torch.ones(1, 3, 4, 4)
        assert graph_trial._tried(SimpleNamespace(step=_Sums(), trial=lambda: [(images, images)])) == reason

    def test_memory_that_is_short_without_a_graph_is_no_reason_against_it(self, played, debugged):
        class Short(_Sums):
            def __call__(self, batches, number):
                raise torch.OutOfMemoryError("2 GiB")

        with pytest.raises(torch.OutOfMemoryError):
            graph_trial._tried(SimpleNamespace(step=Short(), trial=list))


class TestOnAGpu:
    pytestmark = gpu

    @pytest.mark.numbers
    @pytest.mark.parametrize("option", OPTIONS)
    def test_fp32_learns_exactly_the_same(self, assembled, batches, option, monkeypatch):
        monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        settings = {**CUDA, "engine.precision": "fp32", "engine.deterministic": True, **OPTIONS[option]}
        try:
            plain, captured = self._trained(assembled, batches, settings)
        finally:
            torch.use_deterministic_algorithms(False)
        for expected, found in zip(plain, captured, strict=True):
            assert expected.keys() == found.keys()
            for name, value in expected.items():
                assert torch.equal(found[name], value), name

    @pytest.mark.numbers
    def test_bf16_stays_within_two_percent(self, assembled, batches):
        plain, captured = self._trained(assembled, batches, {**CUDA, "engine.precision": "bf16"})
        for expected, found in zip(plain, captured, strict=True):
            for name, value in expected.items():
                torch.testing.assert_close(found[name], value, rtol=0.02, atol=0.01, msg=name)

    def _trained(self, assembled, batches, settings):
        """Train twice, as it is and captured; return each step's scalars and the last weights."""
        results = []
        for wrap in (lambda step: step, GraphedStep):
            assembly = assembled(**settings)
            data = batches(assembly)
            count = settings.get("engine.accumulate", 1)
            step = wrap(assembly.step)
            scalars = []
            for number in range(STEPS):
                group = [data[(number + i) % len(data)] for i in range(count)]
                scalars.append({name: value.clone() for name, value in step(group, number).items()})
            weights = assembly.evaluated.state_dict()
            results.append([*scalars, {name: value.clone() for name, value in weights.items()}])
            if wrap is GraphedStep:
                assert step._captured
        return results

    @pytest.mark.numbers
    def test_the_learning_rate_is_read_at_each_step(self, assembled, batches):
        from p2pkit.engine.build.optimizer import set_learning_rate

        assembly = assembled(**CUDA)
        data, step = batches(assembly, 1), GraphedStep(assembly.step)
        for number in range(WARM_UP + 2):
            step(data, number)
        set_learning_rate(assembly.players.generator.optimizer, 0.0)
        before = [p.clone() for p in assembly.players.generator.network.parameters()]
        step(data, WARM_UP + 2)
        assert all(map(torch.equal, before, assembly.players.generator.network.parameters()))

    def test_fp16_is_captured_too(self, checked):
        run = checked(**CUDA, **{"engine.precision": "fp16"})
        assert why_not_capturable(run, run.plan.config.engine) is None

    def test_a_component_that_waits_has_its_reason(self, checked, monkeypatch):
        from p2pkit.builtin.losses.distances import Distance

        run = checked(**CUDA)
        engine = run.plan.config.engine
        assert why_not_capturable(run, engine) is None
        measure = Distance.generator
        monkeypatch.setattr(
            Distance, "generator", lambda self, view: measure(self, view) * (view.fake.max().item() > -2)
        )
        assert "waits for the device" in why_not_capturable(run, engine)

    def test_whole_runs_are_captured(self, work):
        assert work(**CUDA, **{"engine.cuda_graph": "on", "schedule.epochs": 4}).train().progress.step == 12
