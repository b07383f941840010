"""Rules for components on a GPU: nothing waits for the device, and a captured graph does the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from p2pkit.engine.step.cuda_graph import capturing, sync_debug
from p2pkit.engine.step.objective import PlayerName
from p2pkit.errors import first_line
from p2pkit.testing.rule import Skip, require, rule
from p2pkit.testing.rules.loss import SEED, judge_of, roles, value_of, view_of
from p2pkit.testing.rules.networks import answer, network, same
from p2pkit.testing.rules.optimizer import Trial
from p2pkit.testing.subject import Subject
from p2pkit.types import View, optional

Call = Callable[[], Sequence[Tensor]]


def on_gpu(subject: Subject) -> Subject:
    """Return the subject on the GPU, or skip where there is none."""
    if not torch.cuda.is_available():
        raise Skip("there is no CUDA device")
    if subject.pinned and not subject.device.startswith("cuda"):
        raise Skip(f"only {subject.device} was asked for")
    return replace(subject, device=subject.device if subject.device.startswith("cuda") else "cuda")


@rule("generator", "discriminator", "loss", "augmentation", "optimizer")
def no_host_sync(subject: Subject) -> None:
    """On a GPU it never waits for the device."""
    subject = on_gpu(subject)
    call = call_of(subject)
    call()  # the first call may allocate and choose algorithms
    with sync_debug("error"):
        try:
            call()
        except RuntimeError as error:
            if "synchroniz" not in str(error).lower():
                raise
            remedy = "leave out .item(), .cpu(), .tolist(), boolean indexing, and branches on a tensor's value"
            raise AssertionError(f"It waits for the GPU: {remedy}.") from error


@rule("generator", "discriminator", "loss")
def captured(subject: Subject) -> None:
    """Captured in a CUDA graph and replayed, it does the same."""
    subject = on_gpu(subject)
    call = call_of(subject, training=False)
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch's
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    try:
        with capturing(graph):
            replayed = call()
    except RuntimeError as error:
        cause = first_line(error)
        raise AssertionError(f"It can't be captured in a CUDA graph ({cause}): don't wait for the GPU.") from error
    expected = [value.detach().clone() for value in call()]
    torch.manual_seed(SEED)
    graph.replay()
    torch.cuda.synchronize()
    sentence = "Replayed from a CUDA graph, it gives something else: make no decision in Python while it runs."
    require(same(expected, list(replayed), 1e-2), sentence)


def call_of(subject: Subject, *, training: bool = True) -> Call:
    """Return what the engine does with the component in a step, with all tensors made beforehand."""
    if subject.kind == "optimizer":
        return _update_of(subject)
    batch = subject.batch()
    if subject.kind in ("generator", "discriminator"):
        built = network(subject).train(training)
        return lambda: answer(subject, built, batch)
    built = subject.build()
    if subject.kind == "loss":
        judge = judge_of(subject)
        fake = functional.avg_pool2d(batch[1], 3, 1, 1).requires_grad_()
        return lambda: [_value(built, player, view_of(subject, built, *batch, fake, judge)) for player in roles(built)]
    return lambda: built(*batch)


def _update_of(subject: Subject) -> Call:
    """Return an optimiser's step by gradients that are there."""
    trial = Trial(subject)
    for weight in trial.network.parameters():
        weight.grad = torch.ones_like(weight)

    def update() -> Sequence[Tensor]:
        trial.optimizer.step()
        return [weight.detach() for weight in trial.network.parameters()]

    return update


def _value(loss: object, player: PlayerName, view: View) -> Tensor:
    """Ask a loss; while a graph is captured the seed can't be set."""
    capturing = view.source.is_cuda and torch.cuda.is_current_stream_capturing()
    return optional.turn(loss, player)(view) if capturing else value_of(loss, player, view)
