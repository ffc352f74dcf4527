"""Forks are to their caller what a new Python would have been."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from sweeper.execution.forkserver import forked_workers, start_fork_server, starting
from sweeper.execution.forkserver.server import ForkServer, program_of

SAY = """
import json, os, signal, sys
print(json.dumps({
    "arguments": sys.argv, "path": sys.path[0], "parent": os.getppid(), "folder": os.getcwd(),
    "value": os.environ.get("VALUE"), "has_table": "wave" in sys.modules, "main": __name__,
    "blocked": signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()),
    "group": os.getpgrp() == os.getpid(), "python": sys.executable,
    "files": os.listdir("/proc/self/fd"),
}), flush=True)
"""


@pytest.fixture
def launcher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What Ray takes for Python, with a server whose only import is a small module."""
    monkeypatch.delenv("SWEEPER_FORK_SERVER", raising=False)
    monkeypatch.setattr(starting, "_servers", [])
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    start_fork_server(None, preloaded=["wave", "no_such_module"])
    (server,) = starting._servers
    yield server.launcher
    assert server.process.stdin is not None
    server.process.stdin.close()
    server.process.wait(10)


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], str]:
    """Writes a script and returns its path."""

    def write(text: str) -> str:
        path = tmp_path / "script.py"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def server_pid() -> int:
    return starting._servers[0].process.pid


def imported(launcher: Path, path: str) -> None:
    """Waits until the server has imported what it is to import."""
    while not json.loads(subprocess.check_output([launcher, path]))["has_table"]:
        time.sleep(0.05)


def test_a_fork_is_as_the_python_that_was_asked_for(
    launcher: Path, script: Callable[[str], str], tmp_path: Path
) -> None:
    path = script(SAY)
    imported(launcher, path)

    def said(python: Path | str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            subprocess.check_output(
                [python, path, "--a", "b c"], cwd=tmp_path, env={**os.environ, "VALUE": "7"}
            )
        )
        return found

    new, forked = said(sys.executable), said(launcher)
    assert forked.pop("parent") == server_pid() != new.pop("parent")
    assert forked.pop("has_table")
    assert not new.pop("has_table")
    # The one that lists the folder is one number further on in either.
    assert len(forked.pop("files")) - len(new.pop("files")) <= 1
    assert forked == new


def test_a_fork_has_the_streams_and_the_exit_code(
    launcher: Path, script: Callable[[str], str]
) -> None:
    path = script("import sys\nprint(sys.stdin.read())\nprint('w', file=sys.stderr)\nsys.exit(9)")
    found = subprocess.run(
        [launcher, path], input="abc", capture_output=True, text=True, check=False
    )
    assert (found.stdout, found.stderr, found.returncode) == ("abc\n", "w\n", 9)


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("import sys; sys.exit('it says why')", 1, "it says why"),
        ("raise KeyError('lost')", 1, "KeyError: 'lost'"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9, ""),
        ("import atexit; atexit.register(print, 'bye')", 0, "bye"),
    ],
)
def test_a_fork_ends_as_python_does(
    launcher: Path, script: Callable[[str], str], text: str, code: int, said: str
) -> None:
    found = subprocess.run([launcher, script(text)], capture_output=True, text=True, check=False)
    assert found.returncode == code
    assert said in found.stdout + found.stderr


def test_a_file_that_is_passed_on_keeps_its_number(
    launcher: Path, script: Callable[[str], str]
) -> None:
    read, write = os.pipe()
    path = script(f"import os\nos.write({write}, b'there')")
    subprocess.run([launcher, path], pass_fds=[write], check=True)
    assert os.read(read, 10) == b"there"
    os.close(read)
    os.close(write)


def test_what_is_sent_to_the_client_reaches_the_fork(
    launcher: Path, script: Callable[[str], str]
) -> None:
    path = script(
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
        "print('up', flush=True)\ntime.sleep(60)"
    )
    with subprocess.Popen([launcher, path], stdout=subprocess.PIPE) as client:
        assert client.stdout is not None
        client.stdout.readline()
        client.terminate()
        assert client.wait(10) == 5


