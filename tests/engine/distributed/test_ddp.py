"""Several processes train as one does; two of them on the CPU, by gloo."""

from __future__ import annotations

import itertools
import json
import runpy
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import yaml
from safetensors.torch import load_file
from torch import nn

import p2pkit
from p2pkit.config import load_config, resolve
from p2pkit.engine.distributed.ddp import broadcast_buffers, has_unused_parameters, wrap_ddp
from p2pkit.engine.distributed.world import World
from p2pkit.engine.storage.evaluations import last_evaluation, load_evaluation
from p2pkit.engine.storage.state import read_state
from p2pkit.registry import load_registry

WORKER = Path(__file__).with_name("two_processes.py")
DEEDS = Path(__file__).with_name("deeds.py")
PLUGINS = (DEEDS, Path(__file__).parents[1] / "seasons.py")
PLAIN = {
    "generator": {"use": "unet", "params": {"depth": 3, "width": 8, "norm": "none", "dropout": 0.0}},
    "discriminator": {"use": "patch", "params": {"layers": 1, "width": 8, "norm": "none"}},
    "losses.r1": {"weight": 0.1, "every": 2},
    "losses.uncertain": {"weight": 0.5},
    "engine.ema": 0.9,
    "engine.clip": 1.0,
}
"""Components without statistics over a batch and without chance."""
SPARE = {"generator": "spare", "discriminator": "spare"}
BESIDE = {
    "dataset": {"use": "seasons"},
    "generator": {"use": "film"},
    "discriminator": {"use": "judge"},
    "losses": {"gan": 1, "l1": 10, "diverse": 0.1},
    "noise": {"z": 4},
    "engine.ema": 0.9,
}
"""What stands beside images: a class, an image, numbers, noise; and what the generator makes for the discriminator."""
CHANCE = {"augment": ["flip"], "generator": {"use": "unet", "params": {"depth": 3, "width": 8, "dropout": 0.5}}}
UNEVEN = {"dataset.params.count": 13, "evaluate.split": "train", "evaluate.metrics": ["l1", "psnr", "ssim", "few"]}


