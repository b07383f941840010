"""What runs programs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import p2pkit
from p2pkit import DeviceError, ModelError
from p2pkit.programs.runtimes import known_runtime, runner


def test_a_runtime_that_is_not_there_is_named_with_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ModelError, match=r"openvino is not installed(?s:.)*pip install 'p2pkit\[openvino\]'"):
        known_runtime("openvino")
    with pytest.raises(ModelError, match=r"no runtime 'tensorrt'(?s:.)*torch, onnxruntime, openvino"):
        known_runtime("tensorrt")


@pytest.mark.parametrize(("program", "runtime"), [("openvino", "onnxruntime"), ("onnx", "torch")])
def test_a_runtime_does_not_read_every_format(monkeypatch, program, runtime):
    monkeypatch.setattr("p2pkit.programs.runtimes.known_runtime", lambda name: name)
    with pytest.raises(ModelError, match=rf"{runtime} does not read out/model, which is {program}(?s:.)*openvino"):
        runner(program, Path("out/model"), runtime)


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"device": "cuda"}, DeviceError, "what onnxruntime computes runs on a CPU here, not on cuda"),
        ({"engine.precision": "bf16"}, DeviceError, "onnxruntime computes in fp32 here, not in bf16"),
        ({"runtime": "tensorrt"}, ModelError, "there is no runtime 'tensorrt'"),
    ],
)
def test_what_a_runtime_can_not_give_is_refused_before_anything_is_written(monkeypatch, options, kind, text):
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr("p2pkit.translation.in_runtime", lambda *asked: pytest.fail("was written"))
    with pytest.raises(kind, match=text):
        p2pkit.load("demo", **{"runtime": "onnxruntime", **options})
