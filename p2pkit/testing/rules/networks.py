"""Rules for both networks: weights, gradients, and the ways in which the engine runs them."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from p2pkit.engine.device.choose import emulates_bf16
from p2pkit.engine.device.placement import lay_out
from p2pkit.errors import ComponentError, first_line, of_the_meta_device
from p2pkit.extras.calling import SEEN, answered, lacking, taken
from p2pkit.testing.rule import Skip, require, rule
from p2pkit.testing.subject import Subject
from p2pkit.types import PairSpec, optional

NETWORKS = ("generator", "discriminator")


def network(subject: Subject, images: PairSpec | None = None, seed: int = 0) -> nn.Module:
    """Build a network."""
    built = subject.build(images, seed=seed)
    require(isinstance(built, nn.Module), "The factory has to return a torch.nn.Module.")
    built.train()
    return built  # type: ignore[no-any-return]  # seen to be one


def answer(subject: Subject, built: nn.Module, batch: tuple[Tensor, Tensor]) -> list[Tensor]:
    """Call a network, and return its fake, or all of its logits and features."""
    if subject.kind == "generator":
        made = answered(built(batch[0]))
        return [made.fake, *(value for value in made.extras.values() if value.is_floating_point())]
    verdict = built(*batch)
    return [*verdict.logits, *(feature for scale in verdict.features for feature in scale)]


def same(first: list[Tensor], second: list[Tensor], tolerance: float = 0.0) -> bool:
    """Tell whether two answers are equal, to a tolerance that is relative to the largest value."""
    pairs = [(a.detach().float(), b.detach().float()) for a, b in zip(first, second, strict=True)]
    return all(
        a.shape == b.shape and float((a - b).abs().max()) <= tolerance * (1 + float(a.abs().max())) for a, b in pairs
    )


@rule(*NETWORKS)
def gradients(subject: Subject) -> None:
    """Every parameter gets a finite gradient."""
    built = network(subject)
    values = answer(subject, built, subject.batch())
    torch.autograd.backward([value.float().square().mean() for value in values if value.requires_grad])
    trained = [(name, parameter) for name, parameter in built.named_parameters() if parameter.requires_grad]
    require(trained, "It has no parameters that can be trained; is something detached or frozen?")
    idle = [name for name, parameter in trained if parameter.grad is None]
    require(not idle, f"No gradient reaches {_some(idle)}: use these parameters in `forward`, or remove them.")
    bad = [name for name, parameter in trained if parameter.grad is not None and not parameter.grad.isfinite().all()]
    require(not bad, f"The gradient of {_some(bad)} is not finite: look for roots, logarithms and divisions by 0.")


@rule(*NETWORKS)
def seed(subject: Subject) -> None:
    """The same seed gives the same weights."""
    first, second = (network(subject, seed=7).state_dict() for _ in range(2))
    differing = [name for name in first if name not in second or not torch.equal(first[name], second[name])]
    require(not differing, f"Two builds from one seed differ in {_some(differing)}: draw from torch's own generator.")


@rule(*NETWORKS)
def state_dict(subject: Subject) -> None:
    """A network that loads another's state_dict answers as that one does."""
    batch = subject.batch()
    first, second = (network(subject, seed=number) for number in (1, 2))
    with torch.no_grad():
        answer(subject, first, batch)  # moves the statistics that norms gather
        state = copy.deepcopy(first.state_dict())
        wrong = second.load_state_dict(state, strict=False)
        lost = [*wrong.missing_keys, *wrong.unexpected_keys]
        require(not lost, f"The state_dict of one build does not fit another: {_some(lost)}.")
        torch.manual_seed(3)
        expected = answer(subject, first.eval(), batch)
        torch.manual_seed(3)
        got = answer(subject, second.eval(), batch)
    sentence = "After load_state_dict it answers otherwise: keep everything that settles the answer in parameters and"
    require(same(expected, got, 1e-5), f"{sentence} buffers (`self.register_buffer`).")


@rule(*NETWORKS)
def meta(subject: Subject) -> None:
    """Built on the meta device, where `p2pkit check` looks at shapes, it lies there whole."""
    with torch.device("meta"):
        try:
            built = subject.component.build(subject.images, subject.params)
        except Exception as error:
            raise Skip(f"it asks tensors for values; check has to build it whole ({first_line(error)})") from None
        elsewhere = [name for name, parameter in built.named_parameters() if parameter.device.type != "meta"]
        sentence = (
            f"Made on the meta device, {_some(elsewhere)} is elsewhere: don't name a device when you make tensors."
        )
        require(not elsewhere, sentence)
        subject.asked(built)
        try:
            answer(subject, built, (_meta(subject, "source"), _meta(subject, "target")))
        except ComponentError:
            raise
        except Exception as error:
            if not of_the_meta_device(error):
                raise
            raise Skip(f"it asks tensors for values; check has to compute a pair ({first_line(error)})") from None


def _meta(subject: Subject, side: str) -> Tensor:
    images = subject.images
    return torch.empty(2, getattr(images, side).channels, images.height, images.width)


