"""Tells a sweep's owner how it ended: by a webhook, by a command. Nothing waits long for either.

What is told is no secret and neither is what is kept: the address is read from an environment
variable when it is used, and no message repeats it.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPMessage
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from sweeper._environment import secret
from sweeper.analysis.ranking import rank
from sweeper.errors import BadInputError
from sweeper.experiment.sweep import NotifyEvent, NotifySpec
from sweeper.tracking.sweep_folder import SweepFolder

__all__ = ["Notices"]

logger = logging.getLogger(__name__)

# Seconds that a webhook or a command gets.
WAIT_S = 10.0

_ENDED: dict[NotifyEvent, str] = {
    "end": "has ended",
    "failure": "has failed and can be resumed",
    "stopped": "was stopped and can be resumed",
}


class Notices:
    """Tells how one run of a driver ended, once."""

    def __init__(self, folder: SweepFolder, spec: NotifySpec, *, link: Callable[[], str]) -> None:
        """Prepares the notice.

        Args:
            folder: of the sweep.
            spec: whom to tell of what.
            link: returns where the sweep is seen; called when it is told.
        """
        self._folder = folder
        self._spec = spec
        self._link = link
        self._first = threading.Lock()

    def check(self) -> None:
        """Warns of what would make a notice fail, while somebody looks."""
        name, command = self._spec.url_env, self._spec.command
        if name is not None and not secret(name):
            logger.warning(
                "notify.url_env: the environment variable %s is not set, so no webhook is told of "
                "the sweep's end; set it where the sweep is run or resumed",
                name,
            )
        if command and shutil.which(command[0]) is None:
            logger.warning(
                "notify.command: %s is no program that can be found, so that it is not told of the "
                "sweep's end; give its path",
                command[0],
            )

    @contextmanager
    def told(self) -> Iterator[None]:
        """Tells how the body ended; what it raises goes on."""
        try:
            yield
        except KeyboardInterrupt:
            self.tell("stopped")
            raise
        except BaseException:
            self.tell("failure")
            raise
        self.tell("end")

    def tell(self, event: NotifyEvent) -> None:
        """Tells of an event, and waits some seconds at most; the first event of a run counts."""
        if not self._first.acquire(blocking=False) or event not in self._spec.on:
            return
        ways: list[Callable[[str], None]] = []
        ways += [self._post] if self._spec.url_env else []
        ways += [self._run] if self._spec.command else []
        if not ways:
            return
        text = json.dumps(self._message(event))
        threads = [
            threading.Thread(target=way, args=(text,), name="notice", daemon=True) for way in ways
        ]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + WAIT_S + 1
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                logger.warning("notify: no answer within %.0f s", WAIT_S)

    def _message(self, event: NotifyEvent) -> dict[str, Any]:
        folder = self._folder
        message: dict[str, Any] = {
            "sweep": folder.name,
            "event": event,
            "host": socket.gethostname(),
            "folder": str(folder.path),
            "link": None,
            "counts": {},
            "best": None,
        }
        text = f"Sweep {folder.name} {_ENDED[event]}."
        # A notice says what it can: where records are damaged, that the sweep has ended.
        with suppress(BadInputError, OSError):
            ranking = rank(folder.trials(), folder.objective())
            message["counts"] = ranking.counts()
            text += f" {', '.join(f'{n} {status}' for status, n in ranking.counts().items())}."
            best = ranking.best
            if best is not None:
                metric, value = ranking.objective.metric, best.metrics[ranking.objective.metric]
                message["best"] = {
                    "number": best.number,
                    "id": best.id,
                    "method": best.method,
                    "metric": metric,
                    "value": value,
                }
                text += f" Best: trial {best.number} ({best.method}), {metric} {value:.4g}."
        with suppress(Exception):
            message["link"] = self._link() or None
        return {**message, "text": text}

    def _post(self, text: str) -> None:
        assert self._spec.url_env is not None
        url = secret(self._spec.url_env)
        if not url:
            return
        try:
            if urlsplit(url).scheme not in {"http", "https"}:
                raise ValueError("it is no address that begins with http:// or https://")
            request = urllib.request.Request(
                url, data=text.encode(), headers={"Content-Type": "application/json"}, method="POST"
            )
            with urllib.request.build_opener(_StayingHere).open(request, timeout=WAIT_S):
                return
        except Exception as error:  # noqa: BLE001 - the sweep has ended, whatever becomes of this
            logger.warning(
                "notify: the webhook of %s was not told: %s", self._spec.url_env, _reason(error)
            )

    def _run(self, text: str) -> None:
        command = list(self._spec.command)
        try:
            child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                text=True,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            logger.warning("notify: %s was not told: %s", Path(command[0]).name, error)
            return
        try:
            child.communicate(text, timeout=WAIT_S)
            why = f"it ended with {child.returncode}" if child.returncode else ""
        except subprocess.TimeoutExpired:
            # With all that it has started: they are one session.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
            why = f"it did not end within {WAIT_S:.0f} s"
        if why:
            logger.warning("notify: %s failed: %s", Path(command[0]).name, why)


class _StayingHere(urllib.request.HTTPRedirectHandler):
    """Follows no redirection: it would lead a secret address and its message elsewhere."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> None:
        """Returns no request."""


def _reason(error: Exception) -> str:
    """Returns why an address was not told, without the address, which some messages repeat."""
    if isinstance(error, urllib.error.HTTPError):
        return f"it answered {error.code}"
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, OSError):
        return error.reason.strerror or type(error.reason).__name__
    if isinstance(error, TimeoutError):
        return f"it did not answer within {WAIT_S:.0f} s"
    return type(error).__name__
