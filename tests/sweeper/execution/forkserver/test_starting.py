"""The fork server is for a Ray on this machine, and there is one of it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sweeper.execution.forkserver import forked_workers, start_fork_server, starting


@pytest.fixture(autouse=True)
def servers(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The servers of this process: none."""
    found: list[Any] = []
    monkeypatch.delenv("SWEEPER_FORK_SERVER", raising=False)
    monkeypatch.setattr(starting, "_servers", found)
    return found


@pytest.mark.parametrize("address", ["auto", "10.0.0.1:6379", "ray://head:10001"])
def test_a_ray_that_runs_elsewhere_needs_none(address: str, servers: list[Any]) -> None:
    start_fork_server(address)
    assert not servers


def test_the_environment_names_a_ray_elsewhere(
    monkeypatch: pytest.MonkeyPatch, servers: list[Any]
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    start_fork_server(None)
    assert not servers


def test_it_can_be_switched_off(monkeypatch: pytest.MonkeyPatch, servers: list[Any]) -> None:
    monkeypatch.setenv("SWEEPER_FORK_SERVER", "0")
    start_fork_server(None)
    assert not servers


def test_a_second_one_is_not_started(servers: list[Any]) -> None:
    first = SimpleNamespace(process=SimpleNamespace(poll=lambda: None))
    servers.append(first)
    start_fork_server(None)
    assert servers == [first]


def test_without_a_server_ray_starts_python() -> None:
    python = sys.executable
    with forked_workers():
        assert sys.executable == python


def test_a_folder_too_long_for_a_socket_gives_way(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, servers: list[Any]
) -> None:
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    start_fork_server(None, preloaded=[])
    (server,) = servers
    assert server.launcher.is_relative_to("/tmp")
    server.process.stdin.close()
    server.process.wait(20)


def test_where_nothing_can_be_made_ray_starts_without_it(
    monkeypatch: pytest.MonkeyPatch, servers: list[Any]
) -> None:
    def fail(**_: object) -> str:
        raise OSError("no room")

    monkeypatch.setattr("tempfile.mkdtemp", fail)
    start_fork_server(None)
    assert not servers


def test_one_that_has_died_is_replaced(servers: list[Any]) -> None:
    start_fork_server(None, preloaded=[])
    servers[0].process.kill()
    servers[0].process.wait()
    servers[0].process.stdin.close()
    start_fork_server(None, preloaded=[])
    assert len(servers) == 2
    servers[1].process.stdin.close()
    servers[1].process.wait(20)
