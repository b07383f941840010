"""What processes exchange of a network: gradients in its backward pass, buffers before it is judged."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from p2pkit.config import Part
from p2pkit.engine.distributed.collectives import is_initialized
from p2pkit.errors import of_the_meta_device
from p2pkit.extras.calling import SEEN, answered, chosen, taken
from p2pkit.extras.values import blank
from p2pkit.types import Made, PairSpec, Verdict
from p2pkit.untyped import Untyped


def wrap_ddp(
    network: nn.Module, part: Part, images: PairSpec, generator: Part | None = None
) -> DistributedDataParallel | None:
    """Return a network's other self, whose backward pass leaves the gradient's mean over all processes.

    Args:
        network: The network.
        part: What made it.
        images: What the run's images are.
        generator: What makes fakes for a discriminator, and with them what else it may be given.

    Returns:
        torch's wrapper; None where a process is on its own.
    """
    if not is_initialized():
        return None
    known = inspect.signature(DistributedDataParallel).parameters
    name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"  # before torch 2.15
    unused = has_unused_parameters(part, images, generator)
    options: dict[str, Untyped] = {name: False, "find_unused_parameters": unused}
    return DistributedDataParallel(network, gradient_as_bucket_view=True, **options)


@torch.no_grad()
def average_gradients(network: nn.Module) -> None:
    """Leave the gradient's mean over all processes, for a network that is not asked as a whole."""
    if is_initialized():
        for parameter in network.parameters():
            if parameter.grad is not None:
                dist.all_reduce(parameter.grad)
                parameter.grad /= dist.get_world_size()


@torch.no_grad()
def broadcast_buffers(network: nn.Module) -> None:
    """Give a network the main process's buffers, such as the statistics of batch norm, which each process gathers."""
    if is_initialized():
        for buffer in network.buffers():
            shared = buffer.contiguous()
            dist.broadcast(shared, src=0)
            buffer.copy_(shared)


def has_unused_parameters(part: Part, images: PairSpec, generator: Part | None = None) -> bool:
    """Whether a network has parameters that nothing it makes depends on.

    It is seen on the meta device, without computing; of a network that asks tensors for their values on the CPU.

    Args:
        part: What makes the network.
        images: What the run's images are.
        generator: What makes fakes for a discriminator.
    """
    try:
        return _has_unused(part, images, generator, "meta")
    except Exception as error:
        if not of_the_meta_device(error):
            raise
    return _has_unused(part, images, generator, "cpu")


def _has_unused(part: Part, images: PairSpec, generator: Part | None, device: str) -> bool:
    with torch.device(device), torch.random.fork_rng(devices=[]):
        network = part.build(images)
        sides = (images.source, images.target)
        source, target = (torch.zeros(2, spec.channels, *images.size) for spec in sides)
        count, extras = SEEN[part.component.kind], blank(images, 2)
        if generator is not None and taken(network, count).keys() - extras.keys():
            asked = generator.build(images)
            extras |= answered(asked(source, **chosen(asked, extras))).extras
        output = network(*(source, target)[:count], **chosen(network, extras, count))
    reached = set(map(id, _leaves(_tensors(output))))
    return any(parameter.requires_grad and id(parameter) not in reached for parameter in network.parameters())


def _tensors(output: Tensor | Made | Verdict) -> list[Tensor]:
    if not isinstance(output, Verdict):
        made = answered(output)
        return [made.fake, *made.extras.values()]
    return [*output.logits, *(tensor for scale in output.features for tensor in scale)]


def _leaves(tensors: list[Tensor]) -> Iterator[Tensor]:
    """Yield the parameters that tensors were made from."""
    waiting = [tensor.grad_fn for tensor in tensors]
    seen = set(waiting)
    while waiting:
        node = waiting.pop()
        if node is None:
            continue
        if hasattr(node, "variable"):
            yield node.variable
        before = {function for function, _ in node.next_functions} - seen
        seen |= before
        waiting += before
