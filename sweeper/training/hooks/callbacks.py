"""The callbacks of a trial: a user's code that sees its steps and evaluations, and may stop it."""

from __future__ import annotations

import importlib
import io
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from sweeper._text import shorten
from sweeper.distributed import on_first_worker
from sweeper.errors import TrialError
from sweeper.experiment.documents.callbacks import callback_name
from sweeper.experiment.documents.python_files import PythonName
from sweeper_adapters.python_files import run_file

__all__ = ["CALLBACKS_LOG", "CALLED", "Callbacks"]

CALLBACKS_LOG = "callbacks.log"
"""Name of the file in a trial's folder that has what its callbacks print."""

CALLED = ("on_step", "on_evaluation")
"""Methods that are called where a callback has them."""

_HASHES: dict[str, str] = {}
"""Hash of the file of each module that this process has imported for a callback."""


class Callbacks:
    """The callbacks of one trial, on worker 0; without any, nothing is done or exchanged.

    All workers call each method together: what a callback raises fails the trial on all of them.
    """

    def __init__(self, names: Sequence[str], *, log: Path) -> None:
        """Makes the callbacks.

        Args:
            names: ``FILE.py:CLASS`` or ``PACKAGE.MODULE:CLASS`` of each.
            log: grows by what they print; the output of a worker is seen nowhere else.

        Raises:
            TrialError: one cannot be made, or is no callback.
        """
        self._names = tuple(names)
        self._log = log
        self._made: dict[str, Any] = {}
        self._wants_stop = False
        if names:
            on_first_worker(self._make, failure=_failed)

    def after_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Tells each callback of an optimiser step.

        Args:
            step: steps done, from 1.
            metrics: of the step, ``train_loss`` among them; looked at on worker 0 alone.

        Raises:
            TrialError: a callback has raised.
        """
        if self._names:
            on_first_worker(
                lambda: self._tell("on_step", step, metrics.get("train_loss"), dict(metrics)),
                failure=_failed,
            )

    def after_evaluation(self, step: int, metrics: Mapping[str, float]) -> bool:
        """Tells each callback of an evaluation; returns whether one of them wants the trial to end.

        Args:
            step: steps done.
            metrics: of the evaluation.

        Raises:
            TrialError: a callback has raised.
        """
        if not self._names:
            return False

        def tell() -> bool:
            self._tell("on_evaluation", step, dict(metrics))
            return self._wants_stop

        return on_first_worker(tell, failure=_failed)

    def _make(self) -> None:
        for name in self._names:
            found = self._guarded(name, "being made", partial(_made, name))
            if not any(callable(getattr(found, method, None)) for method in CALLED):
                raise TrialError(
                    f"callback {name} has neither of the methods {', '.join(CALLED)}; it must have "
                    "one of them at least; write it"
                )
            self._made[name] = found

    def _tell(self, method: str, *arguments: object) -> None:
        for name, made in self._made.items():
            called = getattr(made, method, None)
            if called is not None:
                answer = self._guarded(name, method, partial(called, *arguments))
                self._wants_stop |= _is_stop(answer, name=name, method=method)

    def _guarded(self, name: str, when: str, work: Callable[[], Any]) -> Any:  # noqa: ANN401
        try:
            with _printing_to(self._log):
                return work()
        # An exit of the interpreter would end the replica, and with it the trials to come.
        except (Exception, SystemExit) as error:
            raise TrialError(
                f"callback {name} failed in {when}: {type(error).__name__}: {error}; the trial "
                "ends with it; correct the callback"
            ) from error


class _Log(io.StringIO):
    """What callbacks print to. A handler of theirs that logs to it may outlive the call."""

    path: Path | None = None
    """The file that grows; the worker's own standard error between the calls where None."""

    def write(self, text: str) -> int:
        """Writes at once, so that a worker that dies in a callback has said what it said."""
        if self.path is None:
            return 0 if sys.__stderr__ is None else sys.__stderr__.write(text)
        if text:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
        return len(text)


_LOG = _Log()


@contextmanager
def _printing_to(log: Path) -> Iterator[None]:
    """Appends to a file what is printed meanwhile, and what is logged to the console."""
    # A library may have given the root logger a handler, which has the stream of that time.
    handlers = [
        handler
        for handler in logging.getLogger().handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream in (sys.stdout, sys.stderr)
    ]
    streams = [handler.setStream(_LOG) for handler in handlers]
    _LOG.path = log
    try:
        with redirect_stdout(_LOG), redirect_stderr(_LOG):
            yield
    finally:
        _LOG.path = None
        for handler, stream in zip(handlers, streams, strict=True):
            handler.setStream(stream)


def _is_stop(answer: object, *, name: str, method: str) -> bool:
    """Returns whether a callback's answer ends the trial; scalars of numpy and torch are read, too.

    Raises:
        TrialError: it is neither a boolean nor None.
    """
    try:
        plain = answer.item() if hasattr(answer, "item") else answer
    except (ValueError, RuntimeError):
        # An array of several values.
        plain = answer
    if plain is None or isinstance(plain, bool):
        return plain is True
    raise TrialError(
        f"callback {name} returned {shorten(repr(answer))} from {method}; it must return True to "
        "end the trial, and False or None to go on; correct the callback"
    )


def _made(text: str) -> Any:  # noqa: ANN401 - a user's class
    """Returns an object of the class that a callback names."""
    named = callback_name(text)
    if named.is_file:
        # Run anew: a replica lives longer than a version of the file.
        module = run_file(named.path(), named.read(), kind="callback")
    else:
        module = _imported(named)
    return getattr(module, named.own)()


def _imported(named: PythonName) -> ModuleType:
    """Returns a module, which this process imports once, of the file that it is now.

    Raises:
        TrialError: the file has changed since the module was imported.
    """
    found = named.sha256()
    if _HASHES.setdefault(named.place, found) != found:
        raise TrialError(
            f"{named.path()} has changed since this replica imported {named.place}, which it does "
            "once; bring the file back, or resume with --retry-failed, which starts new replicas"
        )
    return importlib.import_module(named.place)


def _failed(reason: str) -> TrialError:
    return TrialError(f"worker 0: {reason}")
