"""A program in 8 bits: how large its values become is measured on real images."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from p2pkit.programs.runtimes import Given
from p2pkit.untyped import Untyped

_CONVOLUTIONS = ("Conv", "ConvTranspose")


def quantise(file: Path, examples: Sequence[Given]) -> None:
    """Turn an ONNX program into one of 8 bits, in its place.

    Convolutions but the first and the last compute in 8 bits: activations of one scale and zero each, weights of one
    scale for each channel, in 7 bits, since products of 8 by 8 overflow where a processor has no instruction for them.

    Args:
        file: The program.
        examples: What it is given, by which the scales of activations are chosen.

    Raises:
        ImportError: onnxruntime is not installed.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as temporary:
        ready = Path(temporary, "ready.onnx")
        quant_pre_process(str(file), str(ready), skip_symbolic_shape=True)
        graph = onnx.load(str(ready)).graph
        convolutions = [node.name for node in graph.node if node.op_type in _CONVOLUTIONS]
        quantize_static(
            str(ready),
            str(file),
            _Reader(examples),
            op_types_to_quantize=[*_CONVOLUTIONS],
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=[convolutions[0], convolutions[-1]],
        )


class _Reader:
    """Examples, one after another, as onnxruntime asks for them."""

    def __init__(self, examples: Sequence[Given]) -> None:
        self.left = iter(examples)

    def get_next(self) -> Untyped:
        """Return what the program is given next; None after the last."""
        given = next(self.left, None)
        return None if given is None else dict(given)
