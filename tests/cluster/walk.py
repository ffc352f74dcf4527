"""The walk: a cluster is launched, a sweep spans two machines of it, and the cluster is ended.

All that it types is what the documentation says, or what ``launch`` has printed before.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from tests.cluster.checks import check_actors, check_sweep
from tests.cluster.cluster import ADDRESSES, KEY, VENV, Cluster
from tests.cluster.machine import HOME, SWEEPS, USER, Ended
from tests.cluster.transcript import Transcript, plain

__all__ = ["SWEEP", "TRIALS", "printed", "walk"]

FILE = "local.yaml"
SWEEP, TRIALS = "span", 4
WORKERS = ("worker-1", "worker-2")

_SETTINGS = (
    "name=walk",
    f"head_ip={ADDRESSES['head']}",
    f"worker_ips=[{', '.join(ADDRESSES[name] for name in WORKERS)}]",
    f"ssh_user={USER}",
    f"ssh_key=~/.ssh/{KEY.name}",
    # The environment is there already, and one processor a machine: no machine has room for two.
    "setup=[]",
    "worker_options=--num-cpus=1",
)
_CHANGES = (
    f"--name {SWEEP}",
    "--set resources.workers=2 --set resources.max_replicas=1",
    f"--set search.trials={TRIALS} --set train.steps=24",
)
_SWEEPER = f"SWEEPER_HOME={SWEEPS} ~/{VENV.relative_to(HOME)}/bin/python -m sweeper"
# Seconds that a machine may take that is busy with other programs.
_LONG_S = 900.0
# Seconds in which all of it has ended after the command that ends it.
_ENDING_S = 120.0
# Of a launch: Ray's stages, and what comes next.
_UP = (
    *("^note:", r"^\[\d/7\]", "New status: up-to-date"),
    *(
        "^Next:",
        "^  # ",
        rf"^  ray (exec|dashboard) {FILE}",
        "^  ray job submit --address http://127",
    ),
)


class _Typing:
    """Types commands at the desk and writes them down."""

    def __init__(self, cluster: Cluster, transcript: Transcript, tell: Callable[[str], None]):
        self._cluster, self._transcript, self._tell = cluster, transcript, tell

    def run(self, command: str, *, shown: Sequence[str] = ()) -> str:
        """Runs a command that must succeed; returns what it says, plain."""
        ended, seconds = self._once(command)
        self._transcript.note(command, ended.out, seconds=seconds, shown=shown)
        return plain(ended.out, places=self._transcript.places)

    def until(self, command: str, found: str, *, shown: Sequence[str] = ()) -> str:
        """Runs a command until it says something; only the last time is written down.

        Args:
            command: that is asked again.
            found: pattern that ends the waiting.
            shown: as of :meth:`run`.
        """
        deadline = time.monotonic() + _LONG_S
        while True:
            ended, seconds = self._once(command, must_succeed=False)
            if not ended.code and re.search(found, plain(ended.out, places={})):
                self._transcript.note(command, ended.out, seconds=seconds, shown=shown)
                return ended.out
            assert time.monotonic() < deadline, f"'{command}' does not say {found}: {ended.out}"
            time.sleep(3)

    def keep(self, command: str, *, port: int) -> None:
        """Starts a command that runs on, and waits until it listens.

        Args:
            command: that opens a tunnel.
            port: of the desk's loopback address.
        """
        self._tell(f"$ {command} &")
        log = self._cluster.start(command)
        self._cluster.wait_for_port("127.0.0.1", port, timeout_s=_LONG_S, said=lambda: _end_of(log))
        self._transcript.note(f"{command} &", "", seconds=0)

    def document(self, command: str) -> Any:
        """Returns the JSON that a command prints; it is not written down."""
        ended, _ = self._once(f"{command} 2>/dev/null")
        return json.loads(ended.out)

    def _once(self, command: str, *, must_succeed: bool = True) -> tuple[Ended, float]:
        self._tell(f"$ {command}")
        started_s = time.monotonic()
        ended = self._cluster.say(command, timeout_s=_LONG_S)
        seconds = time.monotonic() - started_s
        is_fine = ended.code == 0 or not must_succeed
        assert is_fine, f"'{command}' ended with {ended.code}: {ended.out[-4000:]}"
        return ended, seconds


def _end_of(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-2000:]


def printed(text: str, purpose: str) -> str:
    """Returns the command that ``launch`` has printed for a purpose.

    Args:
        text: what it printed.
        purpose: beginning of the line above the command.

    Raises:
        AssertionError: there is none.
    """
    lines = [line.strip() for line in text.splitlines()]
    for line, command in pairwise(lines):
        if line.startswith(f"# {purpose}"):
            return command
    raise AssertionError(f"launch has printed no command for '{purpose}': {text[-2000:]}")


def walk(cluster: Cluster, transcript: Transcript, *, tell: Callable[[str], None]) -> None:
    """Walks from a file to a finished sweep, checks it, and ends the cluster.

    Args:
        cluster: the machines; no Ray runs there.
        transcript: gets all that is typed.
        tell: called with each command before it runs.

    Raises:
        AssertionError: something is not as the documentation says.
    """
    typing = _Typing(cluster, transcript, tell)
    commands = _launch(typing, transcript)
    address = _sweep(typing, transcript, commands)
    _look(typing, cluster, address)
    _end(typing, cluster, transcript, commands)


def _launch(typing: _Typing, transcript: Transcript) -> str:
    transcript.say("The file is written, checked and launched:")
    options = " ".join(f"--set {_quoted(each)}" for each in _SETTINGS)
    typing.run(f"python -m sweeper launch {FILE} --write local {options}")
    said = typing.run(f"python -m sweeper launch {FILE} --yes --profile embedded", shown=_UP)
    transcript.say("The head starts the workers. `launch` has printed how they are watched:")
    cpus = f"0.0/{len(WORKERS)}.0 CPU"
    shown = ("Active", "Healthy", "Idle", r"local\.cluster", "CPU", "trial")
    typing.until(printed(said, "machines, and what"), re.escape(cpus), shown=shown)
    return said


def _quoted(setting: str) -> str:
    return f'"{setting}"' if " " in setting or "[" in setting else setting


def _sweep(typing: _Typing, transcript: Transcript, commands: str) -> str:
    """Submits the sweep and waits for its end; returns the address that it was submitted to."""
    transcript.say(
        "A replica of two workers, each of which takes the one processor of a machine, must span "
        "both. The sweep is submitted to the head through a tunnel:"
    )
    submit = f"{printed(commands, 'start a sweep')} {' '.join(_CHANGES)}"
    (address,) = re.findall(r"--address (http://\S+)", submit)
    typing.keep(printed(commands, "dashboard"), port=int(address.rpartition(":")[2]))
    said = typing.run(submit, shown=("submitted",))
    (job,) = set(re.findall(r"raysubmit_\w+", said))
    transcript.say("Another machine that sees the shared folder follows it:")
    # A sweep of seconds may be over when it is asked about.
    found = rf"Sweep {SWEEP} +(running[\s\S]+/24 steps|complete)"
    typing.until(_at("worker-2", f"{_SWEEPER} status {SWEEP}"), found)
    transcript.say("Ray's word for it, and the sweep's own:")
    ended = typing.until(
        f"ray job status {job} --address {address}", "succeeded|failed|stopped", shown=("Job '",)
    )
    assert "succeeded" in ended, f"the job did not succeed: {ended}"
    return address


def _at(machine: str, command: str) -> str:
    known = "-o StrictHostKeyChecking=accept-new -o LogLevel=ERROR"
    target = f"{USER}@{ADDRESSES[machine]}"
    return f"ssh -i ~/.ssh/{KEY.name} {known} {target} '{command}'"


def _look(typing: _Typing, cluster: Cluster, address: str) -> None:
    typing.run(_at("worker-1", f"{_SWEEPER} list"))
    shown = ("^Trial", "status", "steps", "nodes", "eval_loss", "adapter")
    typing.run(_at("worker-1", f"{_SWEEPER} show {SWEEP}"), shown=shown)
    listed = f"--address {address} --format json"
    # Workers of a run of Ray Train: also those that have ended.
    actors = typing.document(f"ray list actors --filter class_name=RayTrainWorker {listed}")
    nodes = typing.document(f"ray list nodes {listed}")
    workers = {ADDRESSES[name] for name in WORKERS}
    check_actors(actors, nodes, workers=workers)
    check_sweep(cluster.sweeps / SWEEP, trials=TRIALS, nodes=workers)


def _end(typing: _Typing, cluster: Cluster, transcript: Transcript, commands: str) -> None:
    transcript.say("The cluster is ended by the command that `launch` has printed:")
    command = printed(commands, "end ").replace("ray down", "ray down --yes")
    typing.run(command, shown=("Stopped", "remaining after", "No nodes"))
    # The tunnel has a shell on the head.
    cluster.close_terminals()
    deadline = time.monotonic() + _ENDING_S
    while left := _others(cluster):
        assert time.monotonic() < deadline, f"still on the machines of the cluster: {left}"
        time.sleep(1)
    transcript.say("No process but sshd was left on any machine of the cluster.")


def _others(cluster: Cluster) -> list[str]:
    """Returns the processes on the machines of the cluster that are not sshd's."""
    found = []
    for name, machine in cluster.machines.items():
        for process in machine.processes() if name != "desk" else []:
            with suppress(psutil.Error):
                line = " ".join(process.cmdline())
                if not line.startswith("sshd"):
                    found.append(f"{name}: {line[:80]}")
    return found
