"""What Ray starts in place of Python stands for the fork, or becomes the Python."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sweeper.execution.forkserver import client


def test_without_a_server_it_is_the_python_that_was_asked_for(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import os, sys; print(os.getpid(), sys.argv[1:]); sys.exit(3)")
    place = str(tmp_path / "none")
    words = [sys.executable, "-I", "-S", client.__file__, place, sys.executable, str(script), "a"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        said, _ = process.communicate()
    assert process.returncode == 3
    assert said == f"{process.pid} ['a']\n"


def test_a_server_that_says_no_is_an_error(tmp_path: Path) -> None:
    place = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(place)
        listener.listen()
        if not (pid := os.fork()):
            connection, _ = listener.accept()
            connection.recv(1 << 20)
            connection.sendall(bytes(8))
            os._exit(0)
        with pytest.raises(ValueError, match="does not fork"):
            client.fork(place, ["script.py"])
        os.waitpid(pid, 0)


def test_a_signal_that_comes_before_the_fork_is_known_reaches_it(tmp_path: Path) -> None:
    place = str(tmp_path / "socket")
    words = [sys.executable, "-I", "-S", client.__file__, place, sys.executable, "script.py"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(place)
        listener.listen()
        with subprocess.Popen(words) as process, subprocess.Popen(["sleep", "60"]) as fork:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1 << 20)
                process.send_signal(signal.SIGTERM)
                connection.sendall(fork.pid.to_bytes(8, "big", signed=True))
                code = fork.wait(10)
                connection.sendall(code.to_bytes(8, "big", signed=True))
            assert process.wait(10) == code == -signal.SIGTERM


@pytest.mark.parametrize("code", [0, 7, -15, -9])
def test_the_end_of_a_fork_is_told_as_it_was(code: int) -> None:
    own, other = socket.socketpair()
    with own, other:
        other.sendall(code.to_bytes(8, "big", signed=True))
        assert client.await_end(own, os.getpid()) == code


def test_where_the_server_has_gone_the_end_of_the_fork_is_waited_for() -> None:
    own, other = socket.socketpair()
    other.close()
    with own, subprocess.Popen(["sleep", "0.2"]) as process:
        before = signal.getsignal(signal.SIGCHLD)
        # Reaped at once, as the kernel does for whoever has lost its parent.
        signal.signal(signal.SIGCHLD, lambda *_: process.poll())
        try:
            assert client.await_end(own, process.pid) == 1
        finally:
            signal.signal(signal.SIGCHLD, before)
        assert process.returncode == 0


@pytest.mark.parametrize("code", [0, 5, -signal.SIGTERM, -signal.SIGKILL])
def test_it_ends_as_the_fork_has(code: int) -> None:
    if not (pid := os.fork()):
        client.end_like(code)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == code
