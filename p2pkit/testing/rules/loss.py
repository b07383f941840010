"""Rules for losses."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from p2pkit.components import Factory, Loss
from p2pkit.engine.step.objective import PlayerName
from p2pkit.errors import first_line
from p2pkit.testing.rule import Skip, require, rule
from p2pkit.testing.subject import Subject
from p2pkit.types import Discriminate, Verdict, View, optional
from p2pkit.untyped import Made, Untyped

T = TypeVar("T")

PLAYERS: tuple[PlayerName, ...] = ("generator", "discriminator")
SEED = 5


class Judge(nn.Module):
    """A small smooth discriminator, of which features and logits are easily told apart."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, 4, 4, 2, 1)
        self.last = nn.Conv2d(4, 1, 4, 2, 1)

    def forward(self, source: Tensor, image: Tensor, **extras: Tensor) -> Verdict:
        """Judge by two scales."""
        seen = torch.cat([source, image], 1)
        features = [self.first(images).tanh() for images in (seen, seen[..., ::2, ::2])]
        return Verdict(tuple(self.last(feature) for feature in features), tuple((feature,) for feature in features))


class _KeepDouble(TorchFunctionMode):
    """Lets `float()` keep double precision, so that a loss that computes in float32 can be differentiated in double."""

    def __torch_function__(self, func: Untyped, types: Untyped, args: Untyped = (), kwargs: Untyped = None) -> Untyped:
        if func is Tensor.float and args[0].dtype == torch.float64:
            return args[0]
        return func(*args, **(kwargs or {}))


def roles(loss: Made) -> list[PlayerName]:
    """Return the players that a loss has a method for."""
    return [player for player in PLAYERS if optional.TURNS[player](loss) is not None]


def value_of(loss: Made, player: PlayerName, view: View) -> Tensor:
    """Ask a loss for its value in one player's turn, always with the same random numbers."""
    torch.manual_seed(SEED)
    return optional.turn(loss, player)(view)


def judge_of(subject: Subject) -> nn.Module:
    """Return the discriminator that a loss is tried with: its own choice, or a small one."""
    torch.manual_seed(2)
    own, images = _own_judge(subject), subject.images
    judge: nn.Module = own(images) if own else Judge(images.source.channels + images.target.channels)
    return judge.to(subject.device).eval()  # in training mode some change with each call


def _own_judge(subject: Subject) -> Factory | None:
    return subject.component.judge if isinstance(subject.component, Loss) else None


