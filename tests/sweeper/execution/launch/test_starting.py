"""How ``ray up`` is called, and the commands that come after it."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from sweeper.errors import SweeperError
from sweeper.execution.launch.reading import read_cluster
from sweeper.execution.launch.starting import find_ray, next_commands, ray_up
from sweeper.execution.launch.variants import render
from tests.sweeper import launching


@pytest.fixture
def world(tmp_path, monkeypatch):
    return launching.make_world(tmp_path, monkeypatch)


def cluster(world, variant, *settings, name="my cluster.yaml"):
    path = world.folder / name
    path.write_text(render(variant, settings))
    return read_cluster(path)


def test_ray_asks_by_itself(world):
    found = cluster(world, "aws")
    ray_up(found, is_agreed=False)
    ray_up(found, is_agreed=True)
    assert world.calls("ray") == [["up", str(found.path)], ["up", str(found.path), "--yes"]]


def test_a_ray_that_fails_is_told_with_what_may_run(world):
    world.program("ray", code=3)
    with pytest.raises(SweeperError, match=r"ended with 3; .*ray down '.*my cluster\.yaml'"):
        ray_up(cluster(world, "aws"), is_agreed=False)


def test_ray_beside_this_python_is_found(world, monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    (world.programs / "ray").rename(world.programs / "other")
    beside = Path(sys.executable).with_name("ray")
    assert find_ray() == (str(beside) if beside.is_file() else None)


def words_of(command: str) -> list[str]:
    return shlex.split(command)


@pytest.mark.parametrize("variant", ["aws", "gcp", "local"])
def test_the_next_commands_name_the_file(world, variant):
    commands = dict(next_commands(cluster(world, variant)))
    file = str(world.folder / "my cluster.yaml")
    # What the head runs is quoted, and may be several commands, too.
    parts = [each for command in commands.values() for each in re.split("; (?=ray )", command)]
    calls = [words_of(each) for each in parts]
    assert {words[0] for words in calls} == {"ray"}
    assert {words[1] for words in calls} == {"exec", "dashboard", "job", "down"}
    assert all(file in words for words in calls if words[1] != "job")


@pytest.mark.parametrize("variant", ["aws", "gcp", "local", "raycluster"])
def test_what_is_submitted_needs_no_shell(world, variant):
    # Ray quotes each word with a character that means something to a shell, a ~ among them.
    submit = dict(next_commands(cluster(world, variant)))["start a sweep"]
    words = words_of(submit)
    words = words[words.index("--") + 1 :]
    assert shlex.join(words) == " ".join(words)
    assert words[:4] == ["python", "-m", "sweeper", "run"]
    assert "--address" in words


def test_the_sweep_is_of_the_profile_that_was_checked(world):
    commands = dict(next_commands(cluster(world, "aws"), profile="my profile.yaml"))
    words = words_of(commands["start a sweep"])
    assert words[words.index("--profile") + 1] == "my profile.yaml"


def test_another_port_of_the_dashboard_is_forwarded(world):
    (forward,) = [
        command
        for _, command in next_commands(cluster(world, "aws", "dashboard_port=8300"))
        if command.startswith("ray dashboard")
    ]
    assert words_of(forward)[-2:] == ["--remote-port", "8300"]


def test_mlflow_s_pages_are_forwarded_from_the_shared_folder(world):
    commands = [command for _, command in next_commands(cluster(world, "local", "sweeps=/mine"))]
    (pages,) = [words_of(command) for command in commands if "--port-forward" in command]
    assert pages[pages.index("--port-forward") + 1] == "5000"
    assert pages[-1] == "SWEEPER_HOME=/mine ~/.venvs/sweeper/bin/python -m sweeper ui"


def test_the_end_stops_the_head_first_and_then_each_worker(world):
    (*_, (_, command)) = next_commands(cluster(world, "local", "worker_ips=[10.0.0.2, 10.0.0.3]"))
    there = words_of(command)[3].rstrip(";")
    head, _, workers = there.partition("; ")
    # An autoscaler that lives would start the workers again.
    assert head == "~/.venvs/sweeper/bin/ray stop"
    assert workers.startswith("for host in 10.0.0.2 10.0.0.3; do ssh -n -i ~/ray_bootstrap_key.pem")
    # The ~ is that of the worker.
    assert workers.endswith('ubuntu@$host "~/.venvs/sweeper/bin/ray stop"; done')


def test_without_workers_the_end_stops_the_head(world):
    (*_, (_, command)) = next_commands(cluster(world, "local", "worker_ips=[]"))
    assert words_of(command)[3] == "~/.venvs/sweeper/bin/ray stop;"


@pytest.mark.parametrize("kind", ["raycluster", "rayjob"])
def test_in_kubernetes_kubectl_does_it(world, kind):
    found = cluster(world, kind)
    commands = [command for _, command in next_commands(found)]
    assert commands[0].startswith("kubectl create secret generic huggingface ")
    assert commands[1] == f"kubectl apply -f '{found.path}'"
    # A file that is deleted takes the volume along.
    assert commands[-1] == f"kubectl delete {kind} masa-mosa-sweeper"
    assert any("port-forward" in command for command in commands)
    assert any("ray job submit" in command for command in commands) == (kind == "raycluster")
