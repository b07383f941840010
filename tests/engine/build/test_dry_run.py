"""A step is tried before the first one: what networks lack, and what they answer."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

from p2pkit import Generator, ImageSpec, Loss, Made, PairSpec, VectorSpec
from p2pkit.engine.build.dry_run import DryRun, built
from p2pkit.parts import LossPart, Part

IMAGES = PairSpec(ImageSpec(3), ImageSpec(3), 16, 16, extras={"z": VectorSpec(2, "noise")})


class Answers(nn.Module):
    """Answers with what it is made with."""

    def __init__(self, answer):
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 1)
        self.answer = answer

    def forward(self, source, z):
        return self.answer(self.layer(source) + z.mean())


@pytest.fixture
def tried(checked):
    """Try a step of a plan with another generator."""

    def run(network, images=IMAGES):
        part = Part("generator", Generator("own", lambda: network, "a test's"))
        return DryRun(replace(checked().plan, generator=part), images, "cpu", training=True, initial=False)

    return run


def test_a_fake_alone_and_one_with_more_are_answers(tried):
    assert tried(Answers(lambda fake: fake)).problems == []
    assert tried(Answers(lambda fake: Made(fake, {"mean": fake.mean((1, 2, 3))}))).problems == []


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (lambda fake: (fake, fake), "returned a tuple where a tensor is wanted"),
        (lambda fake: Made((fake,)), "returned a Made where a tensor is wanted"),
        (lambda fake: Made(fake[:, :1]), "makes images of shape 1 x 16 x 16"),
    ],
)
def test_other_answers_are_told(tried, answer, cause):
    (problem,) = tried(Answers(answer)).problems
    assert problem.path == "generator"
    assert cause in problem.cause


def test_what_nobody_has_is_told_by_its_name(tried):
    (problem,) = tried(Answers(lambda fake: fake), PairSpec(ImageSpec(3), ImageSpec(3), 16, 16)).problems
    assert problem.cause == "its forward asks for 'z', which the data set does not have (it has none)"
    assert "write noise: {z: 8}" in problem.remedy


def test_what_is_no_network_is_told():
    problems = []
    assert built(Part("generator", Generator("own", lambda: torch.relu, "a test's")), IMAGES, problems) is None
    assert "where a torch.nn.Module is wanted" in problems[0].cause


class Encodes:
    """Makes vectors of some sizes."""

    def __init__(self, *, z: int, mean: int = 1):
        self.sizes = {"z": z, "mean": mean}

    def encode(self, source, target, extras):
        return {name: torch.zeros(len(source), size) for name, size in self.sizes.items()}

    def generator(self, view):
        return sum((view.extras[name].mean() for name in self.sizes), view.fake.mean())


@pytest.mark.parametrize(
    ("sizes", "path", "cause"),
    [
        ([{"z": 2, "mean": 5}], "", ""),
        ([{"z": 3}], "losses.0", "makes z of shape [1, 3], where [1, 2] is wanted"),
        ([{"z": 2}, {"z": 2}], "losses.1", "makes mean, z, which another loss makes"),
    ],
)
def test_what_losses_make_of_a_batch_fits_and_is_made_once(checked, sizes, path, cause):
    plan = checked().plan
    network = Part("generator", Generator("own", lambda: Answers(lambda fake: fake), "a test's"))
    losses = {
        str(number): LossPart(f"losses.{number}", Loss("own", partial(Encodes, **each), "a test's"))
        for number, each in enumerate(sizes)
    }
    phases = tuple(replace(phase, terms=losses) for phase in plan.phases)
    tried = DryRun(
        replace(plan, generator=network, losses=losses, phases=phases), IMAGES, "cpu", training=True, initial=False
    )
    assert [(problem.path, problem.cause) for problem in tried.problems] == ([(path, cause)] if path else [])
