"""Starts the fork server, and has Ray start its processes as forks of it."""

from __future__ import annotations

import atexit
import logging
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sweeper._environment import has_fork_server, ray_address

__all__ = ["RAY_ENVIRONMENT", "forked_workers", "start_fork_server"]

logger = logging.getLogger(__name__)

# Environment of all Ray processes that a sweep starts.
RAY_ENVIRONMENT = {
    # Ray makes its workers polite to the rest of the machine; these do the work.
    "RAY_worker_niceness": "0",
    # One run of Ray Train lives as long as the sweep; its working directory stays the user's.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_TRAIN_ENABLE_CONTROLLER_STRUCTURED_LOGGING": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    # Seconds between two looks of Ray Train at its workers, before which it does not see their end.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Tune's tables on standard output would stand between ours.
    "RAY_AIR_NEW_OUTPUT": "0",
    # Records are written by us; Tune's CSV, JSON and TensorBoard files would be a second truth.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}

# What is imported, in the order in which it is needed: by Ray's agents, by Ray Train, by Tune, by
# the workers.
PRELOADED = (
    "sweeper._third_party:ignore_known_warnings",
    "sweeper.execution.forkserver.identities:draw_from_system",
    "ray._private.node",
    "aiohttp",
    "ray.train.torch",
    "ray.tune",
    "sweeper.execution.pool.worker",
    "sweeper.execution.tune",
    "peft",
    "sweeper.training.trial",
    "sweeper.evaluation.scoring",
    "sweeper.models.frozen",
    "sweeper._third_party:load_deepspeed",
)
# Bytes, of the 107 that the path of a socket may have; the rest is for what is made there.
_LONGEST_FOLDER = 80
_SERVER = "sweeper.execution.forkserver.server"
_CLIENT = Path(__file__).with_name("client.py")


@dataclass(frozen=True)
class _Server:
    launcher: Path
    """What Ray is to take for Python."""
    process: subprocess.Popen[bytes]


_servers: list[_Server] = []


def start_fork_server(address: str | None, *, preloaded: Sequence[str] = PRELOADED) -> None:
    """Starts the fork server, unless it runs or Ray is to be found elsewhere; returns at once.

    It ends with this process.

    Args:
        address: of Ray's cluster, as :func:`sweeper.execution.connect` takes it.
        preloaded: what it imports, each ``module`` or ``module:function``.
    """
    is_local = (address or ray_address() or "local") == "local"
    is_up = bool(_servers) and _servers[-1].process.poll() is None
    if is_up or not is_local or not has_fork_server():
        return
    try:
        _servers.append(_started(preloaded))
    except OSError as error:
        logger.info("Ray's processes are no forks, and start more slowly: %s", error)


def _started(preloaded: Sequence[str]) -> _Server:
    """Returns a new fork server.

    Raises:
        OSError: there is no folder in which a socket and a program can be.
    """
    is_long = len(os.fsencode(tempfile.gettempdir())) > _LONGEST_FOLDER
    folder = Path(tempfile.mkdtemp(prefix="sweeper-", dir="/tmp" if is_long else None))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    place = folder / "socket"
    launcher = _write_launcher(place)
    if not os.access(launcher, os.X_OK):
        raise PermissionError(f"nothing can be executed in {folder.parent}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(place))
        listener.listen(128)
        process = subprocess.Popen(
            [sys.executable, "-m", _SERVER, str(listener.fileno()), str(launcher), *preloaded],
            pass_fds=[listener.fileno()],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**RAY_ENVIRONMENT, **os.environ, **_server_environment()},
            process_group=0,
        )
    return _Server(launcher, process)


def _server_environment() -> dict[str, str]:
    """Returns what of a worker's environment is read by imports, and never again.

    Ray's C++ half takes two of its variables when it is loaded (Ray 2.60).
    """
    return {
        # NumPy's library of linear algebra would start threads, which no fork has.
        "OPENBLAS_NUM_THREADS": "1",
        # That of a worker which was started before there was a job.
        "RAY_JOB_ID": "ffffffff",
        # A worker ends when this process does. Ray's raylet ends with the driver, too.
        "RAY_RAYLET_PID": str(os.getpid()),
    }


def _write_launcher(place: Path) -> Path:
    """Writes the program that Ray takes for Python."""
    python = shlex.quote(sys.executable)
    words = [python, "-I", "-S", shlex.quote(str(_CLIENT)), shlex.quote(str(place)), python]
    launcher = place.with_name("python")
    launcher.write_text(f'#!/bin/sh\nexec {" ".join(words)} "$@"\n', encoding="utf-8")
    launcher.chmod(0o700)
    return launcher


@contextmanager
def forked_workers() -> Iterator[None]:
    """Has a Ray that the body starts make its processes by the fork server, if there is one.

    Ray starts its processes with the program that ``sys.executable`` names, and its raylet keeps
    that name; there is no other place to say so for all of them.
    """
    if not _servers:
        yield
        return
    python = sys.executable
    sys.executable = str(_servers[-1].launcher)
    try:
        yield
    finally:
        sys.executable = python
