"""Generated programs, run in a subprocess that can do little harm.

What is meant is a program that a language model wrote to solve a task and that may be wrong in any
way: it loops, fills memory and disk, starts processes, deletes files, opens connections, replaces
what its tests rely on. On Linux with namespaces and seccomp the tests try each of these, also by C
code, as root and as another user. It may read whatever its user may read: what it reads stays in
its process, but for the 500 characters of its error. A program that searches its own process for
the means to report can still fake that its tests passed, and one that breaks the kernel can break
out; evaluate models that you suspect of either in a virtual machine.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Collection
from dataclasses import asdict, astuple, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from sweeper.errors import SweeperError
from sweeper.evaluation.sandbox import jail
from sweeper.evaluation.sandbox.system_calls import make_filter

__all__ = [
    "Isolation",
    "Limits",
    "ProgramOutcome",
    "isolation",
    "run_program",
    "warn_of_missing_walls",
]

logger = logging.getLogger(__name__)

WALLS = frozenset({"kernel", "hook"})
"""Namespaces and limits of the kernel, and an audit hook of Python that does not rely on them."""
MAX_ANSWER_BYTES = 1 << 16


@dataclass(frozen=True)
class Limits:
    """What a program may use."""

    cpu_time_s: int = 3
    """Processor time, at least 1. As long as HumanEval's own harness waits; that counts wall time,
    by which a program would fail because the machine is busy."""
    wall_time_s: float = 20.0
    """Time until it is killed all the same."""
    memory_bytes: int = 1 << 30
    """Address space."""
    file_bytes: int = 1 << 20
    """Size of each file that it writes."""
    folder_bytes: int = 1 << 24
    """Size of all of them, where the kernel isolates files."""


@dataclass(frozen=True)
class Isolation:
    """Which walls the kernel gave; where it gave none, Python's audit hook alone stands in."""

    network: bool
    """A filter that refuses sockets of all kinds, or a network namespace without any device."""
    files: bool
    """All file systems read-only but for a temporary folder in memory, and it is not root."""
    processes: bool
    """A filter and a limit that let it start no process; tried before the program runs."""

    @property
    def is_complete(self) -> bool:
        """Whether the kernel gave all walls."""
        return all(astuple(self))

    @property
    def dangers(self) -> str:
        """What a program that bypasses the audit hook can do; empty if the kernel isolates it."""
        all_of_them = {
            "open connections": self.network,
            "change or delete any file of this user": self.files,
            "fill the disk": self.files,
            "read what is in the environment of this user's processes": self.files,
            "start processes": self.processes,
        }
        return ", ".join(danger for danger, is_walled in all_of_them.items() if not is_walled)

    def __str__(self) -> str:
        """Returns it in words, for a report."""
        walls = {
            "network": (self.network, "closed by the kernel"),
            "files": (self.files, "read-only mounts"),
            "processes": (self.processes, "refused by the kernel"),
        }
        return ", ".join(
            f"{name}: {wall if is_had else 'audit hook only'}"
            for name, (is_had, wall) in walls.items()
        )


@dataclass(frozen=True)
class ProgramOutcome:
    """How a program ended."""

    end: Literal["passed", "failed", "timeout", "killed"]
    """``passed`` when it ran to its end without an exception."""
    detail: str
    """The exception, the limit or the signal; nothing where it passed."""
    isolation: Isolation

    @property
    def is_passed(self) -> bool:
        """Whether it ran to its end without an exception."""
        return self.end == "passed"


