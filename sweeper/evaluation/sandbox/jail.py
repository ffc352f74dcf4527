"""The inside of the sandbox: a script that runs one program behind walls.

:mod:`sweeper.evaluation.sandbox.run` starts it in a fresh interpreter and hands it a request on
standard input, as JSON. It answers on standard output, in lines of JSON: the program's own output
goes nowhere. It imports the standard library alone, since its start is most of what a program
costs.

The process that is started builds the walls and forks; the program runs in the child, and the
parent tells how it ended. Where the kernel allows it, the child is alone in its namespaces: without
network, without sight of other processes, all mounts read-only but for a small tmpfs. It has no
privileges, may start no process, and dies with its parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["main"]

# Numbers of the Linux kernel: linux/sched.h, linux/mount.h, linux/prctl.h, linux/capability.h.
NEW_NAMESPACES = 0x00020000 | 0x40000000 | 0x08000000 | 0x20000000  # mounts, network, IPC, PIDs
NEW_USER_NAMESPACE = 0x10000000
MS_NOSUID_NODEV = 2 | 4
MS_RDONLY = 1
MS_PRIVATE_ALL = 0x4000 | (1 << 18)
SYS_MOUNT_SETATTR = 442
AT_FDCWD, AT_RECURSIVE = -100, 0x8000
MOUNT_ATTR_RDONLY = 1
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
CAPABILITY_VERSION_3 = 0x20080522

NOBODY = 65534
"""Whom root becomes: the kernel does not count root's processes."""
MAX_ERROR_CHARACTERS = 500


def main() -> None:
    """Runs the program of the request on standard input and answers on standard output."""
    request = json.load(sys.stdin)
    answer = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    walls = set(request["walls"])
    had = _enter_namespaces(request["folder"], request["limits"]) if "kernel" in walls else {}
    os.chdir(request["folder"])
    child = os.fork()
    if child == 0:
        _run(request, had, answer)
    _, status, usage = os.wait4(child, 0)
    ended = {"status": status, "cpu_time_s": usage.ru_utime + usage.ru_stime}
    os.write(answer, json.dumps(ended).encode() + b"\n")


def _enter_namespaces(folder: str, limits: dict[str, float]) -> dict[str, bool]:
    """Leaves what is shared with other processes behind; returns which walls that gives."""
    if sys.platform != "linux":
        return {}
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    if libc.unshare(NEW_NAMESPACES) != 0:
        # Without privileges only whoever has a user namespace of its own may have the others.
        if libc.unshare(NEW_NAMESPACES | NEW_USER_NAMESPACE) != 0:
            return {}
        # Some systems give a user namespace without any rights in it: no mounts, but no network.
        with contextlib.suppress(OSError):
            Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
            Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
            Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")
    return {"network": True, "files": _seal_files(libc, folder, limits)}


def _seal_files(libc: ctypes.CDLL, folder: str, limits: dict[str, float]) -> bool:
    """Makes all mounts read-only, and the folder a small file system in memory."""

    def mount(kind: bytes, target: str, flags: int, options: str = "") -> bool:
        return bool(libc.mount(kind, target.encode(), kind, flags, options.encode()) == 0)

    read_only = (ctypes.c_uint64 * 4)(MOUNT_ATTR_RDONLY, 0, 0, 0)
    size = f"size={int(limits['folder_bytes'])},nr_inodes=1024"
    return (
        mount(b"none", "/", MS_PRIVATE_ALL)
        and libc.syscall(
            SYS_MOUNT_SETATTR, AT_FDCWD, b"/", AT_RECURSIVE, read_only, ctypes.sizeof(read_only)
        )
        == 0
        # Who runs the sandbox may have secrets in its environment, which /proc shows.
        and mount(b"tmpfs", "/proc", MS_NOSUID_NODEV | MS_RDONLY)
        and mount(b"tmpfs", folder, MS_NOSUID_NODEV, f"{size},mode=0700")
    )


def _run(request: dict[str, Any], had: dict[str, bool], answer: int) -> None:
    """Runs the program in this process, which does not come back."""
    limits, folder = request["limits"], request["folder"]
    _drop_privileges()
    _limit(limits)
    if "kernel" in request["walls"]:
        had["processes"] = not _can_fork()
    os.write(answer, json.dumps({"had": had}).encode() + b"\n")
    # Made beforehand: the program may change what json does, and leave no memory.
    passed, write, leave = b'{"end": "passed"}\n', os.write, os._exit
    try:
        program = compile(request["program"], "<program>", "exec")
        if "hook" in request["walls"]:
            sys.addaudithook(_hook(folder))
        exec(program, {"__name__": "program"})
    except BaseException as error:  # noqa: BLE001 - whatever the program raises is its result
        write(answer, _failure(error))
        leave(1)
    write(answer, passed)
    leave(0)


