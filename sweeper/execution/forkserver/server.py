"""The fork server: imports what Ray's processes need, and forks one for each client.

It has no threads, and takes forks between two imports, too: what is not imported yet, a fork
imports itself. What would not survive a fork is looked for before each one: another thread of
Python's, NVIDIA's driver, which a fork cannot use once its parent has opened it, and random numbers
that forks would share. There the answer is no, and the client becomes a Python of its own.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import struct
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TextIO

from sweeper.execution.forkserver import identities
from sweeper.execution.forkserver.client import NUMBER

__all__ = ["ForkServer", "Program", "main", "program_of"]

# Seconds that a client gets to say what it wants.
ASKING_S = 10.0
# Most files that one message may pass on Linux (SCM_MAX_FD).
MOST_FILES = 253
# Of Ray's files, that of the agent for environments.
_STARTING_WORKERS = "runtime_env/agent/main.py"
# Above all files of a fork that anything asks for by number.
HIGH = 512


@dataclass(frozen=True)
class Program:
    """A Python script with its arguments, as a fork is to run it."""

    script: str
    arguments: Sequence[str] = ()

    def run(self, *, launcher: str) -> NoReturn:
        """Runs the script as ``__main__``, and ends the process with it.

        Args:
            launcher: what starts further forks.
        """
        sys.argv = [self.script, *self.arguments]
        if self.script.endswith(_STARTING_WORKERS):
            # It starts the workers that have an environment of their own, with this name.
            sys.executable = launcher
        sys.path[0] = str(Path(self.script).parent)
        code = _code_of(lambda: runpy.run_path(self.script, run_name="__main__"))
        # As a fork of multiprocessing ends. To take the whole interpreter apart would copy it.
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


def _code_of(script: Callable[[], object]) -> int:
    """Returns what Python ends with after a script."""
    try:
        script()
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        sys.stderr.write(f"{ended.code}\n")
        return 1
    except BaseException:  # noqa: BLE001 - as Python itself does
        traceback.print_exc()
        return 1
    return 0


def program_of(arguments: Sequence[str]) -> Program:
    """Returns what a Python of these arguments runs.

    Raises:
        ValueError: it is something else than a script, or has options that a fork cannot have.
    """
    left = list(arguments)
    # A fork's streams are unbuffered in any case.
    if left and left[0] == "-u":
        left.pop(0)
    if not left or left[0].startswith("-"):
        raise ValueError(f"no script: {' '.join(arguments)}")
    return Program(left[0], tuple(left[1:]))


@dataclass
class ForkServer:
    """Forks this process for each client; see the module."""

    listener: socket.socket
    driver: int
    """File that ends when the driver does."""
    _forks: dict[int, socket.socket] = field(default_factory=dict)
    """By process id, the connection to the client of each."""
    _selector: selectors.DefaultSelector = field(default_factory=selectors.DefaultSelector)
    _ended: socket.socket = field(init=False)
    _looked_at: int = 0
    """Modules that this process had when its random numbers were looked at."""

    def __post_init__(self) -> None:
        # Each child's end writes a byte.
        self._ended, wakes = socket.socketpair()
        self._wakes = wakes
        for end in (self._ended, wakes):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
        for file in (self.listener, self._ended, self.driver):
            self._selector.register(file, selectors.EVENT_READ)

    def turn(self, *, timeout_s: float | None) -> Program | None:
        """Answers what there is to be answered.

        Args:
            timeout_s: waited for a word; None for ever.

        Returns:
            None; in a fork what it is to run.

        Raises:
            SystemExit: the driver has ended; so have the forks then.
        """
        for key, _ in self._selector.select(timeout_s):
            if key.fileobj == self.driver:
                self._end()
            elif key.fileobj is self._ended:
                self._reap()
            elif key.fileobj is self.listener:
                program = self._answer()
                if program is not None:
                    return program
            else:
                self._lose(key.data)
        return None

    def _answer(self) -> Program | None:
        try:
            client, _ = self.listener.accept()
        except OSError:
            # It has gone meanwhile, or there is no room for another file: it asks a new Python.
            return None
        client.settimeout(ASKING_S)
        files: list[int] = []
        try:
            asked = _read(client, files)
            program = program_of(asked["arguments"])
            if not self._is_forkable():
                raise ValueError("a fork would not work")
            pid = os.fork()
        except (OSError, ValueError):
            _close(files)
            _say(client, 0)
            client.close()
            return None
        if pid:
            _close(files)
            self._forks[pid] = client
            self._selector.register(client, selectors.EVENT_READ, pid)
            _say(client, pid)
            return None
        client.close()
        self._leave()
        _become(asked, files)
        return program

    def _is_forkable(self) -> bool:
        """Returns whether what this process has imported survives a fork."""
        mapped = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
        if threading.active_count() > 1 or "/libcuda.so" in mapped:
            return False
        if self._looked_at != len(sys.modules) and identities.are_shared():
            return False
        self._looked_at = len(sys.modules)
        return True

    def _leave(self) -> None:
        """Closes in a fork what is the server's."""
        signal.set_wakeup_fd(-1)
        self._selector.close()
        for client in self._forks.values():
            client.close()
        for end in (self.listener, self._ended, self._wakes):
            end.close()

    def _lose(self, pid: int) -> None:
        """Ends a fork whose client has been killed: whoever did that meant the fork."""
        client = self._forks.get(pid)
        # It may have ended a moment before, and been reaped in the same turn.
        if client is None:
            return
        self._selector.unregister(client)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        with suppress(BlockingIOError):
            while self._ended.recv(1024):
                pass
        for pid, status in _ended_children():
            client = self._forks.pop(pid)
            with suppress(KeyError):
                self._selector.unregister(client)
            _say(client, os.waitstatus_to_exitcode(status))
            client.close()

    def _end(self) -> None:
        for pid in self._forks:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        sys.exit()


