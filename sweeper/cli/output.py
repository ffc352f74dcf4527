"""Where a command's result goes, and with which exit code it ends."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, NoReturn, TextIO
from unicodedata import category

import typer
from rich.console import Console, RenderableType

from sweeper.errors import BadInputError, SweeperError

__all__ = ["BAD_INPUT", "INTERRUPTED", "SOME_FAILED", "Output", "opened_output"]


# Exit codes; 0 says that all is well.
SOME_FAILED = 1
BAD_INPUT = 2
INTERRUPTED = 130


class _Console(Console):
    """A console whose reader may leave, as ``| head`` does: the command goes on without it."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        _forget(self.file)


def _forget(stream: IO[str]) -> None:
    """Sends what is still written to a stream nowhere."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


class Output:
    """Where a command's result goes: a document on standard output, or a view of it."""

    def __init__(self, *, as_json: bool, stdout: TextIO) -> None:
        self.as_json = as_json
        self._stdout = stdout
        # Names and values are shown as they are, also those with brackets in them.
        self.console = _Console(stderr=as_json, markup=False)

    def write(self, text: str) -> None:
        """Prints a part of a text at once, without what would command the terminal.

        Raises:
            typer.Exit: whoever read it has left; there is nothing more to do.
        """
        try:
            self._stdout.write(_visible(text, kept="\n\t"))
            self._stdout.flush()
        except BrokenPipeError:
            _forget(self._stdout)
            raise typer.Exit from None

    def show(self, document: object, view: RenderableType) -> None:
        """Prints the document or its view."""
        if self.as_json:
            try:
                self._stdout.write(json.dumps(document, indent=2, allow_nan=False) + "\n")
                self._stdout.flush()
            except BrokenPipeError:
                _forget(self._stdout)
        else:
            # Commands and paths are printed whole, however narrow the terminal is.
            self.console.print(view, crop=False)

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Says what takes long while the body runs.

        Args:
            what: is being done, such as ``comparing the trials``.
        """
        if self.console.is_terminal:
            with self.console.status(f"{what} …"):
                yield
        else:
            self.console.print(f"{what[:1].upper()}{what[1:]} …", highlight=False)
            yield


@contextmanager
def opened_output(as_json: bool) -> Iterator[Output]:
    """Yields where to print; turns bad input and an interrupt into a message and an exit code.

    With ``--json`` everything that libraries write to standard output, native ones included, goes
    to standard error. Standard output then holds only the document.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    # PEFT imports it wherever it is, and it warns that a kernel could be faster.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    # MLflow's client tries again by itself; what fails in the end is told in our words.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    stdout = sys.stdout
    if as_json:
        sys.stdout.flush()
        stdout = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
    try:
        yield Output(as_json=as_json, stdout=stdout)
    except _bad_input() as error:
        _end(f"error: {error}", BAD_INPUT)
    except SweeperError as error:
        _end(f"error: {error}", SOME_FAILED)
    except KeyboardInterrupt:
        _end("Interrupted.", INTERRUPTED)


def _visible(message: str, *, kept: str = "\n") -> str:
    """Returns a message without what would command the terminal: a file may hold anything."""
    return "".join(
        x if x in kept or category(x) not in {"Cc", "Cs"} else ascii(x)[1:-1] for x in message
    )


def _bad_input() -> tuple[type[Exception], ...]:
    """Returns what says that the input is wrong; looked up where something has been raised.

    The specs of methods take several times as long to import as all that ``--help`` needs.
    """
    from sweeper_adapters.methods import OwnMethodError

    return BadInputError, OwnMethodError


def _end(message: str, code: int) -> NoReturn:
    try:
        print(_visible(message), file=sys.stderr, flush=True)  # noqa: T201
    except BrokenPipeError:
        _forget(sys.stderr)
    raise typer.Exit(code)