@rule(*NETWORKS)
def compile_(subject: Subject) -> None:
    """torch.compile takes it, in one graph or several, and it answers the same."""
    built = network(subject).eval()
    batch = subject.batch()
    with torch.no_grad():
        torch.manual_seed(0)
        expected = answer(subject, built, batch)
        torch._dynamo.reset()
        built.compile(backend="eager")
        torch.manual_seed(0)
        try:
            got = answer(subject, built, batch)
        except torch._dynamo.exc.TorchDynamoException as error:
            cause = first_line(error)
            remedy = "write `forward` in torch operations, without branches on tensors' values and without printing"
            raise AssertionError(f"It does not compile ({cause}): {remedy}.") from None
    require(same(expected, got, 1e-5), "Compiled, it answers otherwise: `forward` must not change Python state.")


@rule(*NETWORKS)
def autocast(subject: Subject) -> None:
    """Its answer and its gradients are finite in bfloat16."""
    if emulates_bf16(torch.device(subject.device)):
        raise Skip(f"this machine's {torch.device(subject.device).type} emulates bf16, which takes very long")
    built = network(subject)
    with torch.autocast(torch.device(subject.device).type, dtype=torch.bfloat16):
        values = answer(subject, built, subject.batch())
    torch.autograd.backward([value.float().square().mean() for value in values])
    gradients = [parameter.grad for parameter in built.parameters() if parameter.grad is not None]
    finite = all(value.isfinite().all() for value in (*values, *gradients))
    require(finite, "Under bfloat16 autocast values are not finite: compute roots, exponentials and sums in float32.")


@rule(*NETWORKS)
def channels_last(subject: Subject) -> None:
    """It answers the same when images and weights lie channels last in memory."""
    built = network(subject).eval()
    batch = subject.batch()
    with torch.no_grad():
        if not same(answer(subject, built, batch), answer(subject, built, batch)):
            raise Skip("in eval mode it answers otherwise each time")
        expected = answer(subject, built, batch)
        lay_out(built, torch.channels_last)
        source, image = (each.contiguous(memory_format=torch.channels_last) for each in batch)
        got = answer(subject, built, (source, image))
    tolerance = 1e-3 if subject.device == "cpu" else 2e-2  # a GPU has other kernels for each of the two
    sentence = "Channels last it answers otherwise: use `reshape` and `flatten`, not strides."
    require(same(expected, got, tolerance), sentence)


@rule(*NETWORKS)
def batch_of_one(subject: Subject) -> None:
    """It learns from one pair at a time, as in the paper."""
    built = network(subject)
    try:
        values = answer(subject, built, subject.batch(count=1))
    except ValueError as error:
        remedy = "leave out the norm where one pixel is left, or use one that does not look at the batch"
        raise AssertionError(f"It can't be trained with one pair in a batch ({error}): {remedy}.") from None
    sentence = "Its answer to a batch of one has another batch size: don't squeeze dimensions."
    require(all(len(value) == 1 for value in values), sentence)


@rule(*NETWORKS)
def deterministic(subject: Subject) -> None:
    """In eval mode it answers the same twice, unless an attribute `stochastic = True` says otherwise."""
    built = network(subject).eval()
    batch = subject.batch()
    with torch.no_grad():
        first, second = answer(subject, built, batch), answer(subject, built, batch)
    stated = optional.stochastic(built)
    remedy = "use dropout modules and not functions, or state `stochastic = True`"
    require(stated or same(first, second), f"In eval mode it answers otherwise the second time: {remedy}.")


@rule(*NETWORKS)
def single_precision(subject: Subject) -> None:
    """Given images in single precision, it answers in single precision."""
    with torch.no_grad():
        values = answer(subject, network(subject), subject.batch())
    others = {str(value.dtype) for value in values} - {"torch.float32"}
    require(not others, f"Its answer is of {', '.join(others)}: make tensors of the dtype of what it is given.")


@rule(*NETWORKS)
def pairs_apart(subject: Subject) -> None:
    """In eval mode its answer to a pair does not depend on the other pairs of the batch."""
    built = network(subject).eval()
    source, image = subject.batch(count=3)
    with torch.no_grad():
        first, second = answer(subject, built, (source, image)), answer(subject, built, (source, image))
        if not same(first, second):
            raise Skip("in eval mode it answers otherwise each time")
        alone = answer(subject, built, (source[:1], image[:1]))
    sentence = "In eval mode a pair's answer changes with its neighbours in the batch: look for means over dimension 0"
    require(same([value[:1] for value in first], alone, 1e-3), f"{sentence}, and for views that mix pairs.")


@rule(*NETWORKS)
def extras(subject: Subject) -> None:
    """What it takes beside images is declared with it, and its answer depends on each of them."""
    built = network(subject).eval()
    count, known = SEEN[subject.kind], subject.component.extras
    missing = lacking(built, known, count)
    declared = f"p2pkit.{type(subject.component).__name__}(name, factory, extras={{NAME: p2pkit.VectorSpec(8)}})"
    require(not missing, f"Its forward asks for {_some(missing)}: say what that is, e.g. by {declared}.")
    wanted = [name for name in taken(built, count) if name in known]
    if not wanted:
        raise Skip("it takes images alone")
    batch = subject.batch()
    images, beside = batch[:count], subject.beside(batch[0])
    with torch.no_grad():
        for name in wanted:
            changed = {name: beside[name].flip(0)}
            answers = []
            for given in ({}, changed):
                torch.manual_seed(0)
                made = built(*images, **given)
                answers.append(made.logits[0] if subject.kind == "discriminator" else answered(made).fake)
            require(not torch.equal(*answers), f"Its answer is the same with another {name}: use it, or don't take it.")


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
