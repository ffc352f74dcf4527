"""What a Ray that is left at once leaves behind: none of its agents."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import ray
from ray.exceptions import AuthenticationError

from sweeper.errors import BadInputError
from sweeper.execution import cluster
from sweeper.execution.cluster import (
    _MOST_OF_A_SOCKET,
    _agree_on_token,
    _keep_token,
    _shorten_folder,
    _tell_message,
    connect,
    end_agents,
)

# A process in the place of a raylet, with two agents, one of which has no title yet, and a worker.
RAYLET = """
import signal, subprocess, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
names = ["ray::DashboardAgent", "python /ray/_private/runtime_env/agent/main.py", "ray::IDLE"]
for name in names:
    print(subprocess.Popen([name, "60"], executable="/bin/sleep").pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def raylet() -> Iterator[tuple[subprocess.Popen[str], list[psutil.Process]]]:
    command = [sys.executable, "-c", RAYLET]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        children = [psutil.Process(int(process.stdout.readline())) for _ in range(3)]
        yield process, children
        for child in children:
            if child.is_running():
                child.kill()
        process.kill()


def node_of(process: subprocess.Popen[str]) -> SimpleNamespace:
    return SimpleNamespace(all_processes={"raylet": [SimpleNamespace(process=process)]})


def test_a_raylets_agents_are_ended_and_its_workers_are_left_to_it(
    raylet: tuple[subprocess.Popen[str], list[psutil.Process]], monkeypatch: pytest.MonkeyPatch
) -> None:
    process, (*agents, worker) = raylet
    monkeypatch.setattr(ray._private.worker, "_global_node", node_of(process))
    end_agents()
    _, alive = psutil.wait_procs(agents, timeout=5)
    assert alive == []
    assert worker.is_running()
    # They are gone already, and so may the raylet be.
    end_agents()
    process.kill()
    process.wait()
    end_agents()


def test_where_no_ray_was_started_nothing_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    for node in (None, SimpleNamespace(all_processes={})):
        monkeypatch.setattr(ray._private.worker, "_global_node", node)
        end_agents()


def test_of_a_message_of_rays_a_line_is_told_and_no_log_of_a_dead_process(
    caplog: pytest.LogCaptureFixture,
) -> None:
    text = (
        "\nRaylet is terminated. " + "Possible reasons. " * 30 + "\n    [state-dump] rpc: 1 total"
    )
    _tell_message({"lines": [text], "pid": "raylet", "is_err": False}, ignore_prefix=False)
    [said] = [record.getMessage() for record in caplog.records]
    assert said.startswith("Ray: Raylet is terminated. Possible")
    assert len(said) < 320


def test_advice_of_rays_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    text = "WARNING: 4 PYTHON worker processes have been started on node: 22"
    _tell_message({"lines": [text], "pid": "raylet", "is_err": False}, ignore_prefix=False)
    assert [record.levelname for record in caplog.records] in ([], ["INFO"])


@pytest.mark.parametrize("variable", ["TMPDIR", "RAY_TMPDIR"])
@pytest.mark.parametrize(("length", "is_short"), [(39, True), (40, False), (120, False)])
def test_a_folder_too_long_for_a_socket_gives_way_to_tmp(
    variable: str,
    length: int,
    is_short: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name in ("TMPDIR", "RAY_TMPDIR"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    folder = "/" + "x" * (length - 1)
    monkeypatch.setenv(variable, folder)
    _shorten_folder()
    assert os.environ.get("RAY_TMPDIR", folder) == (folder if is_short else "/tmp")
    assert [folder in record.getMessage() for record in caplog.records] == [True] * (not is_short)


def test_a_socket_of_the_longest_folder_can_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the bound above is the kernel's."""
    for length, can_be in ((_MOST_OF_A_SOCKET, True), (_MOST_OF_A_SOCKET + 1, False)):
        # Of a path from the working folder the kernel counts no more than is given.
        monkeypatch.chdir(tmp_path)
        with socket.socket(socket.AF_UNIX) as made:
            if can_be:
                made.bind("s" * length)
            else:
                with pytest.raises(OSError, match="too long"):
                    made.bind("s" * length)


@pytest.fixture
def no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        # Set before it is deleted, so that what the test leaves is taken away.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("no_token")
def test_where_the_home_takes_no_file_ray_gets_its_token_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    for home in ("/proc/self", str(tmp_path / "file")):
        monkeypatch.setenv("HOME", home)
        _keep_token()
        assert len(os.environ.pop("RAY_AUTH_TOKEN")) == 64


@pytest.mark.usefixtures("no_token")
def test_where_ray_can_keep_its_token_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    _keep_token()
    assert "RAY_AUTH_TOKEN" not in os.environ
    assert list((tmp_path / ".ray").iterdir()) == []


HEAD = "192.0.2.7:6379"


@contextmanager
def node(**environment: str) -> Iterator[None]:
    """A process that has the command line of one of a node's, and the environment of its start."""
    command = ["/bin/sh", "-c", "echo up; read line", "raylet", f"--gcs-address={HEAD}"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        yield
        process.kill()


@pytest.mark.usefixtures("no_token")
@pytest.mark.parametrize(
    ("address", "started_with", "mode"),
    [
        # The user's token is shown to a cluster that asks for it, as Ray does it by itself.
        ("auto", {"RAY_AUTH_MODE": "token"}, None),
        ("auto", {"RAY_AUTH_MODE": "disabled"}, "disabled"),
        # So Ray starts a cluster of a user who has no token yet.
        ("auto", {}, "disabled"),
        (HEAD, {}, None),
        ("local", {}, None),
    ],
)
def test_a_cluster_without_a_token_is_not_shown_the_users_one(
    monkeypatch: pytest.MonkeyPatch,
    address: str,
    started_with: dict[str, str],
    mode: str | None,
) -> None:
    monkeypatch.setattr(ray._private.services, "canonicalize_bootstrap_address", lambda _: HEAD)
    with node(**started_with):
        _agree_on_token(address)
    assert os.environ.get("RAY_AUTH_MODE") == mode
    # A Ray that this process then starts has its token all the same.
    _agree_on_token("local")
    assert "RAY_AUTH_MODE" not in os.environ


@pytest.mark.usefixtures("no_token")
def test_what_the_user_says_of_the_token_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray._private.services, "canonicalize_bootstrap_address", lambda _: HEAD)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    with node():
        _agree_on_token("auto")
    assert os.environ["RAY_AUTH_MODE"] == "token"


@pytest.mark.usefixtures("no_token")
def test_where_no_cluster_is_found_ray_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_: str) -> str:
        raise ConnectionError("Could not find any running Ray instance")

    monkeypatch.setattr(ray._private.services, "canonicalize_bootstrap_address", nothing)
    _agree_on_token("auto")
    assert "RAY_AUTH_MODE" not in os.environ


@pytest.mark.usefixtures("no_token")
def test_a_cluster_with_another_token_is_told_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster, "RAY_ENVIRONMENT", {})
    monkeypatch.setattr(cluster, "start_fork_server", lambda _: None)

    def init(**_: object) -> None:
        raise AuthenticationError("InvalidAuthToken")

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(BadInputError, match="does not take this process") as caught:
        connect(HEAD)
    said = str(caught.value)
    assert f"the cluster at '{HEAD}' does not take this process (InvalidAuthToken)" in said
    assert "set RAY_AUTH_MODE=token; RAY_AUTH_MODE=disabled is for a cluster without" in said


@pytest.mark.usefixtures("no_token")
def test_a_ray_that_does_not_start_in_time_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(cluster, "RAY_ENVIRONMENT", {})
    monkeypatch.setattr(cluster, "start_fork_server", lambda _: None)

    def init(**_: object) -> None:
        raise Exception("The current node timed out during startup.")

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(BadInputError, match=r"not started on this machine \(The current node"):
        connect("local")


def test_who_connects_waits_until_the_last_ray_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    course: list[str] = []
    may_end = threading.Event()

    def shutdown() -> None:
        may_end.wait(10)
        course.append("ended")

    def start(*_: object) -> None:
        course.append("starts")
        raise BadInputError("enough")

    monkeypatch.setattr(ray, "shutdown", shutdown)
    monkeypatch.setattr(cluster, "RAY_ENVIRONMENT", {})
    monkeypatch.setattr(cluster, "start_fork_server", lambda _: None)
    monkeypatch.setattr(cluster, "_started", start)
    monkeypatch.setattr(cluster, "_import_ahead", lambda: None)
    cluster.disconnect()
    # It has not waited itself.
    assert course == []
    threading.Timer(0.1, may_end.set).start()
    with pytest.raises(BadInputError, match="enough"):
        connect("local")
    assert course == ["ended", "starts"]


def test_a_monitor_is_ended_before_ray_would_wait_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ignoring = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True)"
    command = [sys.executable, "-c", f"{ignoring}; time.sleep(60)"]
    seen: list[int] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE) as monitor:
        assert monitor.stdout is not None
        monitor.stdout.readline()
        node = SimpleNamespace(all_processes={"monitor": [SimpleNamespace(process=monitor)]})
        monkeypatch.setattr(ray._private.worker, "_global_node", node)
        monkeypatch.setattr(ray, "shutdown", lambda: seen.append(monitor.wait(10)))
        cluster.disconnect()
        cluster._join_shutdown()
    assert seen == [-9]
