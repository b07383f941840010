"""What a step measures: named values side by side on the device."""

from __future__ import annotations

import pytest
import torch

from p2pkit import Verdict, View
from p2pkit.engine.step.scalars import Scalars, verdict_scalars


def measured(**values):
    return {name: torch.tensor(value) for name, value in values.items()}


def test_values_have_names_and_some_a_weighted_form():
    scalars = Scalars(("a", "b"), torch.tensor([2.0, 3.0]), {"a": 10.0, "absent": 5.0})
    assert list(scalars) == ["a", "b", "a_weighted"]
    assert len(scalars) == 3
    assert {name: value.item() for name, value in scalars.items()} == {"a": 2, "b": 3, "a_weighted": 20}


@pytest.mark.parametrize("name", ["c", "b_weighted", "absent_weighted", "_weighted", ""])
def test_what_was_not_measured_has_no_value(name):
    scalars = Scalars(("a", "b"), torch.tensor([2.0, 3.0]), {"a": 10.0, "absent": 5.0})
    assert name not in scalars
    with pytest.raises(KeyError):
        scalars[name]


def test_a_term_may_be_called_weighted():
    scalars = Scalars(("a_weighted", "a"), torch.tensor([2.0, 3.0]), {"a_weighted": 10.0})
    assert {name: value.item() for name, value in scalars.items()} == {
        "a_weighted": 2,
        "a": 3,
        "a_weighted_weighted": 20,
    }


def test_the_mean_is_over_the_batches_of_all_updates():
    judged = [measured(real=1.0, total=4.0), measured(real=3.0, total=8.0)]
    made = [measured(l1=0.5), measured(l1=1.5)]
    found = Scalars.mean([judged, made], {"l1": 100.0})
    expected = {"real": 2, "total": 6, "l1": 1, "l1_weighted": 100}
    assert {name: value.item() for name, value in found.items()} == expected


def test_one_batch_is_its_own_mean_and_all_values_are_fp32():
    found = Scalars.mean([[{"a": torch.tensor(0.1, dtype=torch.bfloat16)}], [{}]], {})
    assert found.stacked.dtype == torch.float32
    assert found["a"].item() == pytest.approx(0.1, rel=1e-2)


def test_updates_of_unequal_batches_are_a_mistake():
    with pytest.raises(ValueError, match="zip"):
        Scalars.mean([[{}], [{}, {}]], {})


def view(real, fake):
    """A view whose discriminator answers with given scales of logits."""
    images = [torch.full((2, 3, 4, 4), float(value)) for value in range(3)]
    answers = {1: real, 2: fake}
    return View(*images, lambda source, image: Verdict(tuple(map(torch.tensor, answers[int(image.mean())]))))


def test_only_verdicts_that_a_term_has_asked_for_are_told():
    seen = view(real=[[1.0, 3.0], [4.0]], fake=[[-1.0, 1.0]])
    assert verdict_scalars(seen, 0.0) == {}
    assert seen.on_target
    assert {name: value.item() for name, value in verdict_scalars(seen, None).items()} == {"train/verdict/real": 3}


def test_accuracy_is_how_often_the_side_of_the_threshold_is_right():
    seen = view(real=[[1.0, 3.0], [0.5, 0.0]], fake=[[-1.0, 0.5]])
    assert seen.on_target
    assert seen.on_fake
    found = {name: value.item() for name, value in verdict_scalars(seen, 0.5).items()}
    assert found == {
        "train/verdict/real": pytest.approx((2 + 0.25) / 2),  # the mean of the scales' means
        "train/accuracy/real": 0.5,
        "train/verdict/fake": -0.25,
        "train/accuracy/fake": 1,  # what lies on the threshold is taken for a fake
    }


def test_verdicts_are_reported_when_asked_anyway(assembled, batches):
    assembly = assembled()
    scalars = assembly.step(batches(assembly, 1), 0)
    assert {"train/verdict/real", "train/verdict/fake"} <= set(scalars)
    assert all(value.shape == () and not value.requires_grad for value in scalars.values())


def test_weights_belong_to_the_run(assembled, batches):
    scalars = (step := assembled()).step(batches(step, 1), 0)
    assert scalars["train/generator/l1_weighted"].item() == pytest.approx(100 * scalars["train/generator/l1"].item())
    total = scalars["train/generator/l1_weighted"] + scalars["train/generator/gan_weighted"]
    assert scalars["train/generator/total"].item() == pytest.approx(total.item())
    halved = scalars["train/discriminator/gan_weighted"].item()
    assert halved == pytest.approx(0.5 * scalars["train/discriminator/gan"].item())
