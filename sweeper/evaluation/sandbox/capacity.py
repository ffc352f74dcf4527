"""How many programs run at once: as many as processors and memory of this process's share hold."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import psutil

__all__ = ["programs_at_once"]

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")


def programs_at_once(memory_bytes: int) -> int:
    """Returns how many programs may run at once, at least 1.

    A container's share of processors and memory counts, not the machine's.

    Args:
        memory_bytes: what one program may use, positive.
    """
    processors = [float(_processors()), *_quotas()]
    memory = [psutil.virtual_memory().available, *_memory_left()]
    return max(1, int(min(min(processors), min(memory) // memory_bytes)))


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _folders(controller: str) -> Iterator[Path]:
    """Yields the folders of this process's control group and of those above it."""
    try:
        lines = OWN_CGROUPS.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, mark, name = rest.partition(":")
        if not mark:
            continue
        if controllers and controller not in controllers.split(","):
            continue
        root = CGROUPS / controllers if controllers else CGROUPS
        own = root / name.strip("/")
        # In a container the name is often the host's, and the share stands at the root.
        yield from (own, *(folder for folder in own.parents if folder.is_relative_to(root)))


def _numbers(path: Path) -> list[int]:
    """Returns the file's numbers; none where it is missing or says that there is no limit."""
    with contextlib.suppress(OSError, ValueError):
        return [int(word) for word in path.read_text(encoding="ascii").split()]
    return []


def _quotas() -> Iterator[float]:
    """Yields the processors that each control group gives."""
    for folder in _folders("cpu"):
        numbers = _numbers(folder / "cpu.max")
        if not numbers:
            numbers = _numbers(folder / "cpu.cfs_quota_us") + _numbers(folder / "cpu.cfs_period_us")
        if len(numbers) == 2 and min(numbers) > 0:
            yield numbers[0] / numbers[1]


def _memory_left() -> Iterator[int]:
    """Yields the bytes that each control group still gives."""
    for folder in _folders("memory"):
        for limit_name, used_name in (
            ("memory.max", "memory.current"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ):
            limit, used = _numbers(folder / limit_name), _numbers(folder / used_name)
            if limit and used:
                yield limit[0] - used[0] + _given_back(folder)


def _given_back(folder: Path) -> int:
    """Returns the bytes of files that the kernel drops as soon as a program needs memory."""
    with contextlib.suppress(OSError, ValueError):
        words = (folder / "memory.stat").read_text(encoding="ascii").split()
        return int(words[words.index("inactive_file") + 1])
    return 0