@pytest.fixture
def group():
    """A group of one process."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.fixture
def parts(tiny, quiet_file):
    """The parts of a plan with a variation of the tiny config, and what its images are."""
    registry = load_registry(quiet_file, discover=False, plugin_files=[DEEDS])

    def make(**overrides):
        plan = resolve(load_config(tiny, overrides), registry)
        return plan.generator, plan.discriminator, plan.dataset.build(None).spec

    return make


def test_a_layer_that_is_never_called_is_found_without_computing(parts):
    for overrides, spare in ((SPARE, True), ({}, False)):
        generator, discriminator, spec = parts(**overrides)
        state = torch.get_rng_state()
        assert has_unused_parameters(generator, spec) == has_unused_parameters(discriminator, spec) == spare
        assert torch.equal(torch.get_rng_state(), state)


def test_a_discriminator_is_given_what_the_generator_makes(seasonal):
    checked = seasonal()
    assert not has_unused_parameters(checked.discriminator, checked.spec, checked.generator)


def test_a_network_that_asks_for_values_is_tried_where_there_are_some(parts, monkeypatch):
    part, _, spec = parts()

    class Asks(nn.Module):
        def __init__(self, spare):
            super().__init__()
            self.used, self.spare = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1) if spare else None

        def forward(self, source):
            return self.used(source) * (1 + float(source.mean()))

    for spare in (True, False):
        monkeypatch.setattr(type(part), "build", lambda self, images, spare=spare: Asks(spare))
        assert has_unused_parameters(part, spec) == spare


def test_alone_a_network_has_no_other_self(parts):
    generator, _, spec = parts()
    assert wrap_ddp(generator.build(spec), generator, spec) is None


def test_the_other_self_has_the_networks_own_weights(parts, group):
    generator, _, spec = parts(**SPARE)
    network = generator.build(spec)
    wrapped = wrap_ddp(network, generator, spec)
    assert wrapped.module is network
    assert wrapped.find_unused_parameters
    wrapped(torch.zeros(1, 3, 16, 16)).sum().backward()
    assert network.used.weight.grad is not None


def test_buffers_keep_their_memory_when_they_are_shared(group):
    norm = nn.BatchNorm2d(3)
    norm(torch.randn(4, 3, 8, 8))
    places, values = ({n: f(b) for n, b in norm.named_buffers()} for f in (torch.Tensor.data_ptr, torch.clone))
    broadcast_buffers(norm)
    for name, buffer in norm.named_buffers():
        assert buffer.data_ptr() == places[name]
        assert torch.equal(buffer, values[name])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def runs(tiny, torchrun, quiet_file, folder):
    """Train in one process and in two; return the folder that holds all runs."""
    engine = {**tiny["engine"], "device": "cpu", "precision": "fp32"}
    config = {**tiny, "engine": engine, "optimizers": {name: {"eps": 1e-4} for name in ("generator", "discriminator")}}
    start, finish = torchrun
    registry = load_registry(quiet_file, discover=False, plugin_files=[*PLUGINS])
    worker = runpy.run_path(str(WORKER))

    def job(name, *changes, resume=None, stop=None):
        raw = load_config(config, {key: value for change in changes for key, value in change.items()}).raw
        return {"folder": str(folder / name), "config": raw, "resume": resume and str(resume), "stop": stop}

    def alone(*arguments, **options):
        return worker["train"](job(*arguments, **options), registry, World()).checkpoint

    alone("one", PLAIN)
    alone("one_spare", PLAIN, SPARE)
    alone("one_uneven", PLAIN, UNEVEN)
    alone("one_beside", BESIDE)
    stopped = alone("one_stopped", PLAIN, stop=1)
    half = {"engine.batch": 2}

    def noted(to):
        own = {"engine.global_batch": 4, "health.gradient_shares": 0}  # these are measured on a batch more
        return {**half, **own, "augment": [{"use": "noted", "params": {"to": str(folder / to)}}]}

    alone("one_global", PLAIN, noted("whole"))
    jobs = [
        job("two", PLAIN, half),
        job("two_accumulated", PLAIN, {"engine.batch": 1, "engine.accumulate": 2}),
        job("two_spare", PLAIN, SPARE, half),
        job("two_uneven", PLAIN, UNEVEN, half),
        job("two_beside", BESIDE, half),
        job("one_then_two", PLAIN, half, resume=stopped),
        job("one_then_twice_as_much", PLAIN, resume=stopped),
        job("two_stopped", PLAIN, half, stop=2),
        job("two_global", PLAIN, noted("first"), stop=2),
        job("chance", CHANCE, half),
        job("chance_stopped", CHANCE, half, stop=2),
        job("chance_resumed", CHANCE, half, resume=folder / "chance_stopped" / "checkpoints" / "step-00000004"),
    ]
    one_pair = {"dataset.params.count": 1, "evaluate.split": "train", "evaluate.metrics": ["l1", "psnr", "ssim"]}
    jobs.append({"folder": str(folder / "two_accumulated"), "evaluate": one_pair})
    p2pkit.evaluate(folder / "one", registry=registry, **one_pair)
    (folder / "jobs.json").write_text(json.dumps(jobs))
    code, said = finish(start(folder, WORKER, quiet_file, folder / "jobs.json", *PLUGINS))
    assert code == 0, said
    alone("two_then_one", PLAIN, resume=folder / "two_stopped" / "checkpoints" / "step-00000004")
    alone("fewer_global", PLAIN, noted("then"), resume=folder / "two_global" / "checkpoints" / "step-00000004")
    return folder


def last(run):
    return sorted((run / "checkpoints").glob("step-*"))[-1]


def weights(run):
    """Return weights, moments and the moving average of a run's last checkpoint."""
    tensors = {k: v for k, v in load_file(last(run) / "training.safetensors").items() if not k.startswith("random")}
    average = load_file(last(run) / "generator.safetensors")
    return tensors | {f"average.{name}": value for name, value in average.items()}


def assert_near(first, second):
    """The order of additions differs, so fp32 agrees to about four digits after some steps."""
    assert first.keys() == second.keys()
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], rtol=1e-4, atol=1e-6, msg=lambda text, n=name: f"{n}: {text}")


@pytest.mark.slow
@pytest.mark.parametrize("run", ["two", "two_accumulated", "one_then_two", "two_then_one"])
def test_two_processes_learn_what_one_does_with_the_batch_doubled(runs, run):
    assert_near(weights(runs / run), weights(runs / "one"))
    assert read_state(last(runs / run))["position"] == read_state(last(runs / "one"))["position"]


@pytest.mark.slow
def test_a_network_may_have_parameters_that_it_does_not_use(runs):
    assert_near(weights(runs / "two_spare"), weights(runs / "one_spare"))


@pytest.mark.slow
def test_what_stands_beside_images_stays_with_its_pair(runs):
    """Each pair has its own class and noise, whichever process it comes to."""
    assert_near(weights(runs / "two_beside"), weights(runs / "one_beside"))
    (mine, _), (expected, _) = last_evaluation(runs / "two_beside"), last_evaluation(runs / "one_beside")
    assert mine.metrics == pytest.approx(expected.metrics, rel=1e-4)