def run_program(
    program: str, *, limits: Limits | None = None, walls: Collection[str] = WALLS
) -> ProgramOutcome:
    """Returns how a Python program ends in the sandbox; what it prints is thrown away.

    It has the packages of this interpreter, an empty environment, a fixed hash seed, and a
    temporary folder as its working folder, which is gone afterwards.

    Args:
        program: source text.
        limits: what it may use; the standard ones where None.
        walls: ``kernel`` and ``hook``; fewer than both only to try one alone.

    Raises:
        SweeperError: the sandbox itself does not work on this machine.
    """
    allowed = limits or Limits()
    with tempfile.TemporaryDirectory(prefix="sweeper-sandbox-") as folder:
        request = {
            "program": program,
            "folder": folder,
            "limits": asdict(allowed),
            "walls": sorted(walls),
            "filter": make_filter().hex(),
            "token": secrets.token_hex(),
        }
        answer, error, is_late = _start(request, wall_time_s=allowed.wall_time_s)
    if "had" not in answer:
        if is_late:
            error = f"it did not start within {allowed.wall_time_s:g} s"
        raise SweeperError(
            f"the sandbox does not work on this machine: {error or 'it died at once'}; generated "
            "programs run only in a sandbox; evaluate on another machine, or leave HumanEval out"
        )
    isolated = dict.fromkeys(("network", "files", "processes"), False) | answer["had"]
    end, detail = _end(answer, allowed, is_late=is_late)
    return ProgramOutcome(end=end, detail=detail, isolation=Isolation(**isolated))


def isolation() -> Isolation:
    """Returns which walls the kernel of this machine gives.

    Raises:
        SweeperError: the sandbox does not work on this machine.
    """
    return run_program("").isolation


@cache
def warn_of_missing_walls() -> None:
    """Warns, once in a process, of what is not held where the kernel does not give all walls.

    Raises:
        SweeperError: the sandbox does not work on this machine.
    """
    found = isolation()
    if not found.is_complete:
        logger.warning(
            "this machine's kernel does not isolate generated programs (%s): the audit hook "
            "blocks calls through Python, but not through C code such as ctypes; a program can "
            "%s; evaluate untrusted models on Linux with user namespaces enabled, or in a virtual "
            "machine",
            found,
            found.dangers,
        )


def _start(request: dict[str, Any], *, wall_time_s: float) -> tuple[dict[str, Any], str, bool]:
    """Returns what the jail answers, its error output, and whether it had to be killed."""
    command = [sys.executable, "-s", "-P", "-B", str(Path(jail.__file__))]
    environment = {
        "PYTHONHASHSEED": "0",
        "LANG": "C.UTF-8",
        "TMPDIR": request["folder"],
        # The limit on processes counts threads: numpy must not start any.
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
    is_late = False
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=errors,
            env=environment,
            cwd=request["folder"],
            start_new_session=True,
        ) as process:
            try:
                process.communicate(json.dumps(request).encode(), timeout=wall_time_s)
            except subprocess.TimeoutExpired:
                is_late = True
            finally:
                _kill(process)
        answer = _read(output.fileno(), request["token"])
        errors.seek(0)
        lines = errors.read(MAX_ANSWER_BYTES).decode(errors="replace").splitlines()
    return answer, lines[-1] if lines else "", is_late


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kills the whole group of the jail. The program dies with its parent, wherever it went."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def _read(descriptor: int, token: str) -> dict[str, Any]:
    """Returns what the jail told, by what it tells; the program may have written lines as well."""
    found: dict[str, Any] = {}
    for line in os.pread(descriptor, MAX_ANSWER_BYTES, 0).splitlines():
        mark, _, rest = line.partition(b" ")
        if not secrets.compare_digest(mark, token.encode()):
            continue
        name, _, value = rest.decode(errors="replace").partition(" ")
        try:
            found.setdefault(name, json.loads(value))
        except ValueError:
            found.setdefault(name, "an error that has no text")
    return found


def _end(
    answer: dict[str, Any], limits: Limits, *, is_late: bool
) -> tuple[Literal["passed", "failed", "timeout", "killed"], str]:
    if is_late:
        return "timeout", f"it was killed after {limits.wall_time_s:g} s"
    ended = answer.get("ended")
    if ended is None:
        return "killed", "the sandbox around it was killed"
    status = ended["status"]
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == signal.SIGKILL and ended["cpu_time_s"] >= limits.cpu_time_s * 0.9:
            return "timeout", f"it used {limits.cpu_time_s} s of processor time"
        return "killed", f"signal {signal.Signals(number).name}"
    if "failed" in answer:
        return "failed", str(answer["failed"])
    if "passed" in answer and status == 0:
        return "passed", ""
    return "failed", f"it left with {os.WEXITSTATUS(status)}"
