"""Builds the phantom: `build(folder)`, or as a program, which prints the words to put before a command.

A torch built for CUDA looks for its runtime, cuBLAS, cuDNN and the driver; it finds this instead. What torch names and
the phantom does not define returns 0, that is success.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
LIBRARIES = ("cuda", "cublas", "cudnn", "cusolver")
TOOLS = ("gcc", "g++", "nm")


def reason_against() -> str:
    """Say why the phantom can't be built here; nothing where it can."""
    import torch

    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        return f"there is no {missing[0]}"
    if torch.version.cuda is None:
        return f"torch {torch.__version__} is a CPU build"
    return "" if _headers() else "the headers of torch's CUDA are not installed"


def build(folder: Path) -> dict[str, str]:
    """Compile into a folder, and return the environment in which programs see the phantom."""
    import torch

    driver = folder / "driver"
    driver.mkdir(parents=True, exist_ok=True)
    compiler = [("gcc", "-fPIC", "-O1", "-w"), ("g++", "-fPIC", "-O1", "-w", "-std=c++17", "-shared")]
    _run(*compiler[0], "-shared", "-o", driver / "libcuda.so.1", HERE / "runtime" / "driver.c", "-ldl")
    (driver / "libcuda.so").unlink(missing_ok=True)
    (driver / "libcuda.so").symlink_to("libcuda.so.1")
    include = ["-I", HERE / "runtime", "-I", _headers()]
    _run("g++", "-c", *compiler[1][1:-1], *include, "-o", folder / "cuda.o", HERE / "runtime" / "cuda.cpp")
    defined = _names(folder / "cuda.o", "--defined-only")
    libraries = (Path(torch.__file__).parent / "lib").glob("*cuda*.so")
    wanted = [_names(each, "-D", "--undefined-only") for each in libraries]
    rest = {name for name in set().union(*wanted) - defined if name.startswith(LIBRARIES)}
    (folder / "rest.c").write_text("#include <stdlib.h>\n" + "".join(map(_nothing, sorted(rest))), encoding="utf-8")
    _run(*compiler[0], "-c", "-o", folder / "rest.o", folder / "rest.c")
    objects = (folder / "cuda.o", folder / "rest.o")
    _run(*compiler[1], "-o", folder / "libphantom.so", *objects, "-ldl", "-lpthread")
    path = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH", "")]))
    preload = {"LD_PRELOAD": str(folder / "libphantom.so"), "LD_LIBRARY_PATH": str(driver)}
    return {**preload, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def _headers() -> str:
    """Return the folder of the CUDA headers that torch's dependencies bring."""
    found = (path.parent for entry in sys.path for path in Path(entry).glob("nvidia/*/include/cuda_runtime_api.h"))
    return str(next(found, ""))


def _names(library: Path, *options: str) -> set[str]:
    lines = _run("nm", *options, library).splitlines()
    return {re.sub("@.*", "", line.split()[-1]) for line in lines if line}


def _nothing(name: str) -> str:
    """Return a function that does nothing; what makes a handle makes memory that is never looked at."""
    if "Create" in name:
        return f"int {name}(void **handle) {{ *handle = calloc(1, 2048); return 0; }}\n"
    return f"int {name}() {{ return 0; }}\n"


def _run(*command: str | Path) -> str:
    return subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    why_not = reason_against()
    if why_not:
        raise SystemExit(why_not)
    environment = build(Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()))
    print("env", *(f"{name}={value}" for name, value in environment.items()))
