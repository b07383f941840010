"""Code that asks the device for a value, found without a GPU: there the host would wait, and nothing be captured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from p2pkit.untyped import Untyped

_ATEN = torch.ops.aten
_READS = {  # operations that wait, or whose result's size depends on values
    _ATEN._local_scalar_dense,
    _ATEN.item,
    _ATEN.is_nonzero,
    _ATEN.equal,
    _ATEN.allclose,
    _ATEN.nonzero,
    _ATEN.masked_select,
    _ATEN.bincount,
    _ATEN.histc,
    _ATEN._unique2,
    _ATEN.unique_dim,
    _ATEN.unique_consecutive,
    _ATEN.repeat_interleave,
    _ATEN.linalg_inv,
    _ATEN._linalg_check_errors,
}
_INDEXED = {_ATEN.index, _ATEN.index_put, _ATEN.index_put_}
_METHODS = {Tensor.tolist, Tensor.numpy, Tensor.cpu, Tensor.__array__}  # what the dispatcher does not see on a CPU
_MADE = {torch.tensor, torch.as_tensor}


class HostRead(RuntimeError):
    """A value was asked of the device."""


@contextmanager
def no_host_read() -> Iterator[None]:
    """Context in which it is an error to ask the device for a value, whatever the device is.

    Tensors that are made within from nothing but numbers, without naming a device, are the host's own, and so is what
    is computed from these alone: they may be read. On a GPU they would be on the CPU too.

    Raises:
        HostRead: A value was asked for.
    """
    functions = _Functions()
    with _Operations(functions), functions:
        yield


class _Functions(TorchFunctionMode):
    """Tells the host's own tensors from the device's, and refuses what does not reach the dispatcher."""

    def __init__(self) -> None:
        super().__init__()
        self.within_host = False
        self._own: dict[int, StorageWeakRef] = {}  # held, so that no other memory gets the same number

    def __torch_function__(
        self,
        func: Callable[..., Untyped],
        types: Iterable[type],
        args: tuple[Untyped, ...] = (),
        kwargs: Mapping[str, Untyped] | None = None,
    ) -> Untyped:
        """Call one of torch's functions."""
        kwargs = kwargs or {}
        given = tree_leaves((args, dict(kwargs)))
        device = any(isinstance(each, torch.device) for each in given)
        if not device and self.hosts(given):
            return self._on_host(func, args, kwargs)
        if func in _METHODS or (func in _MADE and device):
            raise HostRead(getattr(func, "__name__", str(func)))
        made = func(*args, **kwargs)
        for tensor in (each for each in tree_leaves(made) if device and isinstance(each, Tensor)):
            self._own.pop(_number(tensor), None)  # brought to the device: on a CPU that is the same memory
        return made

    def hosts(self, given: Iterable[object]) -> bool:
        """Whether all tensors are the host's own."""
        return all(_number(each) in self._own for each in given if isinstance(each, Tensor))

    def _on_host(
        self, func: Callable[..., Untyped], args: tuple[Untyped, ...], kwargs: Mapping[str, Untyped]
    ) -> Untyped:
        before, self.within_host = self.within_host, True
        try:
            made = func(*args, **kwargs)
        finally:
            self.within_host = before
        for tensor in (each for each in tree_leaves(made) if isinstance(each, Tensor)):
            self._own[_number(tensor)] = StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]  # torch's
        return made


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's
    """Refuses operations that wait, also those within torch's own functions and in backward passes."""

    def __init__(self, functions: _Functions) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's
        self.functions = functions

    def __torch_dispatch__(
        self,
        func: Untyped,
        types: Iterable[type],
        args: tuple[Untyped, ...] = (),
        kwargs: Mapping[str, Untyped] | None = None,
    ) -> Untyped:
        """Compute an operation."""
        packet = func.overloadpacket
        masks = args[1] if packet in _INDEXED else ()
        masked = any(mask is not None and mask.dtype in (torch.bool, torch.uint8) for mask in masks)
        if (packet in _READS or masked) and not (self.functions.within_host or self.functions.hosts(tree_leaves(args))):
            raise HostRead(str(packet).rpartition(".")[2])
        return func(*args, **(kwargs or {}))


def _number(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)
