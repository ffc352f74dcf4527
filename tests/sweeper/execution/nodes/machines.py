"""Machines of a Ray cluster that are processes of this one, started and killed one by one.

``ray.cluster_utils.Cluster`` lives in a process of its own: Ray ends a process that stays connected
to a head that has died, and that must not be the tests'.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import psutil

from tests.places import ROOT

__all__ = ["HEAD", "Machines", "machines"]

# No CPU and no GPU, as in the templates of clusters: replicas belong on the workers.
HEAD = {"num_cpus": 0, "include_dashboard": False}
# Environment variable by which every process of some machines is known, however it was started.
_MARK = "TEST_MACHINES"
_ANSWER_S = 90.0


class Machines:
    """A cluster whose machines are started and killed by name."""

    def __init__(self, *, environment: Mapping[str, str]) -> None:
        """Starts no machine yet; the environment is that of all processes of the cluster."""
        self._mark = uuid.uuid4().hex
        self._keeper = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, **environment, _MARK: self._mark},
            start_new_session=True,
        )
        self.address = ""

    def start(self, name: str, **settings: Any) -> None:
        """Starts a machine, the first one as the head, and returns when it has joined.

        Args:
            name: by which Ray knows it.
            settings: of Ray's node; one CPU where nothing is said.
        """
        self.address = self._ask("start", name, **settings)

    def kill(self, name: str) -> None:
        """Ends all processes of a machine as a loss of power does."""
        self._ask("kill", name)

    def _ask(self, work: str, name: str, **settings: Any) -> str:
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        self._keeper.stdin.write(json.dumps([work, name, settings]) + "\n")
        self._keeper.stdin.flush()
        while line := self._keeper.stdout.readline():
            # Ray prints, too.
            word, _, rest = line.partition(" ")
            if word == "ANSWER":
                return rest.strip()
        raise AssertionError(f"the machines' keeper has ended: {self._keeper.wait()}")

    def processes(self, *words: str) -> list[psutil.Process]:
        """Returns living processes of the machines, those whose command line has a word."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                is_ours = process.environ().get(_MARK) == self._mark
                if not is_ours or process.status() == psutil.STATUS_ZOMBIE:
                    continue
                line = " ".join(process.cmdline())
                if not words or any(word in line for word in words):
                    found.append(process)
        return found

    def close(self) -> None:
        """Ends what is left of all machines."""
        self._keeper.kill()
        self._keeper.wait()
        for stream in (self._keeper.stdin, self._keeper.stdout):
            assert stream is not None
            stream.close()
        while found := self.processes():
            for process in found:
                with suppress(psutil.Error):
                    process.kill()
            psutil.wait_procs(found, timeout=5)


@contextmanager
def machines(*, environment: Mapping[str, str]) -> Iterator[Machines]:
    """Machines that are gone when the body ends, however it does.

    Args:
        environment: variables in addition to this process's.
    """
    made = Machines(environment=environment)
    try:
        yield made
    finally:
        made.close()


def _keep() -> None:
    """Does what is asked for on standard input, a line each."""
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    nodes: dict[str, Any] = {}
    for line in sys.stdin:
        work, name, settings = json.loads(line)
        if work == "start":
            nodes[name] = cluster.add_node(node_name=name, **settings)
            address = cluster.address
        else:
            cluster.remove_node(nodes.pop(name), allow_graceful=False)
        sys.stdout.write(f"ANSWER {address}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _keep()
