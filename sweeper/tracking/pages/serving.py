"""A server that ends with the command that started it, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from sweeper.errors import BadInputError

__all__ = ["running", "serve"]

# Seconds in which a server comes up; MLflow's first start makes its database.
START_S = 120.0
# Seconds in which it ends when it is asked to.
END_S = 10.0
# Linux ends a process with its parent, however that ends, if the process asks for it (1 is
# PR_SET_PDEATHSIG). Its own workers end with the server.
_UNTIL_PARENT_ENDS = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    if os.getppid() != int(sys.argv[1]):
        sys.exit(1)
os.execvp(sys.argv[2], sys.argv[2:])
"""


def serve(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    name: str,
    health_url: str,
    opened: Callable[[], None],
    tell: Callable[[str], None],
) -> None:
    """Runs a server until an interrupt (Ctrl-C, and SIGTERM, which the program takes for one).

    Args:
        command: that starts it.
        environment: of its process.
        name: of the server, for messages.
        health_url: answers once it is up.
        opened: called then.
        tell: prints a line.

    Raises:
        BadInputError: it did not come up.
    """
    with running(command, environment) as server:
        try:
            _wait(server, health_url, name=name)
            opened()
            tell("Ctrl-C stops the server.")
            server.wait()
        except KeyboardInterrupt:
            tell("The server has ended.")


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a server and the processes that it starts; they end with the body, or with us."""
    # With a session of its own all of it can be ended, and Ctrl-C reaches us alone.
    with subprocess.Popen(
        [sys.executable, "-c", _UNTIL_PARENT_ENDS, str(os.getpid()), *command],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as server:
        try:
            yield server
        finally:
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(END_S)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)


def _wait(server: subprocess.Popen[bytes], url: str, *, name: str) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise BadInputError(
                f"{name} ended with exit code {server.returncode} before it answered; it must "
                "stay up; 'python -m sweeper doctor' shows what is installed, and another --port "
                "may be free"
            )
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except urllib.error.HTTPError:
            # It answers, if only that this is not for us.
            return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.2)
    raise BadInputError(
        f"{name} did not answer at {url} within {START_S:g} s; a server that is slower is taken "
        "for one that hangs; try again, or give another --port"
    )
