"""The page that a walk writes."""

from __future__ import annotations

import platform
import textwrap
from importlib.metadata import version
from pathlib import Path

import psutil

from tests.cluster.transcript import Transcript
from tests.cluster.walk import TRIALS
from tests.places import ROOT

__all__ = ["PAGE", "page"]

PAGE: Path = ROOT / "docs" / "measurements" / "cluster.md"
"""The page of the documentation."""

_HEAD = f"""# A cluster on one machine

`make test-cluster` makes four machines out of one: a desk, a head and two workers. Each has
network, files, processes and a name of its own (Linux namespaces); all but the desk run sshd. From
the desk Ray's launcher starts the cluster by the file that `launch --write local` gives, and a
sweep is submitted whose one replica spans the workers. What is typed is what
[the tutorial](../tutorials/cluster.md) says, or what `launch` prints.

Checked on the way, or the command fails:

- Ray ran the replica's two workers on two machines, one on each, and started neither again.
- Each of the {TRIALS} trials ended in one attempt, and its record names both machines.
- Each trial is once in Optuna's study and once in MLflow, with every step once.
- Each complete trial has its adapter in the shared folder.
- Once the cluster is ended, no process of Ray is on any machine.
- Once the machines are ended, no process, no network device, no mount and no file is left.

**What this does not show**: a GPU or NCCL; a network that is slow or loses packets; NFS, as the
shared folder is a folder of the same disk; clocks that differ; an installation, as the machines
share one environment (`setup=[]`).

## Transcript

Lines that are left out are marked by `…`.
"""


def page(transcript: Transcript, *, seconds: float) -> str:
    """Returns the page of a walk.

    Args:
        transcript: of the walk.
        seconds: from the first namespace to the last check.
    """
    system = " ".join(platform.freedesktop_os_release().get("PRETTY_NAME", "Linux").split()[:3])
    foot = (
        f"Ray {version('ray')}, Python {platform.python_version()}, {system}, "
        f"{psutil.cpu_count()} processors, {psutil.virtual_memory().total / 2**30:.0f} GiB. All of "
        f"it took {seconds / 60:.0f} min, beside other programs."
    )
    return f"{_HEAD}\n{transcript.markdown()}\n{textwrap.fill(foot, width=100)}\n"
