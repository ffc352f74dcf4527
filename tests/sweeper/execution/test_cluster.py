"""What a Ray that is left at once leaves behind: none of its agents."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import psutil
import pytest
import ray

from sweeper.execution.cluster import end_agents

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
