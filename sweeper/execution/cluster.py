"""The Ray cluster that a sweep runs on: this machine, or one that is already up."""

from __future__ import annotations

import importlib
import logging
import os
import secrets
import signal
import tempfile
import threading
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import psutil
import ray
from ray.exceptions import AuthenticationError

from sweeper._environment import ray_address, ray_folder
from sweeper._text import shorten
from sweeper.errors import BadInputError
from sweeper.execution.forkserver import RAY_ENVIRONMENT, forked_workers, start_fork_server
from sweeper.preflight.room import TRIAL_RESOURCE, Cluster, no_cluster_message

__all__ = ["connect", "disconnect", "end_agents"]

logger = logging.getLogger(__name__)

TRIAL_SLOTS = 10_000

# What the command line of a raylet's agent has in it: its title, or before it has one its file.
_AGENTS = (
    *("ray::DashboardAgent", "ray::RuntimeEnvAgent"),
    *("dashboard/agent.py", "runtime_env/agent/main.py"),
)

_shutdown: threading.Thread | None = None
# Whether this process has set RAY_AUTH_MODE, which a new Ray of this machine is not to see.
_is_mode_ours = False

# Characters of a message of Ray's that are told.
_MESSAGE = 300

# Bytes of a socket's path on Linux (unix(7)), and the longest that Ray appends to its folder.
_MOST_OF_A_SOCKET = 107
_SOCKET = "ray/session_2026-12-31_23-59-59_999999_4194304/sockets/plasma_store"


def connect(address: str | None, *, has_dashboard: bool = False) -> Cluster:
    """Connects to the cluster at ``address``, or starts Ray on this machine.

    Args:
        address: ``auto``, ``host:port``, ``ray://…``; where None, ``RAY_ADDRESS``, else a local
        Ray.
        has_dashboard: whether a local Ray starts its dashboard, which takes a process and seconds.

    Raises:
        BadInputError: no cluster answers there, it asks for another token than the user's, or Ray
            does not start.
    """
    os.environ.update({key: os.environ.get(key, value) for key, value in RAY_ENVIRONMENT.items()})
    _join_shutdown()
    start_fork_server(address)
    address = address or ray_address() or "local"
    is_local = address == "local"
    _agree_on_token(address)
    options: dict[str, Any]
    if is_local:
        _shorten_folder()
        _keep_token()
        options = {
            "include_dashboard": has_dashboard,
            "resources": {TRIAL_RESOURCE: TRIAL_SLOTS},
        }
    else:
        options = {"runtime_env": {"env_vars": dict(RAY_ENVIRONMENT)}}
    if is_local:
        threading.Thread(target=_import_ahead, daemon=True).start()
    with forked_workers() if is_local else nullcontext():
        context = _started(address, options)
    # Ray has no setting for it.
    ray._private.worker.print_to_stdstream = _tell_message
    if threading.current_thread() is threading.main_thread():
        # Ray has put its own handler there, which ends the process without a word. A cluster
        # manager's SIGTERM is a Ctrl-C: what is needed to go on is on disk.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    found: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return Cluster(
        is_local=is_local,
        cpus=found.get("CPU", 0),
        gpus=found.get("GPU", 0),
        has_trial_resource=TRIAL_RESOURCE in found,
        dashboard_url=context.dashboard_url or "",
    )


def _started(address: str, options: Mapping[str, Any]) -> Any:  # noqa: ANN401 - Ray's context
    """Returns what Ray says of itself once it is connected to; raises as :func:`connect`."""
    try:
        return ray.init(
            address=address,
            namespace="sweeper",
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=True,
            **options,
        )
    except (ConnectionError, ValueError) as error:
        raise BadInputError(no_cluster_message(address, error)) from error
    except AuthenticationError as error:
        raise BadInputError(_other_token_message(address, error.message)) from error
    except Exception as error:
        # Ray raises no class of its own where its processes are not up within half a minute.
        if type(error) is not Exception:
            raise
        raise BadInputError(
            f"ray: it has not started on this machine ({shorten(str(error), limit=_MESSAGE)}); run "
            "the command again, or resume the sweep, when the machine is less busy"
        ) from error


def _tell_message(data: Mapping[str, Any], ignore_prefix: bool) -> None:  # noqa: ARG001 - Ray's
    """Tells in a line what Ray prints between ours, such as that a machine is lost.

    Ray's own text goes on with tens of lines of the dead process's log, which its files keep.
    """
    for text in data["lines"]:
        first = str(text).strip().partition("\n")[0]
        # So begins advice, such as that a pool's processes are more than the head has CPUs.
        level = logging.INFO if first.startswith("WARNING") else logging.WARNING
        logger.log(level, "Ray: %s", shorten(first, limit=_MESSAGE))


