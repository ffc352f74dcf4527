"""MLflow's own pages on the sweeps' store."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from sweeper.errors import BadInputError
from sweeper.tracking.mlflow_view import (
    MlflowView,
    is_server,
    public_uri,
    resolve_tracking_uri,
    ui_command,
    ui_environment,
)
from sweeper.tracking.sweep_folder import SweepFolder, sweeps_in

__all__ = ["serve_ui"]

# Seconds in which MLflow's server comes up; the first start makes its database.
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


def serve_ui(
    home: Path,
    *,
    sweep: str | None,
    tracking_uri: str | None,
    host: str,
    port: int,
    tell: Callable[[str], None],
) -> None:
    """Serves MLflow's pages until it is interrupted, and opens them where there is a browser.

    Args:
        home: folder of all sweeps.
        sweep: the one whose trials are compared; the newest where None.
        tracking_uri: the store; a server is not started again, only opened.
        host: address to listen on.
        port: port to listen on.
        tell: prints a line.

    Raises:
        BadInputError: there is no sweep, or MLflow's server did not come up.
    """
    folder = _newest(home) if sweep is None else SweepFolder.open(sweep, home=home)
    view = MlflowView(folder, tracking_uri=tracking_uri)
    # What an earlier driver could not send is sent now, and what a store that was made anew lacks.
    view.sync()
    for other in (
        MlflowView(SweepFolder(path), tracking_uri=tracking_uri) for path in sweeps_in(home)
    ):
        if other.was_sent():
            other.sync()
    uri = resolve_tracking_uri(home, tracking_uri)
    if is_server(uri):
        _open(view, public_uri(uri), tell)
        return
    command = ui_command(home, port, host=host, tracking_uri=tracking_uri)
    environment = {
        # Its runners of jobs, seven processes, are for language models that judge, and outlive it.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        **os.environ,
        **ui_environment(home, tracking_uri=tracking_uri),
    }
    with _running(command, environment) as server:
        try:
            _wait(server, host, port)
            _open(view, f"http://{host}:{port}", tell)
            tell("Ctrl-C stops the server.")
            server.wait()
        except KeyboardInterrupt:
            tell("The server has ended.")


@contextmanager
def _running(
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


def _newest(home: Path) -> SweepFolder:
    folders = sweeps_in(home)
    if not folders:
        raise BadInputError(
            f"{home} holds no sweep, so there is nothing to show; start a sweep with 'python -m "
            "sweeper run search_spaces/masa.yaml', or give --home"
        )
    return SweepFolder(folders[-1])


def _wait(server: subprocess.Popen[bytes], host: str, port: int) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise BadInputError(
                f"MLflow's server ended with exit code {server.returncode}; port {port} may be in "
                "use; choose another with --port"
            )
        try:
            with urllib.request.urlopen(f"http://{host}:{port}/health", timeout=1):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.2)
    raise BadInputError(f"MLflow's server did not come up on port {port} within {START_S:g} s")


def _open(view: MlflowView, base_url: str, tell: Callable[[str], None]) -> None:
    experiment, comparison = view.pages(base_url)
    tell(f"Experiment:  {experiment}")
    tell(f"Comparison:  {comparison}")
    # Without a display a text browser would take the terminal.
    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open(comparison)
