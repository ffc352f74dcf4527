"""What a machine must have before a cluster can be made inside of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping

__all__ = ["SEARCHED", "missing"]

SEARCHED = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])
"""Where programs are looked for: an ordinary PATH lacks the folders of sshd and ip."""

# A program, and what Debian calls its package.
_PROGRAMS = {
    "bash": "bash",
    "ip": "iproute2",
    "mount": "mount",
    "nsenter": "util-linux",
    "rsync": "rsync",
    "setpriv": "util-linux",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "sshd": "openssh-server",
    "unshare": "util-linux",
}
# Bytes of memory that is free: four Rays, a driver, and two workers with torch.
_MEMORY = 6 << 30
# All kinds of namespaces that a machine gets, and what may be refused inside of them.
_INSIDE = "ip link add bridge0 type bridge && ip link set lo up && mount -n -t tmpfs tmpfs /mnt"
_TRIAL = (
    *("unshare", "--net", "--uts", "--mount", "--pid", "--fork", "--mount-proc"),
    *("bash", "-c", _INSIDE),
)


def missing(
    *,
    find: Callable[[str], str | None] = lambda name: shutil.which(name, path=SEARCHED),
    user: int | None = None,
    memory: int | None = None,
) -> list[str]:
    """Returns what is missing, each with what to do; nothing where a cluster can be made.

    Args:
        find: returns the path of a program.
        user: effective user id; this process's where None.
        memory: bytes that are available; this machine's where None.
    """
    lacking = [name for name in _PROGRAMS if find(name) is None]
    found = []
    if lacking:
        packages = sorted({_PROGRAMS[name] for name in lacking})
        found.append(
            f"programs {', '.join(lacking)} are not installed; on Debian: "
            f"apt install {' '.join(packages)}"
        )
    if (os.geteuid() if user is None else user) != 0:
        found.append("namespaces, mounts and sshd need root; call it as root")
    available = _available_memory() if memory is None else memory
    if available < _MEMORY:
        found.append(f"{available / 2**30:.1f} GiB of memory are free; 6 are needed")
    if not found and (reason := _refusal()):
        found.append(f"namespaces of its own are refused here ({reason}), as in most containers")
    return found


def _available_memory() -> int:
    import psutil

    return int(psutil.virtual_memory().available)


def _refusal() -> str:
    """Returns why namespaces cannot be made; empty where they can."""
    environment: Mapping[str, str] = {**os.environ, "PATH": SEARCHED}
    ended = subprocess.run(_TRIAL, capture_output=True, text=True, check=False, env=environment)
    if not ended.returncode:
        return ""
    return (ended.stderr.strip().splitlines() or ["no reason given"])[-1]
