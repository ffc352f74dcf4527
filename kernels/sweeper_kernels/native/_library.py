"""The library of the kernels for CPUs: compiled where it is first used, and kept.

It is kept in the user's cache, under a name that follows from the source, the compiler and the
processor, and loaded from there only where nobody else can have written it. Its OpenMP threads are
torch's own: it is linked without an OpenMP runtime, so that it takes the one that torch has loaded,
and works with as many threads as torch does.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shlex
import shutil
import stat
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
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH

_logger = logging.getLogger(__name__)


@lru_cache(maxsize=1)
def load_library() -> ctypes.CDLL | None:
    """Returns the library; None where it cannot be had, which is logged."""
    try:
        return _load()
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or error
        _logger.warning(
            "the kernels for CPUs could not be compiled and loaded (%s): torch's operations take "
            "their place, several times slower; install a C compiler, or name it in CC",
            str(reason).strip(),
        )
        return None


def _load() -> ctypes.CDLL:
    """Returns the kept library, making it where there is none that is ours alone.

    Loading runs code, and anybody can compute the name: where others could have put or changed the
    file, it is compiled in a folder of this process alone.

    Raises:
        OSError: there is no compiler, or no place to write to.
        RuntimeError: there is no home folder.
        subprocess.CalledProcessError: the compiler fails.
    """
    compiler = _find_compiler()
    folder = find_cache_folder()
    problem = _claim(folder)
    if problem:
        _logger.warning(
            "the kernels for CPUs are compiled for this process alone: %s; remove that folder, or "
            "name one of your own in XDG_CACHE_HOME",
            problem,
        )
        with tempfile.TemporaryDirectory(prefix="sweeper-kernels-") as private:
            return ctypes.CDLL(str(_compile(compiler, Path(private) / "native.so")))
    key = hashlib.sha256(
        _SOURCE.read_bytes() + repr((compiler, _FLAGS, _describe_processor())).encode()
    ).hexdigest()
    # What the folder's name leads to now: a link above it may lead elsewhere later.
    path = folder.resolve() / f"native-{key[:16]}.so"
    return ctypes.CDLL(str(path if _is_ours(path) else _compile(compiler, path)))


def _find_compiler() -> list[str]:
    compiler = (
        shlex.split(read_compiler_name()) or list(filter(None, map(shutil.which, _COMPILERS)))[:1]
    )
    if not compiler:
        raise FileNotFoundError(f"no C compiler: none of {', '.join(_COMPILERS)} is on the path")
    return compiler


def _claim(folder: Path) -> str:
    """Makes the folder this user's alone; returns why it is not, and nothing where it is."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.is_symlink():
        return f"{folder} is a link"
    folder = folder.resolve()
    status = folder.stat()
    if status.st_uid != os.geteuid():
        return f"{folder} belongs to user {status.st_uid}"
    for parent in folder.parents:
        above = parent.stat()
        if above.st_uid not in {0, os.geteuid()}:
            return f"{parent} belongs to user {above.st_uid}"
        # In a folder like /tmp others can add files, and move none that is not theirs.
        if above.st_mode & _WRITABLE_BY_OTHERS and not above.st_mode & stat.S_ISVTX:
            return f"{parent} can be written by others"
    if status.st_mode & 0o077:
        folder.chmod(0o700)
    return ""


def _is_ours(path: Path) -> bool:
    """Whether there is such a file, and nobody else can have written it."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False
    return (
        stat.S_ISREG(status.st_mode)
        and status.st_uid == os.geteuid()
        and not status.st_mode & _WRITABLE_BY_OTHERS
    )


def _compile(compiler: list[str], path: Path) -> Path:
    """Compiles the library to this path, in the place of what is there, and returns the path."""
    # Many processes may do this at once: each makes its own file, and moving it is atomic.
    with tempfile.TemporaryDirectory(dir=path.parent) as temporary:
        made, result = Path(temporary) / "native.o", Path(temporary) / "native.so"
        for command in (
            [*compiler, *_FLAGS, "-c", str(_SOURCE), "-o", str(made)],
            [*compiler, "-shared", str(made), "-o", str(result)],
        ):
            subprocess.run(command, check=True, capture_output=True, text=True)
        # The linker leaves what the umask says, which may let a group write.
        result.chmod(0o700)
        result.replace(path)
    return path


def _describe_processor() -> str:
    """Returns what -march=native depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")