def _drop_privileges() -> None:
    """Gives up all that root, or the owner of a user namespace, may do."""
    if os.getuid() == 0:
        # Where there is no such user, as in some containers, the audit hook must do.
        with contextlib.suppress(OSError):
            _become_nobody()
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    libc.capset(header, (ctypes.c_uint32 * 6)())
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _become_nobody() -> None:
    # An interpreter in root's own folder needs root's eyes for imports to come. The kernel counts
    # processes by the real user, and opens files for the effective one.
    seeing = NOBODY if _is_readable_by_all(sys.base_prefix, sys.prefix) else 0
    os.chown(".", seeing, NOBODY)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, seeing, seeing)


def _is_readable_by_all(*folders: str) -> bool:
    """Whether anybody may go into these folders: there may be imports to come."""
    paths = [path for folder in map(Path, folders) for path in (folder, *folder.parents)]
    return all(path.stat().st_mode & 0o001 for path in paths)


def _limit(limits: dict[str, float]) -> None:
    for name, value in (
        ("RLIMIT_CPU", limits["cpu_time_s"]),
        ("RLIMIT_AS", limits["memory_bytes"]),
        ("RLIMIT_FSIZE", limits["file_bytes"]),
        ("RLIMIT_NOFILE", 64),
        ("RLIMIT_CORE", 0),
        # Counts those of the same user outside, too; at 0 it does not matter how many they are.
        ("RLIMIT_NPROC", 0),
    ):
        resource.setrlimit(getattr(resource, name), (int(value), int(value)))
    # A write beyond the limit is then an OSError and not the end.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def _can_fork() -> bool:
    try:
        child = os.fork()
    except OSError:
        return False
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return True


def _failure(error: BaseException) -> bytes:
    try:
        text = f"{type(error).__name__}: {error}"[:MAX_ERROR_CHARACTERS]
        return json.dumps({"end": "failed", "detail": text}).encode() + b"\n"
    except BaseException:  # noqa: BLE001 - its text is the program's, too, or no memory is left
        return b'{"end": "failed", "detail": "an error that has no text"}\n'


FORBIDDEN = (
    "socket.",
    "subprocess.",
    "os.exec",
    "os.fork",
    "os.kill",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
    "pty.spawn",
    "signal.pthread_kill",
)
"""Beginnings of audit events that no program may cause (table in Python's documentation)."""
CHANGES_FILES = frozenset(
    {
        "os.chflags",
        "os.chmod",
        "os.chown",
        "os.link",
        "os.mkdir",
        "os.remove",
        "os.removexattr",
        "os.rename",
        "os.rmdir",
        "os.setxattr",
        "os.symlink",
        "os.truncate",
        "os.utime",
    }
)
"""Audit events that name the files that they change."""
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def _may_change(event: str, values: tuple[Any, ...]) -> bool:
    """Whether an audit event changes a file, or opens the way to that."""
    if event != "open":
        return event in CHANGES_FILES
    path, mode, flags = values
    if isinstance(flags, int) and flags & WRITES:
        return True
    # Files can be named by a folder that is open, of which an event tells nothing.
    return mode is None and isinstance(path, str | bytes) and Path(os.fsdecode(path)).is_dir()


def _hook(folder: str) -> Callable[[str, tuple[Any, ...]], None]:
    """Returns an audit hook for where the kernel gives no walls; it stops no determined attacker.

    Args:
        folder: the only one to be written in.
    """
    root = os.path.realpath(folder)

    def is_inside(path: str | bytes | os.PathLike[str]) -> bool:
        # A hook runs at each event: os.path, since pathlib would be slow here.
        real = os.path.realpath(os.fsdecode(path))
        return real in (root, os.devnull) or real.startswith(root + os.sep)

    def hook(event: str, values: tuple[Any, ...]) -> None:
        if event.startswith(FORBIDDEN):
            raise PermissionError(f"{event} is forbidden in the sandbox")
        if not _may_change(event, values):
            return
        # Besides paths there are modes and descriptors of files that are open already.
        named = values[:1] if event == "open" else values
        paths = [path for path in named if isinstance(path, str | bytes | os.PathLike)]
        if not all(is_inside(path) for path in paths):
            raise PermissionError(f"{event} outside of the sandbox is forbidden: {paths}")

    return hook


if __name__ == "__main__":
    main()
