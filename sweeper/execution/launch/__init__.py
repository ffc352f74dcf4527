"""A cluster that is not there yet: its file, what is still wrong with it, and ``ray up``."""

from __future__ import annotations

from sweeper.execution.launch.checking import Checked, check_cluster
from sweeper.execution.launch.clouds import PLACEHOLDER_AMI, find_ami
from sweeper.execution.launch.reading import ClusterFile, read_cluster
from sweeper.execution.launch.starting import next_commands, ray_up
from sweeper.execution.launch.variants import VARIANTS, render

__all__ = [
    "PLACEHOLDER_AMI",
    "VARIANTS",
    "Checked",
    "ClusterFile",
    "check_cluster",
    "find_ami",
    "next_commands",
    "ray_up",
    "read_cluster",
    "render",
]
