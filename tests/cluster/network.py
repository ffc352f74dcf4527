"""The network of the machines: a bridge on one of them, and a cable from it to each other one."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from tests.cluster.machine import Machine
from tests.cluster.needs import SEARCHED

__all__ = ["PREFIX", "commands", "connect"]

PREFIX = 24
"""Bits of an address that are the network's."""
_BRIDGE, _CARD = "bridge0", "eth0"


def commands(names: Sequence[str], addresses: Sequence[str], pids: Sequence[int]) -> list[str]:
    """Returns the arguments of ``ip`` that connect machines, to be run on the first of them.

    Args:
        names: of the machines.
        addresses: of the machines, IPv4.
        pids: of a process on each.
    """
    lines = [
        f"link add {_BRIDGE} type bridge",
        f"addr add {addresses[0]}/{PREFIX} dev {_BRIDGE}",
        f"link set {_BRIDGE} up",
    ]
    for name, pid in zip(names[1:], pids[1:], strict=True):
        lines += [
            f"link add {name} type veth peer name {_CARD} netns {pid}",
            f"link set {name} master {_BRIDGE} up",
        ]
    return lines


def connect(machines: Sequence[Machine]) -> None:
    """Connects machines that have started; nothing of it is on this machine's own network.

    Raises:
        subprocess.CalledProcessError: the kernel refuses it.
    """
    plans = [machine.plan for machine in machines]
    pids = [machine.pid for machine in machines]
    addresses = [plan.address for plan in plans]
    for line in commands([plan.name for plan in plans], addresses, pids):
        _ip(machines[0], line)
    for machine in machines[1:]:
        _ip(machine, f"addr add {machine.plan.address}/{PREFIX} dev {_CARD}")
        _ip(machine, f"link set {_CARD} up")


def _ip(machine: Machine, line: str) -> None:
    # Only its network is entered: process ids are those of this machine.
    words = ["nsenter", f"--target={machine.pid}", "--net", "ip", *line.split()]
    subprocess.run(words, check=True, capture_output=True, text=True, env={"PATH": SEARCHED})
