"""What no generated program needs of the kernel, as a seccomp filter.

The filter is a program for the kernel's BPF machine that answers each system call (seccomp(2)). It
needs no library and no privileges, and holds C code as well as Python. It refuses all sockets:
no read-only mount keeps a program from connecting to one that a service has in the file system.
"""

from __future__ import annotations

import platform
import struct
import sys

__all__ = ["REFUSED", "make_filter"]


def _table(text: str) -> dict[str, int]:
    """Returns the numbers of system calls by name."""
    pairs = (entry.split() for entry in text.split(","))
    return {name: int(number) for name, number in pairs}


# Processes: their start, signals to them, a look into them. Sockets, also those of a path or of an
# abstract name. Memory, semaphores and queues that others reach by a number or a name. Mounts,
# namespaces, keys, and what has often been a way into the kernel.
REFUSED = {
    "x86_64": _table("""
        clone 56, fork 57, vfork 58, execve 59, execveat 322, kill 62, tkill 200, tgkill 234,
        rt_sigqueueinfo 129, rt_tgsigqueueinfo 297, ptrace 101, process_vm_readv 310,
        process_vm_writev 311, socket 41, connect 42, bind 49, listen 50, socketpair 53, shmget 29,
        shmat 30, shmctl 31, semget 64, semop 65, semctl 66, msgget 68, msgsnd 69, msgrcv 70,
        msgctl 71, semtimedop 220, mq_open 240, mq_unlink 241, pivot_root 155, chroot 161,
        mount 165, umount2 166, unshare 272, setns 308, add_key 248, request_key 249, keyctl 250,
        bpf 321, perf_event_open 298, fanotify_init 300, userfaultfd 323, name_to_handle_at 303,
        open_by_handle_at 304
    """),
    "aarch64": _table("""
        clone 220, execve 221, execveat 281, kill 129, tkill 130, tgkill 131, rt_sigqueueinfo 138,
        rt_tgsigqueueinfo 240, ptrace 117, process_vm_readv 270, process_vm_writev 271, socket 198,
        socketpair 199, bind 200, listen 201, connect 203, shmget 194, shmctl 195, shmat 196,
        semget 190, semctl 191, semtimedop 192, semop 193, msgget 186, msgctl 187, msgrcv 188,
        msgsnd 189, mq_open 180, mq_unlink 181, umount2 39, mount 40, pivot_root 41, chroot 51,
        unshare 97, setns 268, add_key 217, request_key 218, keyctl 219, bpf 280,
        perf_event_open 241, fanotify_init 262, userfaultfd 282, name_to_handle_at 264,
        open_by_handle_at 265
    """),
}
"""Numbers by processor, from arch/x86/entry/syscalls/syscall_64.tbl and asm-generic/unistd.h."""
# Later calls have one number on all processors.
_REFUSED_EVERYWHERE = _table("""
    clone3 435, pidfd_send_signal 424, pidfd_open 434, pidfd_getfd 438, io_uring_setup 425,
    io_uring_enter 426, io_uring_register 427, open_tree 428, move_mount 429, fsopen 430,
    fsconfig 431, fsmount 432, fspick 433, mount_setattr 442
""")
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# On x86 the same calls have a second set of numbers from here on (x32).
_SECOND_NUMBERS = 0x40000000

# linux/filter.h and linux/seccomp.h: load a word, jump if equal, jump if at least, answer.
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _ANSWER = 0x20, 0x15, 0x35, 0x06
_OFFSET_NUMBER, _OFFSET_ARCHITECTURE = 0, 4
_ALLOW, _REFUSE_WITH_EPERM = 0x7FFF0000, 0x00050001


def make_filter() -> bytes:
    """Returns the filter for this machine, instructions of 8 bytes; empty where there is none."""
    machine = platform.machine()
    if sys.platform != "linux" or machine not in REFUSED:
        return b""
    numbers = sorted({*REFUSED[machine].values(), *_REFUSED_EVERYWHERE.values()})
    # Each jumps over the rest and over the answer that allows.
    tests = [(_IF_EQUAL, number) for number in numbers]
    if machine == "x86_64":
        tests.insert(0, (_IF_AT_LEAST, _SECOND_NUMBERS))
    refusals = [
        struct.pack("HBBI", code, len(tests) - place, 0, number)
        for place, (code, number) in enumerate(tests)
    ]
    return b"".join(
        (
            struct.pack("HBBI", _LOAD, 0, 0, _OFFSET_ARCHITECTURE),
            # A program of another architecture numbers its calls in another way.
            struct.pack("HBBI", _IF_EQUAL, 0, len(tests) + 2, _ARCHITECTURES[machine]),
            struct.pack("HBBI", _LOAD, 0, 0, _OFFSET_NUMBER),
            *refusals,
            struct.pack("HBBI", _ANSWER, 0, 0, _ALLOW),
            struct.pack("HBBI", _ANSWER, 0, 0, _REFUSE_WITH_EPERM),
        )
    )
