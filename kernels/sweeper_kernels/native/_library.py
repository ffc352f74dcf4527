"""The library of the kernels for CPUs: compiled where it is first used, and kept.

It is kept in the user's cache, under a name that follows from the source, the compiler and the
processor. Its OpenMP threads are torch's own: it is linked without an OpenMP runtime, so that it
takes the one that torch has loaded, and works with as many threads as torch does.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import platform
import shlex
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

from sweeper_kernels._environment import find_cache_folder, read_compiler_name

__all__ = ["load_library"]

_SOURCE = Path(__file__).with_name("kernels.c")
_FLAGS = ("-O3", "-march=native", "-funroll-loops", "-std=c11", "-fPIC", "-fopenmp")
# What clang makes of OpenMP needs a runtime of its own.
_COMPILERS = ("cc", "gcc")

_logger = logging.getLogger(__name__)


@lru_cache(maxsize=1)
def load_library() -> ctypes.CDLL | None:
    """Returns the library; None where it cannot be had, which is logged."""
    try:
        return ctypes.CDLL(str(_build()))
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or error
        _logger.warning(
            "the kernels for CPUs could not be compiled and loaded (%s): torch's operations take "
            "their place, several times slower; install a C compiler, or name it in CC",
            str(reason).strip(),
        )
        return None


def _build() -> Path:
    """Returns the compiled library, making it where the cache does not have it.

    Raises:
        OSError: there is no compiler, or no place to write to.
        RuntimeError: there is no home folder.
        subprocess.CalledProcessError: the compiler fails.
    """
    compiler = (
        shlex.split(read_compiler_name()) or list(filter(None, map(shutil.which, _COMPILERS)))[:1]
    )
    if not compiler:
        raise FileNotFoundError(f"no C compiler: none of {', '.join(_COMPILERS)} is on the path")
    source = _SOURCE.read_bytes()
    key = hashlib.sha256(
        source + repr((compiler, _FLAGS, _describe_processor())).encode()
    ).hexdigest()
    folder = find_cache_folder()
    path = folder / f"native-{key[:16]}.so"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    # Many processes may do this at once: each makes its own file, and moving it is atomic.
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        made, result = Path(temporary) / "native.o", Path(temporary) / "native.so"
        for command in (
            [*compiler, *_FLAGS, "-c", str(_SOURCE), "-o", str(made)],
            [*compiler, "-shared", str(made), "-o", str(result)],
        ):
            subprocess.run(command, check=True, capture_output=True, text=True)
        result.replace(path)
    return path


def _describe_processor() -> str:
    """Returns what -march=native depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")
