"""One machine: namespaces of its own, and all that runs in them."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.cluster.needs import SEARCHED

__all__ = ["HOME", "SWEEPS", "USER", "Ended", "Machine", "Plan", "start_script"]

USER = "me"
HOME = Path("/home") / USER
"""Home of the user on each machine."""
SWEEPS = Path("/mnt/sweeps")
"""Folder that the machines of the cluster share."""

# What a machine has for itself, empty at first: nothing of this machine is seen there, and nothing
# that is written there stays. Ray's sockets and its state lie in /tmp, sshd's folder in /run.
_OWN = ("/run", "/home", "/mnt", "/dev/shm", "/tmp")
# Seconds in which the kernel ends all processes of a machine, on a busy one.
_END_S = 60.0


@dataclass(frozen=True)
class Plan:
    """What a machine is to be."""

    name: str
    """Its host name."""
    address: str
    """Its IPv4 address on the bridge."""
    files: Path
    """Folder with ``home`` (copied), ``etc`` (put over files of /etc) and ``run`` (copied)."""
    kept: tuple[Path, ...] = ()
    """Folders of this machine that are seen there at the same place, wherever they lie."""
    binds: Mapping[Path, Path] = field(default_factory=dict)
    """Folders of this machine by the place below /home or /mnt at which they are seen."""
    is_read_only: frozenset[Path] = frozenset()
    """Places of :attr:`binds` that cannot be written."""
    first: tuple[str, ...] = ("sleep", "infinity")
    """Program that is the machine's first process; all others end with it."""


def start_script(plan: Plan) -> str:
    """Returns what makes a machine of new namespaces, and then becomes its first process.

    It says ``ready`` when the machine has its files, and waits for a line before the program
    begins: meanwhile the network is connected.
    """
    stage = plan.files / "stage"
    lines = ["set -e", f"hostname {shlex.quote(plan.name)}", "ip link set lo up"]
    for own in _OWN:
        place = _quoted(stage, own)
        lines += [f"mkdir -p {place}", f"mount -n -t tmpfs -o mode=1777 tmpfs {place}"]
    lines += [
        *(line for path in plan.kept if (line := _kept(stage, path))),
        *(line for place, path in plan.binds.items() for line in _bound(stage, place, path, plan)),
        f"mkdir -p {_quoted(stage, HOME)}",
        f"cp -a {_quoted(plan.files / 'home', '.')} {_quoted(stage, HOME)}",
        f"cp -a {_quoted(plan.files / 'run', '.')} {_quoted(stage, '/run')}",
        f"chmod 755 {_quoted(stage, '/run')} {_quoted(stage, '/home')} {_quoted(stage, '/mnt')}",
    ]
    lines += [
        f"mount -n --bind {shlex.quote(str(path))} /etc/{shlex.quote(path.name)}"
        for path in sorted((plan.files / "etc").iterdir())
    ]
    # /tmp comes last: what is staged may lie in it.
    lines += [f"mount -n --move {_quoted(stage, own)} {own}" for own in _OWN]
    lines += ["cd /", "echo ready", "read -r _", f"exec {shlex.join(plan.first)}"]
    return "\n".join(lines)


def _quoted(stage: Path, place: str | Path) -> str:
    return shlex.quote(f"{stage}/{str(place).lstrip('/')}")


def _kept(stage: Path, path: Path) -> str:
    """Returns the line that keeps a folder which would be hidden; empty where it is not hidden."""
    if not any(path.is_relative_to(own) for own in _OWN):
        return ""
    place = _quoted(stage, path)
    return f"mkdir -p {place} && mount -n --bind {shlex.quote(str(path))} {place}"


def _bound(stage: Path, place: Path, path: Path, plan: Plan) -> Iterator[str]:
    there = _quoted(stage, place)
    yield f"mkdir -p {there}"
    yield f"mount -n --bind {shlex.quote(str(path))} {there}"
    if place in plan.is_read_only:
        yield f"mount -n -o remount,bind,ro {there}"


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    """Standard output and standard error, as they came."""


