"""What Ray starts in place of Python: ``client.py SOCKET PYTHON ARGUMENTS...``.

It runs with Python's own library alone, the least of it, and before anything else of this package:
each process of Ray begins with it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterable

__all__ = ["NUMBER", "await_end", "end_like", "fork", "main"]

# Seconds between two looks at a fork whose server has gone.
_LOOK_S = 0.5
NUMBER = 8
"""Bytes of a number on the socket, with its sign."""
# Those that end a process, or that somebody may have sent for a purpose.
_PASSED_ON = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


def main() -> None:
    """Runs a script in a fork of the server; in a new Python where there is none."""
    address, python, *arguments = sys.argv[1:]
    # A fork may run before this process knows of it: what is sent until then waits for it.
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)
    try:
        connection, pid = fork(address, arguments, blocked)
    except (OSError, ValueError):
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        os.execv(python, [python, *arguments])
    for number in _PASSED_ON:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, _: os.kill(pid, number))
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    end_like(await_end(connection, pid))


def fork(
    address: str, arguments: list[str], blocked: Iterable[int] = ()
) -> tuple[socket.socket, int]:
    """Asks for a fork that is to this process as if it had been started in its place.

    Args:
        address: of the server's socket.
        arguments: of Python.
        blocked: the signals that the fork blocks.

    Returns:
        The connection that tells of its end, and its process id.

    Raises:
        OSError: no server answers.
        ValueError: the server does not fork.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(address)
    files = _given_files(connection.fileno())
    asked = {
        "arguments": arguments,
        "environment": dict(os.environ),
        "folder": os.getcwd(),  # noqa: PTH109 - pathlib takes longer to import than all the rest
        "files": files,
        "group": 0 if os.getpgrp() == os.getpid() else os.getpgrp(),
        "blocked": [int(number) for number in blocked],
        "ignored": [int(n) for n in _PASSED_ON if signal.getsignal(n) is signal.SIG_IGN],
    }
    text = json.dumps(asked).encode()
    socket.send_fds(connection, [len(text).to_bytes(NUMBER, "big")], files)
    connection.sendall(text)
    pid = int.from_bytes(connection.recv(NUMBER), "big", signed=True)
    if pid <= 0:
        connection.close()
        raise ValueError("the server does not fork")
    return connection, pid


def _given_files(own: int) -> list[int]:
    """Returns the numbers of the files that this process has been given open."""
    found = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        try:
            if int(name) != own and os.get_inheritable(int(name)):
                found.append(int(name))
        except OSError:
            # The one that listed the folder.
            continue
    return sorted(found)


def await_end(connection: socket.socket, pid: int) -> int:
    """Returns what a fork has ended with: its exit code, or its signal below zero."""
    try:
        answer = connection.recv(NUMBER)
    except OSError:
        answer = b""
    if answer:
        return int.from_bytes(answer, "big", signed=True)
    # The server has gone, and the fork may have not. Nobody knows what such a one ends with.
    while os.path.exists(f"/proc/{pid}"):  # noqa: PTH110
        time.sleep(_LOOK_S)
    return 1


def end_like(code: int) -> None:
    """Ends this process by an exit code, or by a signal below zero."""
    if code >= 0:
        os._exit(code)
    if -code not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)


if __name__ == "__main__":
    main()