def _close(files: Sequence[int]) -> None:
    for file in files:
        os.close(file)


def _read(client: socket.socket, files: list[int]) -> dict[str, Any]:
    """Returns what a client asks for, and adds its files, in the order of their numbers.

    Raises:
        OSError: it is gone, or slow.
        ValueError: it is somebody else's, or what it says cannot be read.
    """
    credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    if struct.unpack("3i", credentials)[1] != os.getuid():
        raise ValueError("another user's")
    size, given, _, _ = socket.recv_fds(client, NUMBER, MOST_FILES)
    files.extend(given)
    left, text = int.from_bytes(size, "big"), b""
    while left > len(text) and (more := client.recv(left - len(text))):
        text += more
    asked: dict[str, Any] = json.loads(text)
    return asked


def _say(client: socket.socket, number: int) -> None:
    # It may have been killed meanwhile.
    with suppress(OSError):
        client.sendall(number.to_bytes(NUMBER, "big", signed=True))


def _ended_children() -> Iterator[tuple[int, int]]:
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            yield pid, status


def _become(asked: Mapping[str, Any], files: Sequence[int]) -> None:
    """Makes of a fork what the client would have become."""
    with suppress(OSError):
        os.setpgid(0, asked["group"])
    _take_files(dict(zip(asked["files"], files, strict=True)))
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in asked["ignored"]:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, asked["blocked"])
    if "ray._raylet" in sys.modules:
        # Ray's C++ half has read the server's environment, where it has no token yet.
        raylet = sys.modules["ray._raylet"]
        raylet.Config.initialize("")
        raylet.AuthenticationTokenLoader.instance().reset_cache()
    if "numpy" in sys.modules:
        # Python's own random numbers begin anew in a fork, NumPy's do not.
        sys.modules["numpy"].random.seed()
    gc.enable()


def _take_files(files: Mapping[int, int]) -> None:
    """Puts files in the places that they had with the client, by number."""
    import fcntl

    # None may be in the place of one that is still to be moved.
    high = {place: fcntl.fcntl(file, fcntl.F_DUPFD, HIGH) for place, file in files.items()}
    _close(list(files.values()))
    for place, file in high.items():
        os.dup2(file, place)
        os.close(file)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - as long as the process
    sys.stdout, sys.stderr = _output(1), _output(2)


def _output(file: int) -> TextIO:
    return open(file, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)


def _load(name: str) -> None:
    """Imports a module, or calls ``module:function``, which imports one."""
    module, _, function = name.partition(":")
    found = importlib.import_module(module)
    if function:
        getattr(found, function)()


def main() -> None:
    """Serves until the driver has ended; in a fork, runs what was asked for.

    Its arguments are the number of the listening socket, the program that starts a fork, and what
    is to be imported. The driver holds the other end of its standard input.
    """
    number, launcher, *preloaded = sys.argv[1:]
    server = ForkServer(socket.socket(fileno=int(number)), sys.stdin.fileno())
    # Nothing that an import leaves behind is worth a look.
    gc.disable()
    program = None
    for name in preloaded:
        # Whoever needs it meets the error in a place that can tell of it.
        with suppress(Exception):
            _load(name)
        program = server.turn(timeout_s=0)
        if program is not None:
            break
    gc.freeze()
    while program is None:
        program = server.turn(timeout_s=None)
    program.run(launcher=launcher)


if __name__ == "__main__":
    main()