def _images(subject: Subject, count: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Return source, a target without noise, and a fake that is the target with noise."""
    source, fake = subject.batch(count=count)
    target = smooth(fake)
    return source, target, torch.lerp(target, fake, 0.7)


def smooth(images: Tensor) -> Tensor:
    """Return images of large soft blobs, in [-0.9, 0.9]."""
    small = nn.functional.adaptive_avg_pool2d(images, 4)
    blobs = nn.functional.interpolate(small, images.shape[2:], mode="bicubic", align_corners=False)
    return blobs / blobs.abs().amax((1, 2, 3), keepdim=True).clamp_min(1e-3) * 0.9


def call(subject: Subject, loss: Made) -> list[Tensor]:
    """Ask a loss once for each of its roles, and return the values."""
    images, judge = _images(subject), judge_of(subject)
    return [value_of(loss, player, view_of(subject, loss, *images, judge)).detach() for player in roles(loss)]


def view_of(subject: Subject, loss: Made, source: Tensor, target: Tensor, fake: Tensor, judge: Discriminate) -> View:
    """Return a view with a generator that can be asked: it gives back its source, in the target's channels.

    Args:
        subject: The loss's component, which says what stands beside the images.
        loss: The loss, which may make some of it.
        source: Sources.
        target: Targets.
        fake: What a generator made of the sources.
        judge: The discriminator.
    """
    channels = target.shape[1]

    def generate(source: Tensor, **extras: Tensor) -> Tensor:
        made = source.mean(1, keepdim=True).expand(-1, channels, -1, -1)
        return 0.9 * made + 0.1 * fake.mean((2, 3), keepdim=True)

    beside = subject.beside(source) if subject.component.extras else {}
    encode = optional.encode(loss)
    torch.manual_seed(SEED)
    made = encode(source, target, beside) if encode is not None else {}
    return View(source, target, fake, judge, generate=generate, extras=beside, made=made)


def _draws(subject: Subject, loss: Made, player: PlayerName) -> bool:
    """Tell whether a loss comes to another value each time, so that a single one says little."""
    source, target, fake = _images(subject)
    view, values = view_of(subject, loss, source, target, fake, judge_of(subject)), []
    for seed in (SEED, SEED + 1):
        torch.manual_seed(seed)
        values.append(float(optional.turn(loss, player)(view).detach()))
    return values[0] != values[1]


@rule("loss")
def mean_of_pairs(subject: Subject) -> None:
    """Its value is a mean over pairs: a batch that is doubled has the same value."""
    loss, judge = subject.build(), judge_of(subject)
    for player in roles(loss):
        if _draws(subject, loss, player):
            raise Skip("its value is another one each time")
        once = _images(subject)
        twice = [image.repeat(2, 1, 1, 1) for image in once]
        views = [view_of(subject, loss, source, target, fake, judge) for source, target, fake in (once, twice)]
        one, two = (float(value_of(loss, player, view).detach()) for view in views)
        sentence = f"Its {player}(view) is {one:.4g} for a batch, and {two:.4g} for the same pairs twice"
        require(abs(one - two) <= 1e-3 * abs(one) + 1e-6, f"{sentence}: take the mean over the batch, not the sum.")


@rule("loss")
def every_pair(subject: Subject) -> None:
    """Every pair of a batch has a part in its value."""
    loss, judge = subject.build(), judge_of(subject)
    for player in roles(loss):
        if _draws(subject, loss, player):
            raise Skip("its value is another one each time")
        source, target, fake = _images(subject)
        whole = value_of(loss, player, view_of(subject, loss, source, target, fake, judge)).detach()
        for index in range(len(fake)):
            other_target, other_fake = target.clone(), fake.clone()
            for image in (other_target, other_fake):
                image[index] = image[index].flip(-1) * 0.5
            value = value_of(loss, player, view_of(subject, loss, source, other_target, other_fake, judge)).detach()
            sentence = f"Its {player}(view) does not change when pair {index + 1} of {len(fake)} does"
            require(not torch.equal(value, whole), f"{sentence}: look at all pairs of the batch.")


@rule("loss")
def roles_(subject: Subject) -> None:
    """It has a method `generator(view)`, `discriminator(view)`, or both."""
    require(roles(subject.build()), "Give it a method generator(view), discriminator(view), or both.")


@rule("loss")
def encodes(subject: Subject) -> None:
    """What its `encode` makes has a value for each pair, of the form of the extra whose place it takes."""
    source, target, _ = _images(subject)
    encode, beside = optional.encode(subject.build()), subject.beside(source)
    if encode is None:
        raise Skip("it has no method `encode`")
    for name, value in encode(source, target, beside).items():
        wanted = tuple(beside[name].shape) if name in beside else (len(source), *value.shape[1:])
        form = tuple(value.shape)
        require(form == wanted, f"Its encode makes {name!r} of shape {form}, where {wanted} is wanted.")


@rule("loss")
def scalar(subject: Subject) -> None:
    """Its value is one finite number, a tensor without dimensions."""
    loss, judge = subject.build(), judge_of(subject)
    for player in roles(loss):
        value = value_of(loss, player, view_of(subject, loss, *_images(subject), judge))
        form = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        sentence = f"Its {player}(view) returns {form}, where a tensor without dimensions is wanted: take the mean."
        require(isinstance(value, Tensor) and value.shape == (), sentence)
        require(value.isfinite(), f"Its {player}(view) is {float(value.detach())} for ordinary images.")


@rule("loss")
def gradient(subject: Subject) -> None:
    """Its gradient reaches who learns: the fake or what it encodes, or the weights of a discriminator."""
    loss, judge = subject.build(), judge_of(subject)
    own = list(loss.parameters()) if isinstance(loss, nn.Module) else []
    for player in roles(loss):
        source, target, fake = _images(subject)
        fake.requires_grad_(player == "generator")
        view = view_of(subject, loss, source, target, fake, judge)
        encoded = [extra for extra in view.extras.values() if extra.requires_grad]
        learning = [fake, *encoded] if player == "generator" else [*judge.parameters(), *own]
        value = value_of(loss, player, view)
        found: list[Tensor | None] = [None]
        if value.requires_grad:
            found = list(torch.autograd.grad(value, learning, allow_unused=True))
        reached = [each for each in found if each is not None and each.abs().max() > 0]
        whom = "the fake" if player == "generator" else "the discriminator"
        require(reached, f"The gradient of {player}(view) does not reach {whom}: don't detach, round or use .item().")
        require(all(each.isfinite().all() for each in reached), f"The gradient of {player}(view) is not finite.")


@rule("loss")
def at_target(subject: Subject) -> None:
    """Value and gradient stay finite when the fake equals the target."""
    loss, judge = subject.build(), judge_of(subject)
    if "generator" not in roles(loss):
        raise Skip("it is not for the generator")
    source, target, _ = _images(subject)
    fake = target.clone().requires_grad_()
    value = value_of(loss, "generator", view_of(subject, loss, source, target, fake, judge))
    if not value.requires_grad:
        raise Skip("it has no gradient, see the rule `gradient`")
    (found,) = torch.autograd.grad(value, fake, allow_unused=True)
    finite = value.isfinite() and (found is None or found.isfinite().all())
    sentence = "Value or gradient is not finite for a fake that equals its target: add a small number under roots."
    require(finite, sentence)


@rule("loss")
def gradcheck(subject: Subject) -> None:
    """Its gradient is its value's slope, in double precision, unless an attribute `detached = True` says otherwise."""
    loss, judge = subject.build(), judge_of(subject).double()
    if optional.detached(loss):
        raise Skip("it states `detached = True`: a part of its value is meant to be taken as constant")
    loss = loss.double() if isinstance(loss, nn.Module) else loss
    for player in roles(loss):
        source, target, fake = (image.double() for image in _images(subject))
        learning = fake if player == "generator" else judge.get_parameter(_last_weight(judge))
        function = _function(subject, loss, player, source, target, fake, judge)
        with _KeepDouble(), _double_by_default(), _explained():
            if function(learning).dtype != torch.float64:
                raise Skip("it computes in single precision, where finite differences tell nothing")
            learning = learning.detach().clone().requires_grad_()
            if not function(learning).requires_grad:
                raise Skip("it has no gradient, see the rule `gradient`")
            right = all(_agree(*_slopes(function, learning, draw)) for draw in range(3))
        sentence = f"The gradient of {player}(view) is not the slope of its value: look at detach() and your own"
        remedy = "autograd functions, or state `detached = True` where a part is meant to be taken as constant"
        require(right, f"{sentence} {remedy}.")


@contextmanager
def _double_by_default() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def _explained() -> Iterator[None]:
    """Skip where weights that are out of reach are of another precision."""
    try:
        yield
    except RuntimeError as error:
        if "dtype" in str(error) or "same type" in str(error) or "Double" in str(error):
            raise Skip(f"it can't be computed in double precision ({first_line(error)})") from None
        raise


def _slopes(function: Callable[[Tensor], Tensor], at: Tensor, draw: int) -> tuple[float, float]:
    """Return the slope in a random direction by the gradient, and by a central difference."""
    direction = torch.randn(at.shape, generator=torch.Generator().manual_seed(draw)).to(at)
    direction /= torch.linalg.vector_norm(direction)
    (found,) = torch.autograd.grad(function(at), at, allow_unused=True, materialize_grads=True)
    step = 1e-6 * direction
    ahead, behind = (function(at.detach() + side * step).detach() for side in (1, -1))
    return float((found * direction).sum()), float((ahead - behind) / 2e-6)


def _agree(one: float, other: float) -> bool:
    return abs(one - other) <= 1e-3 * max(abs(one), abs(other)) + 1e-9


def _function(
    subject: Subject, loss: Made, player: PlayerName, source: Tensor, target: Tensor, fake: Tensor, judge: nn.Module
) -> Callable[[Tensor], Tensor]:
    """Return the value as a function of what learns."""
    last = _last_weight(judge)

    def of_image(image: Tensor) -> Tensor:
        own = _copied(loss)
        return value_of(own, player, view_of(subject, own, source, target, image, judge))

    def of_weight(weight: Tensor) -> Tensor:
        def discriminate(source: Tensor, image: Tensor, **extras: Tensor) -> Verdict:
            found = torch.func.functional_call(judge, {last: weight}, (source, image))
            assert isinstance(found, Verdict)
            return found

        own = _copied(loss)
        return value_of(own, player, view_of(subject, own, source, target, fake, discriminate))

    return of_image if player == "generator" else of_weight


def _last_weight(judge: nn.Module) -> str:
    return [name for name, value in judge.named_parameters() if value.ndim > 1][-1]


def _copied(loss: T) -> T:
    """Return a copy of a loss, whose state may move with each call; or the loss, where it can't be copied."""
    try:
        return copy.deepcopy(loss)
    except Exception:  # whatever a plugin keeps
        return loss


@rule("loss", builds=False)
def no_weight(subject: Subject) -> None:
    """It has no weight among its parameters: that is the run's, as `losses.NAME.weight`."""
    pattern = re.compile(r"(loss_?)?weight|lambda(_.*)?|lam|coefficient")
    found = [key for key in subject.component.parameters.model_fields if pattern.fullmatch(key)]
    require(not found, f"Leave out {', '.join(found)}: a run weights the term itself, by `losses.NAME.weight`.")


@rule("loss")
def right_sign(subject: Subject) -> None:
    """A better fake does not cost the generator more, nor does a righter verdict cost the discriminator more."""
    loss = subject.build()
    if any(_draws(subject, loss, player) for player in roles(loss)):
        raise Skip("its value is another one each time")
    if _own_judge(subject):
        raise Skip("it reads more of a verdict than its logits")
    source, target, fake = _images(subject)
    judged = {1: _scripted(target, fake, 1.0), 0: _scripted(target, fake, 0.0), -1: _scripted(target, fake, -1.0)}
    if "generator" in roles(loss):
        steps = [torch.lerp(target, fake, share) for share in (0.05, 0.5, 1.0)]
        costs = [_cost(loss, "generator", view_of(subject, loss, source, target, step, judged[0])) for step in steps]
        rising = all(a <= b + 1e-5 * (1 + abs(b)) for a, b in pairwise(costs))
        shown = ", ".join(f"{cost:.4g}" for cost in costs)
        sentence = f"Fakes that leave the target cost {shown}, and a worse one has to cost more: turn its sign"
        require(rising, f"{sentence}, or look at what it compares.")
        believed, caught = (
            _cost(loss, "generator", view_of(subject, loss, source, target, fake, judged[m])) for m in (-1, 1)
        )
        sentence = f"A fake that is taken for real costs the generator {believed:.4g}, one that is found out"
        require(believed <= caught + 1e-5 * (1 + abs(caught)), f"{sentence} {caught:.4g}: turn its sign.")
    if "discriminator" in roles(loss):
        right, wrong = (
            _cost(loss, "discriminator", view_of(subject, loss, source, target, fake, judged[m])) for m in (1, -1)
        )
        sentence = f"Right verdicts cost the discriminator {right:.4g}, wrong ones {wrong:.4g}: turn its sign."
        require(right <= wrong + 1e-5 * (1 + abs(wrong)), sentence)


def _cost(loss: Made, player: PlayerName, view: View) -> float:
    return float(value_of(loss, player, view).detach())


def _scripted(target: Tensor, fake: Tensor, certainty: float) -> Discriminate:
    """Return a discriminator whose logits are `certainty` for the targets and minus that for the fakes."""
    apart = (target - fake).detach()
    middle = ((target + fake) / 2).detach()
    size = apart.square().sum((1, 2, 3), keepdim=True)

    def discriminate(source: Tensor, image: Tensor, **extras: Tensor) -> Verdict:
        place = 2 * ((image - middle) * apart).sum((1, 2, 3), keepdim=True) / size
        return Verdict((certainty * place,), ((image,),))

    return discriminate
