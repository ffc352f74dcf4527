"""The inside of the sandbox: a script that runs one program behind walls.

:mod:`sweeper.evaluation.sandbox.run` starts it in a fresh interpreter and hands it a request on
standard input, as JSON. It answers on standard output, in lines of JSON: the program's own output
goes nowhere. It imports the standard library alone, since its start is most of what a program
costs.

The process that is started builds the walls and forks; the program runs in the child, and the
parent tells how it ended. Where the kernel allows it, the child is alone in its namespaces: without
network, without sight of other processes, all mounts read-only but for a small tmpfs, no device but
the harmless ones. A filter keeps it from system calls that it does not need. It has no privileges
and is never root, may start no process, and dies with its parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import resource
import signal
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["main"]

# Numbers of the Linux kernel: linux/sched.h, linux/mount.h, linux/prctl.h, linux/capability.h,
# linux/seccomp.h.
NEW_MOUNTS = 0x00020000
NEW_NAMESPACES = NEW_MOUNTS | 0x40000000 | 0x08000000 | 0x20000000  # network, IPC, PIDs
NEW_USER_NAMESPACE = 0x10000000
MS_NOSUID, MS_NODEV = 2, 4
MS_RDONLY = 1
MS_PRIVATE_ALL = 0x4000 | (1 << 18)
MS_BIND_ALL = 4096 | 0x4000
SYS_MOUNT_SETATTR = 442
AT_FDCWD, AT_RECURSIVE = -100, 0x8000
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV = 1, 2, 4
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP = 1, 4, 22, 24
PR_SET_NO_NEW_PRIVS = 38
SECCOMP_MODE_FILTER = 2
CAPABILITY_VERSION_3, CAPABILITIES = 0x20080522, 64

NOBODY = 65534
"""Whom root becomes."""
DEVICES = tuple(f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom"))
MAX_ERROR_CHARACTERS = 500
MAX_TOLD_BYTES = 1 << 15


def main() -> None:
    """Runs the program of the request on standard input and answers on standard output.

    A line of the answer is the request's token, what it tells, and a value in JSON. The token is
    what the program does not know: lines that it writes itself do not count.
    """
    request = json.load(sys.stdin)
    token = request.pop("token").encode()
    answer = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(null, descriptor)
    had = _isolate(request)
    os.chdir(request["folder"])
    # A pipe: what has been told cannot be overwritten.
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(answer)
        os.close(told)
        _run(request, had, lambda line: os.write(tell, token + b" " + line + b"\n"))
    os.close(tell)
    _pass_on(told, answer)
    _, status, usage = os.wait4(child, 0)
    ended = {"status": status, "cpu_time_s": usage.ru_utime + usage.ru_stime}
    os.write(answer, b"\n" + token + b" ended " + json.dumps(ended).encode() + b"\n")


def _pass_on(told: int, answer: int) -> None:
    """Copies what the child tells, until it ends; of a flood only the beginning."""
    left = MAX_TOLD_BYTES
    while content := os.read(told, MAX_TOLD_BYTES):
        os.write(answer, content[:left])
        left -= len(content[:left])


def _isolate(request: dict[str, Any]) -> dict[str, bool]:
    """Leaves what is shared with other processes behind; returns which walls that gives."""
    if sys.platform != "linux":
        return {}
    libc = ctypes.CDLL(None, use_errno=True)
    is_walled, is_root = "kernel" in request["walls"], os.geteuid() == 0
    closed = _closed_folders(request["folder"]) if is_root else {}
    wanted = NEW_NAMESPACES if is_walled else NEW_MOUNTS if closed else 0
    is_apart = bool(wanted) and libc.unshare(wanted) == 0
    if closed and not (is_apart and _open_up(libc, closed)):
        sys.exit(
            f"programs of root run as another user, who cannot enter {', '.join(closed)}; run as "
            "another user, or install Python where all users can read it"
        )
    if is_walled and not is_apart:
        # Without privileges only whoever has a user namespace of its own may have the others.
        if is_root:
            _become_nobody()
        is_apart = _enter_user_namespace(libc)
    if not (is_walled and is_apart):
        return {}
    return {"network": True, "files": _seal_files(libc, request["folder"], request["limits"])}


def _enter_user_namespace(libc: ctypes.CDLL) -> bool:
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(NEW_NAMESPACES | NEW_USER_NAMESPACE) != 0:
        return False
    # Whoever was root may not write its own files in /proc before this.
    libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
    # Some systems give a user namespace without any rights in it: no mounts, but no network.
    with contextlib.suppress(OSError):
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")
    return True


def _mount(libc: ctypes.CDLL, kind: bytes, target: str, flags: int, options: str = "") -> bool:
    return bool(libc.mount(kind, target.encode(), kind, flags, options.encode()) == 0)


def _closed_folders(folder: str) -> dict[str, list[str]]:
    """Returns folders that only their owner enters, and what is needed below each."""
    closed: dict[str, list[str]] = {}
    for path in sorted({sys.base_prefix, sys.prefix, folder}, key=len):
        for parent in reversed(Path(path).parents):
            if not parent.stat().st_mode & stat.S_IXOTH:
                closed.setdefault(str(parent), []).append(path)
                break
    return closed


def _open_up(libc: ctypes.CDLL, closed: dict[str, list[str]]) -> bool:
    """Shows an interpreter in root's own folder to all, and of that folder nothing else."""
    return _mount(libc, b"none", "/", MS_PRIVATE_ALL) and all(
        _cover(libc, folder, needed) for folder, needed in closed.items()
    )


