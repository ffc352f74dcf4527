"""A command of the sweeper in a process of its own: shown while it runs, its errors raised."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import IO, Any, TextIO

from sweeper._environment import without_terminal
from sweeper.cli.output import BAD_INPUT, INTERRUPTED
from sweeper.errors import BadInputError, SweeperError

__all__ = ["run_command"]

_PROGRAM = (sys.executable, "-m", "sweeper")
# Seconds that a sweep gets to stop after an interrupt.
_STOPPING_S = 60.0
# Lines of a command's messages that an error repeats.
_LAST_LINES = 5


def run_command(arguments: Sequence[str]) -> dict[str, Any]:
    """Runs a command of the sweeper, shows its messages, and returns its document.

    Raises:
        BadInputError: it refused its input.
        SweeperError: it ended without a document.
        KeyboardInterrupt: it was interrupted.
    """
    # A session of its own: an interrupt of the notebook reaches it once, by this process.
    child = subprocess.Popen(
        [*_PROGRAM, *arguments, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=without_terminal(),
    )
    assert child.stdout is not None
    assert child.stderr is not None
    messages: list[str] = []
    reader = threading.Thread(target=_pass_on, args=(child.stderr, messages, sys.stdout))
    reader.start()
    try:
        text = child.stdout.read()
        code = child.wait()
    except KeyboardInterrupt:
        _stop(child)
        raise
    finally:
        reader.join()
        child.stdout.close()
        child.stderr.close()
    if text:
        document: dict[str, Any] = json.loads(text)
        return document
    _raise(code, messages)
    raise AssertionError


def _pass_on(lines: IO[str], messages: list[str], shown: TextIO) -> None:
    """Shows what a command says, line by line, and keeps it."""
    for line in lines:
        messages.append(line)
        shown.write(line)
        shown.flush()


def _stop(child: subprocess.Popen[str]) -> None:
    """Interrupts a command; ends it where it does not stop."""
    child.send_signal(signal.SIGINT)
    try:
        child.wait(_STOPPING_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _raise(code: int, messages: Sequence[str]) -> None:
    """Raises what an exit code without a document stands for."""
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    said = "".join(messages)
    if code == BAD_INPUT:
        raise BadInputError(said.rpartition("error: ")[2].strip())
    raise SweeperError("".join(messages[-_LAST_LINES:]).strip() or f"the sweep ended with {code}")