def _other_token_message(address: str, why: str) -> str:
    return (
        f"ray: the cluster at {address!r} does not take this process ({shorten(why, limit=200)}); "
        "a cluster with a token takes those who show the same one; bring the file "
        "~/.ray/auth_token of its head here, or name it in RAY_AUTH_TOKEN_PATH, and set "
        "RAY_AUTH_MODE=token; RAY_AUTH_MODE=disabled is for a cluster without a token"
    )


def _agree_on_token(address: str) -> None:
    """Leaves the user's token out of it where the cluster that ``auto`` finds asks for none.

    For ``auto`` Ray takes a token whenever the user has one, and each Ray of this machine has left
    one in the user's home. With a token the driver asks the cluster's workers for it, too, and they
    cannot show any where the cluster was started without.

    Args:
        address: of the cluster; ``local`` for one that is to be started.
    """
    global _is_mode_ours
    if _is_mode_ours:
        os.environ.pop("RAY_AUTH_MODE", None)
        _is_mode_ours = False
    if address != "auto" or "RAY_AUTH_MODE" in os.environ:
        return
    if _auth_mode_here(address) == "disabled":
        logger.info("Ray: the cluster of this machine has no token, so that yours is not used")
        os.environ["RAY_AUTH_MODE"] = "disabled"
        _is_mode_ours = True


def _auth_mode_here(address: str) -> str | None:
    """Returns the mode of the cluster that has a node here; None where its processes tell none."""
    try:
        head = ray._private.services.canonicalize_bootstrap_address(address)
    except (ConnectionError, OSError, ValueError):
        # Ray says so itself when it connects.
        return None
    for process in psutil.process_iter():
        # Those of other users do not show their environments.
        with suppress(psutil.Error):
            if f"--gcs-address={head}" in process.cmdline():
                mode: str = process.environ().get("RAY_AUTH_MODE", "disabled")
                return mode.lower()
    return None


def _keep_token() -> None:
    """Gives Ray a token by the environment where it cannot keep a file of it.

    A new local Ray asks each connection for a token, which it writes into the user's home.
    """
    if any(f"RAY_AUTH_{name}" in os.environ for name in ("MODE", "TOKEN", "TOKEN_PATH")):
        return
    try:
        folder = Path.home() / ".ray"
        if (folder / "auth_token").is_file():
            return
        folder.mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(secrets.token_bytes(64))
    except (OSError, RuntimeError):
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def _shorten_folder() -> None:
    """Has Ray put its files into /tmp where the paths of its sockets would be too long."""
    folder = ray_folder()
    if len(os.fsencode(folder / _SOCKET)) > _MOST_OF_A_SOCKET:
        logger.warning(
            "Ray's temporary files go to /tmp: in %s the path of a socket would have more than the "
            "%d bytes that Linux allows; a shorter folder can be set as RAY_TMPDIR",
            folder,
            _MOST_OF_A_SOCKET,
        )
        os.environ["RAY_TMPDIR"] = "/tmp"


def _import_ahead() -> None:
    """Imports what Ray's libraries take from others, while this process waits for a Ray to start.

    None of it imports Ray's own modules, two of which in two threads may wait for each other.
    """
    for name in ("torch", "pandas", "pyarrow"):
        with suppress(ImportError):
            importlib.import_module(name)


def disconnect() -> None:
    """Leaves the cluster, from a thread of its own; a Ray that :func:`connect` started ends.

    The next :func:`connect` waits for it, and so does the end of the process.
    """
    global _shutdown
    _join_shutdown()
    _shutdown = threading.Thread(target=_shut_down, name="ray-shutdown")
    _shutdown.start()


def _shut_down() -> None:
    # Asked to end, the autoscaler's monitor takes the second after which Ray kills it. It has
    # nothing to write, and nothing to do where one machine is all of the cluster.
    for monitor in _processes("monitor"):
        with suppress(OSError):
            monitor.process.kill()
    ray.shutdown()


def _processes(kind: str) -> list[Any]:
    """Returns the processes of a kind that a Ray that :func:`connect` started has."""
    # Ray has no public way to ask.
    node = ray._private.worker._global_node
    found: list[Any] = [] if node is None else node.all_processes.get(kind, [])
    return found


def _join_shutdown() -> None:
    if _shutdown is not None:
        _shutdown.join()


def end_agents() -> None:
    """Ends what a Ray that :func:`connect` started leaves behind where this process ends at once.

    The kernel kills the raylet with its parent, before it can end its agents. They notice that in
    two seconds, and then wait a minute for an answer of Ray's head, which has ended with it.
    """
    for raylet in _processes("raylet"):
        with suppress(psutil.Error):
            for child in psutil.Process(raylet.process.pid).children():
                _end_agent(child)


def _end_agent(process: psutil.Process) -> None:
    with suppress(psutil.Error):
        command = " ".join(process.cmdline())
        if any(name in command for name in _AGENTS):
            process.terminate()
