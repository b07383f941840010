"""Convolutions as matrix products, where a CPU is faster that way than with torch's own kernels.

Two cases are: images of a few pixels with many channels, where reading the weights is what takes the time; and stride
1 with many channels and pixels, where there is a way with fewer multiplications.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from p2pkit.engine.device.winograd import winograd
from p2pkit.untyped import Untyped

FEW = 64
"""Pixels of all images of a batch, where they are smallest, up to which strided convolutions go patch by patch."""
MANY = 900
"""Pixels from which on transforming the kernels is worth it."""
CHANNELS = 128
"""Channels, in and out, from which on transforming the images is worth it."""

Size = int | tuple[int, ...] | str


class CpuConvolutionMode(TorchFunctionMode):
    """While this is entered, convolutions in fp32 on a CPU are computed as products where that is faster.

    The results are torch's to within rounding, and so are the gradients. Networks are left as they are.
    """

    def __torch_function__(
        self,
        func: Callable[..., Untyped],
        types: Iterable[type],
        args: tuple[Untyped, ...] = (),
        kwargs: Mapping[str, Untyped] | None = None,
    ) -> Untyped:
        """Compute one of torch's functions."""
        kwargs = kwargs or {}
        faster = _FASTER.get(func)
        result = faster(*args, **kwargs) if faster else None
        return func(*args, **kwargs) if result is None else result


def _convolved(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor | None:
    """Return what `conv2d` does, by torch's names; None where torch is to do it itself."""
    step, border = _one(stride), _one(padding)
    if not _plain(input, weight, dilation, groups) or step is None or border is None:
        return None
    kernel = weight.shape[-1]
    height, width = ((side + 2 * border - kernel) // step + 1 for side in input.shape[2:])
    pixels = len(input) * height * width
    if pixels <= 0:
        return None
    if step > 1 and pixels <= FEW:
        patches = functional.unfold(input, kernel, padding=border, stride=step).transpose(1, 2)
        patches = patches.contiguous().flatten(0, 1)
        result = (patches @ weight.flatten(1).t()).view(len(input), height, width, -1).permute(0, 3, 1, 2)
    elif kernel in (3, 4) and step == 1 and pixels >= MANY and min(weight.shape[:2]) >= CHANNELS:
        result = winograd(input, weight, border)
    else:
        return None
    return _finished(result, bias, input)


def _transposed(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Tensor | None:
    """Return what `conv_transpose2d` does, by torch's names; None where torch is to do it itself."""
    step, border, more = _one(stride), _one(padding), _one(output_padding)
    if not _plain(input, weight, dilation, groups) or step is None or border is None or more is None:
        return None
    batch, channels, height, width = input.shape
    kernel = weight.shape[-1]
    if step == 1 or not 0 < batch * height * width <= FEW:
        return None
    patches = input.permute(0, 2, 3, 1).reshape(-1, channels) @ weight.flatten(1)
    if patches.requires_grad:  # it would come transposed, which makes the products after it several times as slow
        patches.register_hook(Tensor.contiguous)  # type: ignore[no-untyped-call]  # torch's
    patches = patches.view(batch, height * width, -1).transpose(1, 2)
    beyond = kernel - 2 * border + more
    size = ((height - 1) * step + beyond, (width - 1) * step + beyond)
    return _finished(functional.fold(patches, size, kernel, padding=border, stride=step), bias, input)


_FASTER: Mapping[Callable[..., Untyped], Callable[..., Tensor | None]] = {
    torch.conv2d: _convolved,
    torch.conv_transpose2d: _transposed,
}


def _plain(image: Tensor, weight: Tensor, dilation: Size, groups: int) -> bool:
    """Whether it is a convolution with square kernels, in fp32 on a CPU, without dilation or groups."""
    tensors = (image, weight)
    fits = all(tensor.dtype == torch.float32 and tensor.device.type == "cpu" and tensor.ndim == 4 for tensor in tensors)
    square = fits and weight.shape[2] == weight.shape[3]
    return square and _one(dilation) == 1 and groups == 1 and not torch.is_autocast_enabled("cpu")


def _one(size: Size) -> int | None:
    """Return a size that is the same in both directions."""
    if isinstance(size, int):
        return size
    return size[0] if not isinstance(size, str) and len(set(size)) == 1 else None


def _finished(result: Tensor, bias: Tensor | None, image: Tensor) -> Tensor:
    """Add the bias, and lie in memory as the image does."""
    if bias is not None:
        result = result + bias[:, None, None]
    last = image.is_contiguous(memory_format=torch.channels_last) and not image.is_contiguous()
    return result.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
