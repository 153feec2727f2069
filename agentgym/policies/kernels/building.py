"""Compiling the kernels, once for each kind of processor.

The library is kept in the user's cache folder under a name that says what it was made of, so that a home
that several machines share serves each of them its own.
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from ctypes import CDLL
from functools import cache
from pathlib import Path

import torch

from agentgym.policies.kernels import Kernels
from agentgym.policies.kernels.native import DTYPES, NativeKernels
from agentgym.policies.kernels.plain import PlainKernels

_SOURCE = Path(__file__).with_name("decoding.cpp")
# As fast as -ffast-math, but what is not finite is kept, and nothing is changed for the rest of the process.
_FLAGS = ["-std=c++17", "-O3", "-march=native", "-shared", "-fPIC", "-fopenmp"] + [
    f"-f{promise}" for promise in ("no-math-errno", "no-trapping-math", "no-signed-zeros", "associative-math")
]
_PATIENCE_S = 120.0
_log = logging.getLogger(__name__)


def kernels_for(device: torch.device, dtype: torch.dtype) -> Kernels:
    """Return the fastest kernels there are for tensors of this kind."""
    native = native_kernels() if device.type == "cpu" and dtype in DTYPES else None
    return native or PlainKernels()


@cache
def native_kernels() -> NativeKernels | None:
    """Load the compiled kernels, made now if need be; None, and why in the log, where they cannot be made."""
    compiler = shutil.which(os.environ.get("CXX") or "c++")
    if compiler is None:
        _log.info("No C++ compiler: decoding with torch's operations, which takes up to twice as long.")
        return None
    try:
        return NativeKernels(CDLL(str(_built(compiler, cache_folder()))))
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        _log.info("Decoding with torch's operations, which takes up to twice as long: %s", _told(error))
        return None


def cache_folder() -> Path:
    """Return where compiled kernels are kept; raises `RuntimeError` where the user has no home."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agentgym" / "kernels"


def _built(compiler: str, folder: Path) -> Path:
    """Return the library in `folder`; raises `OSError` or `SubprocessError` where it cannot be made."""
    source = _SOURCE.read_bytes()
    made_of = repr((source, compiler, _FLAGS, _processor())).encode()
    library = folder / f"decoding-{hashlib.sha256(made_of).hexdigest()[:16]}.so"
    if not library.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=folder) as own:
            unfinished = Path(own) / library.name
            command = [compiler, *_FLAGS, str(_SOURCE), "-o", str(unfinished)]
            subprocess.run(command, check=True, capture_output=True, timeout=_PATIENCE_S)
            unfinished.replace(library)
    return library


def _processor() -> str:
    """Return what tells processors apart for which the compiler makes different code."""
    known = Path("/proc/cpuinfo")
    lines = known.read_text("utf-8").splitlines() if known.exists() else []
    features = sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))})
    return " ".join([platform.machine(), platform.processor(), *features])


def _told(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return f"{error.cmd[0]} failed: {error.stderr.decode(errors='replace').strip()}"
    return str(error)