def _cover(libc: ctypes.CDLL, folder: str, kept: list[str]) -> bool:
    """Puts an empty folder in the place of one, with these files and folders of it alone."""
    opened = [(path, os.open(path, os.O_PATH)) for path in kept if Path(path).exists()]
    if not _mount(libc, b"tmpfs", folder, MS_NOSUID, "mode=0755"):
        return False
    before = os.umask(0o022)
    is_kept = True
    for path, descriptor in opened:
        # Where this user has no file in a namespace, nothing can be kept.
        with contextlib.suppress(OSError):
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                Path(path).mkdir(parents=True, exist_ok=True)
            else:
                Path(path).touch()
        source = f"/proc/self/fd/{descriptor}".encode()
        is_kept &= libc.mount(source, path.encode(), b"none", MS_BIND_ALL, b"") == 0
        os.close(descriptor)
    os.umask(before)
    return is_kept


def _seal_files(libc: ctypes.CDLL, folder: str, limits: dict[str, float]) -> bool:
    """Makes all mounts read-only and without devices, and the folder a small one in memory."""

    def change(target: str, flags: int, added: int, removed: int = 0) -> bool:
        values = (ctypes.c_uint64 * 4)(added, removed, 0, 0)
        arguments = (AT_FDCWD, target.encode(), flags, values, ctypes.sizeof(values))
        return bool(libc.syscall(SYS_MOUNT_SETATTR, *arguments) == 0)

    sealed = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV
    kept = [*DEVICES, *([folder] if folder.startswith("/dev/") else [])]
    size = f"size={int(limits['folder_bytes'])},nr_inodes=1024"
    is_sealed = (
        _mount(libc, b"none", "/", MS_PRIVATE_ALL)
        and _cover(libc, "/dev", kept)
        # Who runs the sandbox may have secrets in its environment, which /proc shows.
        and _mount(libc, b"tmpfs", "/proc", MS_NOSUID | MS_NODEV | MS_RDONLY)
        and change("/", AT_RECURSIVE, sealed)
        and _mount(libc, b"tmpfs", folder, MS_NOSUID | MS_NODEV, f"{size},mode=0700")
    )
    for device in DEVICES if is_sealed else ():
        change(device, 0, 0, MOUNT_ATTR_NODEV)
    return is_sealed