def test_a_fork_ends_with_its_client(launcher: Path, script: Callable[[str], str]) -> None:
    path = script("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)")
    with subprocess.Popen([launcher, path], stdout=subprocess.PIPE) as client:
        assert client.stdout is not None
        fork = psutil.Process(int(client.stdout.readline()))
        client.kill()
    fork.wait(10)


def test_a_fork_is_told_of_its_end_where_somebody_else_kills_it(
    launcher: Path, script: Callable[[str], str]
) -> None:
    path = script("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)")
    with subprocess.Popen([launcher, path], stdout=subprocess.PIPE) as client:
        assert client.stdout is not None
        os.kill(int(client.stdout.readline()), signal.SIGTERM)
        assert client.wait(10) == -signal.SIGTERM


def test_forks_end_with_the_driver(launcher: Path, script: Callable[[str], str]) -> None:
    path = script("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)")
    with subprocess.Popen([launcher, path], stdout=subprocess.PIPE) as client:
        assert client.stdout is not None
        fork = psutil.Process(int(client.stdout.readline()))
        server = starting._servers[0].process
        assert server.stdin is not None
        server.stdin.close()
        assert server.wait(10) == 0
        fork.wait(10)
        client.wait(10)


def test_a_fork_lives_on_where_the_server_is_killed(
    launcher: Path, script: Callable[[str], str], tmp_path: Path
) -> None:
    end = tmp_path / "end"
    path = script(
        f"import os, time\nprint(os.getpid(), flush=True)\n"
        f"while not os.path.exists({str(end)!r}): time.sleep(0.05)"
    )
    with subprocess.Popen([launcher, path], stdout=subprocess.PIPE) as client:
        assert client.stdout is not None
        fork = psutil.Process(int(client.stdout.readline()))
        starting._servers[0].process.kill()
        starting._servers[0].process.wait()
        assert fork.is_running()
        assert client.poll() is None
        end.touch()
        client.wait(10)
    # The next one is a new Python.
    assert json.loads(subprocess.check_output([launcher, script(SAY)]))["has_table"] is False


def test_a_fork_and_its_client_that_end_at_once_do_not_end_the_server() -> None:
    own, other = socket.socketpair()
    read, write = os.pipe()
    with own, other:
        before = signal.getsignal(signal.SIGCHLD)
        server = ForkServer(own, read)
        try:
            # Reaped in the turn in which its client was seen to have gone.
            server._lose(12345)
        finally:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, before)
            server._leave()
    os.close(read)
    os.close(write)


def test_without_a_script_it_is_a_new_python(launcher: Path) -> None:
    text = "import os; print(os.getppid())"
    parent = int(subprocess.check_output([launcher, "-c", text]))
    assert parent == os.getpid() != server_pid()


@pytest.mark.parametrize(
    "hinders",
    [
        "import threading, time\n"
        "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n",
        # Random numbers that have begun are the same ones in all forks.
        "from ray._raylet import UniqueID\nUniqueID.from_random()\n",
    ],
    ids=["thread", "random numbers"],
)
def test_what_a_fork_would_not_survive_is_a_new_python(
    hinders: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: Callable[[str], str]
) -> None:
    (tmp_path / "hindering.py").write_text(hinders)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setattr(starting, "_servers", [])
    start_fork_server(None, preloaded=["hindering", "wave"])
    (server,) = starting._servers
    path = script(SAY)
    said = json.loads(subprocess.check_output([server.launcher, path]))
    assert said["parent"] == os.getpid()
    assert said["has_table"] is False
    assert server.process.stdin is not None
    server.process.stdin.close()
    server.process.wait(10)


def test_ray_is_given_the_launcher_only_while_it_starts(launcher: Path) -> None:
    python = sys.executable
    with forked_workers():
        assert sys.executable == str(launcher)
    assert sys.executable == python


@pytest.mark.parametrize("arguments", [[], ["-c", "1"], ["-m", "http"], ["-u"]])
def test_only_a_script_is_forked(arguments: list[str]) -> None:
    with pytest.raises(ValueError, match="no script"):
        program_of(arguments)