class Machine:
    """A machine that runs, from :meth:`__enter__` to :meth:`__exit__`.

    Its first process is the first of a process namespace: when it ends, the kernel kills all others
    there, and takes away mounts and network with the last of them. It is killed when the process
    that has started it ends, however that ends.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._process: subprocess.Popen[str] | None = None
        self._first = 0
        self._started: list[subprocess.Popen[bytes]] = []

    @property
    def pid(self) -> int:
        """Process id of its first process, as seen from outside."""
        return self._first

    def __enter__(self) -> Machine:
        log = (self.plan.files / "log").open("w", encoding="utf-8")
        words = ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--uts", "--mount", "--pid"]
        words += ["--fork", "--kill-child=KILL", "--mount-proc", "bash", "-c"]
        with log:
            self._process = subprocess.Popen(
                [*words, start_script(self.plan)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={"PATH": SEARCHED},
                # Ctrl-C is for the command that runs; the machines end after it.
                start_new_session=True,
            )
        assert self._process.stdout is not None
        try:
            said = self._process.stdout.readline().strip()
            assert said == "ready", f"{self.plan.name} does not start: {self.log()}"
            (first,) = psutil.Process(self._process.pid).children()
            self._first = first.pid
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def begin(self) -> None:
        """Has the first program begin."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write("begin\n")
        self._process.stdin.flush()

    def end(self) -> None:
        """Ends all of its processes, and waits until they are gone."""
        if self._process is None:
            return
        if self._first:
            with suppress(ProcessLookupError):
                os.kill(self._first, signal.SIGKILL)
        else:
            self._process.kill()
        self._process.wait(_END_S)
        for started in self._started:
            started.wait(_END_S)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def log(self) -> str:
        """Returns the end of what its first process has said."""
        return (self.plan.files / "log").read_text(encoding="utf-8", errors="replace")[-2000:]

    def words(self, command: str, environment: Mapping[str, str]) -> list[str]:
        """Returns the command line that runs a command of bash there.

        Args:
            command: with the user's home as the working directory.
            environment: all variables that it has.
        """
        variables = [f"{name}={value}" for name, value in environment.items()]
        inside = ["nsenter", f"--target={self._first}", "--mount", "--uts", "--net", "--pid"]
        return [*inside, "env", "-i", *variables, "bash", "-c", f"cd; {command}"]

    def run(self, command: str, environment: Mapping[str, str], *, timeout_s: float) -> Ended:
        """Runs a command of bash there to its end.

        Raises:
            AssertionError: it does not end in time.
        """
        try:
            ended = subprocess.run(
                self.words(command, environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                check=False,
                timeout=timeout_s,
                env={"PATH": SEARCHED},
            )
        except subprocess.TimeoutExpired as error:
            said = str(error.stdout or b"")[-2000:]
            raise AssertionError(f"'{command}' still runs after {timeout_s:g} s: {said}") from error
        return Ended(ended.returncode, ended.stdout)

    def start(self, command: str, environment: Mapping[str, str], *, log: Path) -> None:
        """Starts a command of bash there that runs on, until the machine ends at the latest."""
        with log.open("w", encoding="utf-8") as file:
            started = subprocess.Popen(
                self.words(command, environment),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={"PATH": SEARCHED},
                start_new_session=True,
            )
        self._started.append(started)

    def processes(self) -> list[psutil.Process]:
        """Returns the processes of the machine besides its first one."""
        return [process for process in living_in(self.namespace()) if process.pid != self._first]

    def namespace(self) -> str:
        """Returns what names its process namespace."""
        return str(Path(f"/proc/{self._first}/ns/pid").readlink())


def living_in(namespace: str) -> list[psutil.Process]:
    """Returns the processes of a process namespace that live."""
    found = []
    for process in psutil.process_iter():
        try:
            own = str(Path(f"/proc/{process.pid}/ns/pid").readlink())
            if own == namespace and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found