def _run(request: dict[str, Any], had: dict[str, bool], tell: Callable[[bytes], object]) -> None:
    """Runs the program in this process, which does not come back."""
    # Where there is no such user, as in some containers, root's files are at the program's mercy.
    had["files"] = _drop_privileges() and had.get("files", False)
    _limit(request["limits"])
    if "kernel" in request["walls"]:
        had["network"] = _filter_calls(bytes.fromhex(request["filter"])) or "network" in had
        had["processes"] = not _can_fork()
    _require_packages()
    os.dup2(1, 2)
    tell(b"had " + json.dumps(had).encode())
    # Before the program, which may change what any module does, and leave no memory. What it can
    # change afterwards is the text of a failure, not that it is one.
    passed, leave, fail = b"passed null", os._exit, _failure
    try:
        program = compile(request["program"], "<program>", "exec")
        if "hook" in request["walls"]:
            sys.addaudithook(_hook(request["folder"]))
        exec(program, {"__name__": "program"})
    except BaseException as error:  # noqa: BLE001 - whatever the program raises is its result
        tell(b"failed " + fail(error))
        leave(1)
    tell(passed)
    leave(0)


def _drop_privileges() -> bool:
    """Gives up all that root, or the owner of a user namespace, may do; False if it stays root."""
    if sys.platform != "linux":
        return os.geteuid() != 0 or _become_nobody()
    libc = ctypes.CDLL(None, use_errno=True)
    # First what may be had again by starting a program, while there is the right to drop it.
    for capability in range(CAPABILITIES):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    is_dropped = os.geteuid() != 0 or _become_nobody()
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    libc.capset(header, (ctypes.c_uint32 * 6)())
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # Other programs of this user may not look into it.
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    return is_dropped


def _become_nobody() -> bool:
    """Makes root another user, with no way back: groups first, which only root may change."""
    try:
        os.chown(".", NOBODY, NOBODY)
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    except (OSError, AttributeError):
        # No such user here, no right to become it, or a system without these calls.
        return False
    return True


def _require_packages() -> None:
    """Exits where this user cannot import what the program may need: it would fail for nothing."""
    needed = [os.__file__, *(path for path in sys.path if path.startswith(sys.prefix))]
    for path in needed:
        if Path(path).exists() and not os.access(path, os.R_OK):
            sys.exit(f"{path} cannot be read by the user that programs run as; let all users read")


def _filter_calls(instructions: bytes) -> bool:
    """Lets the kernel refuse system calls; returns whether it does."""
    if not instructions:
        return False

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))

    program = Program(len(instructions) // 8, instructions)
    libc = ctypes.CDLL(None, use_errno=True)
    done = libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0)
    return bool(done == 0)


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
        return json.dumps(text).encode().replace(b"\n", b" ")
    except BaseException:  # noqa: BLE001 - its text is the program's, too, or no memory is left
        return b'"an error that has no text"'


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
STARTS_PROCESSES = "_posixsubprocess"
"""The module below subprocess, of whose calls Python tells no hook."""
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


def _refuse_processes() -> None:
    """Takes the start of processes out of the module that has it; it is not loaded again."""

    def refuse(*_: object) -> int:
        raise PermissionError(f"{STARTS_PROCESSES} is forbidden in the sandbox")

    with contextlib.suppress(ImportError):
        module: Any = importlib.import_module(STARTS_PROCESSES)
        module.fork_exec = refuse


def _hook(folder: str) -> Callable[[str, tuple[Any, ...]], None]:
    """Returns an audit hook for where the kernel gives no walls; it stops no determined attacker.

    Args:
        folder: the only one to be written in.
    """
    root = os.path.realpath(folder)
    _refuse_processes()

    def is_inside(path: str | bytes | os.PathLike[str]) -> bool:
        # A hook runs at each event: os.path, since pathlib would be slow here.
        real = os.path.realpath(os.fsdecode(path))
        return real in (root, os.devnull) or real.startswith(root + os.sep)

    def hook(event: str, values: tuple[Any, ...]) -> None:
        if event == "import" and values[0] == STARTS_PROCESSES:
            raise PermissionError(f"{STARTS_PROCESSES} is forbidden in the sandbox")
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
