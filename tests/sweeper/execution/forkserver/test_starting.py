"""The fork server is for a Ray on this machine, and there is one of it."""

from __future__ import annotations

import sys

import pytest

from sweeper.execution.forkserver import forked_workers, start_fork_server, starting


@pytest.fixture(autouse=True)
def servers(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The servers of this process: none."""
    found: list[object] = []
    monkeypatch.setattr(starting, "_servers", found)
    return found


@pytest.mark.parametrize("address", ["auto", "10.0.0.1:6379", "ray://head:10001"])
def test_a_ray_that_runs_elsewhere_needs_none(address: str, servers: list[object]) -> None:
    start_fork_server(address)
    assert not servers


def test_the_environment_names_a_ray_elsewhere(
    monkeypatch: pytest.MonkeyPatch, servers: list[object]
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    start_fork_server(None)
    assert not servers


def test_it_can_be_switched_off(monkeypatch: pytest.MonkeyPatch, servers: list[object]) -> None:
    monkeypatch.setenv("SWEEPER_FORK_SERVER", "0")
    start_fork_server(None)
    assert not servers


def test_a_second_one_is_not_started(servers: list[object]) -> None:
    servers.append("the first")
    start_fork_server(None)
    assert servers == ["the first"]


def test_without_a_server_ray_starts_python() -> None:
    python = sys.executable
    with forked_workers():
        assert sys.executable == python
