"""Rules for components on a GPU: nothing waits for the device, and a captured graph does the same."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from p2pkit.errors import first_line
from p2pkit.testing.rule import Skip, require, rule
from p2pkit.testing.rules.loss import SEED, Judge, roles, value_of
from p2pkit.testing.rules.networks import answer, network, same
from p2pkit.testing.subject import Subject
from p2pkit.types import View

Call = Callable[[], Sequence[Tensor]]


def on_gpu(subject: Subject) -> Subject:
    """Return the subject on the GPU, or skip where there is none."""
    if not torch.cuda.is_available():
        raise Skip("there is no CUDA device")
    if subject.pinned and not subject.device.startswith("cuda"):
        raise Skip(f"only {subject.device} was asked for")
    return replace(subject, device=subject.device if subject.device.startswith("cuda") else "cuda")


@rule("generator", "discriminator", "loss", "augmentation", "metric")
def no_host_sync(subject: Subject) -> None:
    """On a GPU it never waits for the device."""
    subject = on_gpu(subject)
    call = _call(subject)
    call()  # the first call may allocate and choose algorithms
    with _synchronisations_raise():
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
    call = _call(subject, training=False)
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch's
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):
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


@contextmanager
def _synchronisations_raise() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says once that it does not know every operation
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def _call(subject: Subject, *, training: bool = True) -> Call:
    """Return what the engine does with the component in a step, with all tensors made beforehand."""
    batch = subject.batch()
    if subject.kind in ("generator", "discriminator"):
        built = network(subject).train(training)
        return lambda: answer(subject, built, batch)
    built = subject.build()
    if subject.kind == "loss":
        images = subject.images
        torch.manual_seed(2)
        judge = Judge(images.source.channels + images.target.channels).to(subject.device)
        fake = functional.avg_pool2d(batch[1], 3, 1, 1).requires_grad_()
        return lambda: [_value(built, player, View(*batch, fake, judge)) for player in roles(built)]
    if subject.kind == "augmentation":
        return lambda: built(*batch)
    return lambda: built.update(batch[1], batch[1]) or ()


def _value(loss: object, player: str, view: View) -> Tensor:
    """Ask a loss; while a graph is captured the seed can't be set."""
    capturing = view.source.is_cuda and torch.cuda.is_current_stream_capturing()
    return getattr(loss, player)(view) if capturing else value_of(loss, player, view)
