"""The command line without its seconds of imports, for commands that train nothing."""

from __future__ import annotations

import functools
import multiprocessing
import os
import sys
import tempfile
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import NoReturn
from unittest import mock

from sweeper.cli import app
from sweeper.errors import BadInputError
from tests.drills.playground import Said

__all__ = ["NO_RAY", "Here"]

NO_RAY = "Ray is not started in this drill"
"""What a sweep says here that would train."""


@dataclass(frozen=True)
class Here:
    """Commands in processes that have everything imported; a sweep that would train is refused."""

    home: Path

    def say(self, *arguments: str) -> Said:
        """Runs a command to its end."""
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder) / "out", Path(folder) / "err"
            words = [*arguments, "--home", str(self.home)]
            process = _server().Process(target=_command, args=(words, out, err))
            process.start()
            process.join()
            code = process.exitcode
            assert code is not None
            said = [path.read_text(errors="replace") for path in (out, err)]
            return Said(code, out=said[0], err=said[1])


@functools.cache
def _server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    modules = ("sweeper.cli", "sweeper.execution.driver", "sweeper.report.page", "mlflow")
    context.set_forkserver_preload([*modules, "tests.drills.here"])
    return context


def _command(arguments: list[str], out: Path, err: Path) -> None:
    """Runs a command of the sweeper in this process, which ends with it."""
    for number, path in ((1, out), (2, err)):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", closefd=False)
    with (
        mock.patch("sweeper.execution.driver.connect", _refuse),
        # To draw a page takes seconds, each time in vain: what it says is in the report, too.
        mock.patch("sweeper.cli.commands.sweep.published", return_value=None),
    ):
        app(arguments)


def _refuse(*_: object, **__: object) -> NoReturn:
    raise BadInputError(NO_RAY)
