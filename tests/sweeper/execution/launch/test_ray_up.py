"""`ray up` and `ray down` on the file for hosts: Ray's own launcher, with an ssh that stays here.

No Ray is started: the head's programs `ray` and `pip` are stand-ins that write down their calls.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from sweeper.execution.launch.reading import read_cluster
from sweeper.execution.launch.starting import next_commands
from sweeper.execution.launch.variants import render
from sweeper.preflight.room import TRIAL_RESOURCE

# Runs what the head is told to, with the head's home and what sshd would say of the connection.
SSH = """#!{python}
import json, os, subprocess, sys
place = next(i for i, word in enumerate(sys.argv) if "@" in word)
head = sys.argv[place].partition("@")[2]
with open({log!r}, "a") as file:
    file.write(json.dumps(["ssh", sys.argv[place], *sys.argv[place + 1 :]]) + "\\n")
there = os.environ | {{"HOME": {home!r}, "SSH_CONNECTION": "127.0.0.9 5000 " + head + " 22"}}
sys.exit(subprocess.run(["bash", "-c", " ".join(sys.argv[place + 1 :])], env=there).returncode)
"""
PROGRAM = """#!{python}
import json, os, sys
with open({log!r}, "a") as file:
    file.write(json.dumps([os.path.basename(sys.argv[0]), *sys.argv[1:]]) + "\\n")
"""


class Hosts:
    """The machines: one folder is the home of all of them."""

    def __init__(self, folder: Path) -> None:
        self.home, self.log = folder / "home", folder / "calls"
        self.programs, self.sweeps = folder / "programs", folder / "sweeps"
        self.key, self.file = folder / "key", folder / "local.yaml"
        inside = self.home / ".venvs" / "sweeper" / "bin"
        for path in (inside, self.home / "project", self.programs, self.sweeps):
            path.mkdir(parents=True)
        self.key.touch(0o600)
        # `ray down` calls a plain `ray stop`: a real one, if found, would end every Ray here.
        (self.home / ".bashrc").write_text(f"PATH={inside}:{self.programs}:$PATH\n")
        values = {"python": sys.executable, "log": str(self.log), "home": str(self.home)}
        texts = {self.programs / "ssh": SSH, self.programs / "rsync": PROGRAM}
        texts |= {inside / "ray": PROGRAM, inside / "pip": PROGRAM}
        for path, text in texts.items():
            path.write_text(text.format(**values))
            path.chmod(0o755)

    def ray(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Calls Ray's own command line."""
        environment = os.environ | {
            "PATH": f"{self.programs}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.home),
            "RAY_TMPDIR": str(self.home),
        }
        return subprocess.run(
            [sys.executable, "-m", "ray.scripts.scripts", *arguments],
            cwd=Path(__file__).parents[4],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )

    def calls(self, name: str) -> list[list[str]]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [words[1:] for words in lines if words[0] == name]


@pytest.fixture
def hosts(tmp_path):
    made = Hosts(tmp_path)
    settings = ["name=launch-test", "head_ip=127.0.0.2", "worker_ips=[127.0.0.3]", "ssh_user=me"]
    settings += [f"ssh_key={made.key}", f"sweeps={made.sweeps}"]
    made.file.write_text(render("local", settings))
    return made


@pytest.mark.slow
def test_ray_up_prepares_the_head_and_ray_down_ends_it(hosts):
    ended = hosts.ray("up", str(hosts.file), "--yes", "--no-config-cache")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert {words[0] for words in hosts.calls("ssh")} == {"me@127.0.0.2"}
    # Only the end calls the worker: no autoscaler runs here.
    installs = hosts.calls("pip")
    assert [words[:3] for words in installs] == [["install", "-c", "constraints.txt"]] * 2
    assert [words[3:] for words in installs] == [["torch"], ["-e", "."]]
    sent = [word.partition("~/")[2] for words in hosts.calls("rsync") for word in words[-1:]]
    assert {"project/constraints.txt", "project/sweeper/", "ray_bootstrap_config.yaml"} <= set(sent)
    # The head starts the workers with it.
    assert "ray_bootstrap_key.pem" in sent
    stop, start = hosts.calls("ray")
    assert stop == ["stop"]
    assert start[:2] == ["start", "--head"]
    (resources,) = [word.partition("=")[2] for word in start if word.startswith("--resources")]
    assert json.loads(resources) == {TRIAL_RESOURCE: 10_000}
    assert {"--node-ip-address=127.0.0.2", "--dashboard-host=127.0.0.1", "--num-cpus=0"} <= set(
        start
    )
    (*_, (_, command)) = next_commands(read_cluster(hosts.file))
    stop, _, down = command.rpartition("; ")
    for words in (shlex.split(stop), [*shlex.split(down), "--yes"]):
        ended = hosts.ray(*words[1:])
        assert ended.returncode == 0, ended.stdout + ended.stderr
    # The head's, that of the worker, which the head has called, and the plain one of `ray down`.
    assert hosts.calls("ray")[2:] == [["stop"]] * 3
    called = [words[0] for words in hosts.calls("ssh")]
    assert called.index("me@127.0.0.3") > called.index("me@127.0.0.2")


@pytest.mark.slow
def test_a_shared_folder_that_is_missing_ends_the_start(hosts):
    hosts.sweeps.rmdir()
    ended = hosts.ray("up", str(hosts.file), "--yes", "--no-config-cache")
    assert ended.returncode != 0
    assert f"{hosts.sweeps} is missing or cannot be written" in ended.stdout + ended.stderr
    assert not any(words[0] == "start" for words in hosts.calls("ray") or [])
