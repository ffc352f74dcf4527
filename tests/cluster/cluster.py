"""A cluster that is not started yet: a user's own machine, a head and workers, joined by a bridge.

All of it is in namespaces and in one temporary folder; :class:`Cluster` makes it and takes it away.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import yaml

from sweeper.execution.launch import render
from tests.cluster.machine import HOME, SWEEPS, Ended, Machine, Plan
from tests.cluster.network import connect
from tests.cluster.sshd import FIRST, host_table, make_key, server_settings, write_files
from tests.places import ROOT

__all__ = ["ADDRESSES", "CHECKOUT", "KEY", "VENV", "Cluster"]

ADDRESSES = {
    "desk": "10.77.0.1",
    "head": "10.77.0.10",
    "worker-1": "10.77.0.11",
    "worker-2": "10.77.0.12",
}
"""Of the user's own machine, of the head, and of the workers."""
CHECKOUT = HOME / "project"
"""Where the user has the checkout, and where a launch puts what it sends."""
VENV = HOME / ".venvs" / "sweeper"
"""Environment on each machine: this one's."""
KEY = HOME / ".ssh" / "id_ed25519"

# What is imported from, before whatever the environment has installed.
_ROOTS = (CHECKOUT, CHECKOUT / "adapters", CHECKOUT / "kernels")
_ENVIRONMENT = {
    "PYTHONPATH": ":".join(map(str, _ROOTS)),
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Milliseconds that a raylet waits for its agent: three of each start on the same processors.
    "RAY_agent_register_timeout_ms": "300000",
}
# Seconds in which a machine's sshd must listen.
_SERVER_S = 60.0


class Cluster:
    """Machines that reach each other by SSH, from :meth:`__enter__` to :meth:`__exit__`."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="cluster-"))
        self.sweeps = self.folder / "sweeps"
        """What the machines of the cluster see as their shared folder."""
        self.machines: dict[str, Machine] = {}
        self.namespaces: list[str] = []
        """Process namespaces of the machines, also after their end."""
        self._stack = ExitStack()
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)

    def __enter__(self) -> Cluster:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def desk(self) -> Machine:
        """The user's own machine: from here the cluster is started."""
        return self.machines["desk"]

    def say(self, command: str, *, timeout_s: float = 300.0) -> Ended:
        """Runs a command of bash at the desk, in the checkout, to its end."""
        return self.desk.run(f"cd {CHECKOUT}; {command}", self.environment(), timeout_s=timeout_s)

    def start(self, command: str) -> Path:
        """Starts a command of bash at the desk that runs on; returns where its output goes."""
        log = self.folder / "started"
        self.desk.start(f"cd {CHECKOUT}; {command}", self.environment(), log=log)
        return log

    def wait_for_port(
        self, address: str, port: int, *, timeout_s: float, said: Callable[[], str]
    ) -> None:
        """Waits until a port can be reached from the desk: on a busy machine that takes a while.

        Args:
            address: of the machine that listens.
            port: its number.
            timeout_s: seconds to wait.
            said: returns what who is to listen has said, for the error.

        Raises:
            AssertionError: it cannot be reached in time.
        """
        deadline = time.monotonic() + timeout_s
        while self.say(f"exec 3<>/dev/tcp/{address}/{port}").code:
            assert time.monotonic() < deadline, f"{address}:{port} is not ready: {said()}"
            time.sleep(0.3)

    def close_terminals(self) -> None:
        """Ends the commands that run on at the desk, as who closes their terminals does."""
        for process in self.desk.processes():
            with suppress(psutil.Error):
                process.terminate()

    def environment(self) -> Mapping[str, str]:
        """Returns what the user finds set at the desk."""
        path = f"{VENV / 'bin'}:/usr/local/bin:/usr/bin:/bin"
        own = {"HOME": str(HOME), "USER": HOME.name, "LOGNAME": HOME.name, "LANG": "C.UTF-8"}
        return {**_ENVIRONMENT, **own, "PATH": path, "TERM": "dumb", "COLUMNS": "100"}

    def _start(self) -> None:
        self.sweeps.mkdir()
        key = make_key(self.folder / "key")
        for name, address in ADDRESSES.items():
            machine = self._stack.enter_context(Machine(self._plan(name, address, key)))
            self.machines[name] = machine
            self.namespaces.append(machine.namespace())
        connect(list(self.machines.values()))
        for machine in self.machines.values():
            machine.begin()
        for name in set(self.machines) - {"desk"}:
            self.wait_for_port(
                ADDRESSES[name], 22, timeout_s=_SERVER_S, said=self.machines[name].log
            )

    def _plan(self, name: str, address: str, key: str) -> Plan:
        files = self.folder / name
        table = host_table(ADDRESSES)
        is_desk = name == "desk"
        settings = "" if is_desk else server_settings(address, environment=_ENVIRONMENT)
        write_files(files, table=table, key=key, settings=settings)
        environment = Path(sys.prefix)
        binds = {VENV: environment}
        if is_desk:
            shutil.copy(self.folder / "key", files / "home" / ".ssh" / KEY.name)
            _copy_sources(files / "home" / CHECKOUT.name)
        else:
            binds[SWEEPS] = self.sweeps
        return Plan(
            name=name,
            address=address,
            files=files,
            # The environment's programs name the interpreter by its place here.
            kept=(environment, Path(sys.base_prefix)),
            binds=binds,
            is_read_only=frozenset({VENV}),
            **({} if is_desk else {"first": FIRST}),
        )


def _copy_sources(folder: Path) -> None:
    """Copies what a launch sends from the checkout: a command there writes into the copy."""
    document = yaml.safe_load(render("local"))
    for part in document["file_mounts"].values():
        source = ROOT / part
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, folder / part, ignore=ignored)
        else:
            folder.mkdir(exist_ok=True)
            shutil.copy(source, folder / part)