@pytest.mark.slow
def test_scalars_are_means_over_the_processes(runs):
    logged = [json.loads((runs / "two" / f"logged-{rank}.json").read_text()) for rank in (0, 1)]
    expected = json.loads((runs / "one" / "logged-0.json").read_text())
    assert [step for step, _ in logged[0]] == [step for step, _ in expected]
    for (_, main), (_, other), (_, alone) in zip(*logged, expected, strict=True):
        assert main.keys() == other.keys() == alone.keys() | {"speed/images_per_second_per_process"}
        for name in (name for name in alone if not name.startswith("speed/")):
            assert main[name] == other[name]
            assert main[name] == pytest.approx(alone[name], rel=1e-4, abs=1e-6), name


@pytest.mark.slow
@pytest.mark.parametrize(("two", "one"), [("two", "one"), ("two_uneven", "one_uneven")])
def test_evaluation_has_no_pair_twice(runs, two, one):
    """13 pairs for two processes: the scores, baselines and samples are those of one process."""
    (mine, shown), (expected, wanted) = last_evaluation(runs / two), last_evaluation(runs / one)
    assert mine.count == expected.count == (13 if "uneven" in two else 8)
    assert mine.metrics == pytest.approx(expected.metrics, rel=1e-4)
    assert list(mine.warnings) == list(expected.warnings) == (["few: 13 pairs are few"] if "uneven" in two else [])
    assert mine.baselines.keys() == expected.baselines.keys() == {"source", "mean"}
    for name, scores in expected.baselines.items():
        assert mine.baselines[name] == pytest.approx(scores, rel=1e-5)
    assert shown.names == wanted.names
    for picture, other in zip(shown.pictures, wanted.pictures, strict=True):
        assert abs(picture.astype(int) - other).max() <= 1


@pytest.mark.slow
def test_evaluation_of_fewer_pairs_than_processes(runs):
    """Each process then scores them all, as one without a pair has nothing to merge."""
    reports = []
    for run in ("one", "two_accumulated"):
        (sheet,) = (runs / run / "evaluations").glob("*/samples/*.png")
        reports.append(load_evaluation(sheet)[0])
    assert reports[0].count == reports[1].count == 1
    assert reports[0].metrics == pytest.approx(reports[1].metrics, rel=1e-4)


@pytest.mark.slow
def test_a_signal_to_one_process_stops_both_after_the_same_step(runs):
    state = read_state(last(runs / "two_stopped"))
    assert state["position"] == {"step": 4, "epoch": 1, "batches": 1}
    assert len(list((runs / "two_stopped" / "checkpoints").iterdir())) == 1


@pytest.mark.slow
def test_fewer_processes_go_on_with_the_batches_that_more_have_left(runs):
    """Pair for pair, and to the same weights, though an update is made of two batches where it was of one in each."""
    before, later = batches_of_updates(runs, "first", 2), batches_of_updates(runs, "then", 1)
    assert (len(before), len(later)) == (4, 2)
    assert before + later == batches_of_updates(runs, "whole", 1)
    assert_near(weights(runs / "fewer_global"), weights(runs / "one_global"))


def batches_of_updates(folder, name, processes):
    """Return the pairs of each update of two batches, in the order in which the batches were dealt out."""
    noted = [(folder / f"{name}-0-{rank}.txt").read_text().splitlines() for rank in range(processes)]
    dealt = list(itertools.chain(*zip(*noted, strict=True)))
    return list(zip(dealt[::2], dealt[1::2], strict=True))


@pytest.mark.slow
def test_the_position_is_kept_where_the_batch_grows(runs):
    """Of 12 pairs 8 are done by updates of 4; updates of 8 then go on with the next epoch, since 4 do not fill one."""
    position = read_state(last(runs / "one_then_twice_as_much"))["position"]
    assert position == {"step": 3, "epoch": 2, "batches": 0}


@pytest.mark.slow
def test_resumed_on_as_many_processes_is_exact(runs):
    """Each has its random numbers back: dropout and augmentation go on as if nothing had been."""
    whole, resumed = weights(runs / "chance"), weights(runs / "chance_resumed")
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


@pytest.mark.slow
def test_processes_differ_in_chance_only(runs):
    tensors = load_file(last(runs / "chance") / "training.safetensors")
    assert not torch.equal(tensors["random.cpu"], tensors["random.1.cpu"])


@pytest.mark.slow
def test_only_the_main_process_writes(runs):
    names = {path.name for path in (runs / "two").iterdir()}
    assert names == {".lock", "run.yaml", "checkpoints", "plugins", "samples", "logged-0.json", "logged-1.json"}
    assert yaml.safe_load((runs / "two" / "run.yaml").read_text())["engine"]["batch"] == 2
