"""Where a result comes from: data, commit of the working folder, versions, machine, user."""

from __future__ import annotations

import getpass
import importlib.metadata
import os
import platform
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from sweeper._files import write_json
from sweeper.errors import DamagedFileError
from sweeper.tracking.stored import DATA_FILE, DataNote, read_stored

__all__ = [
    "PACKAGES",
    "GitState",
    "data_fingerprint",
    "git_state",
    "machine",
    "note_data",
    "package_versions",
    "user_of",
]

PACKAGES = (
    "masa-mosa-sweeper",
    "torch",
    "deepspeed",
    "ray",
    "optuna",
    "transformers",
    "peft",
    "triton",
    "datasets",
    "mlflow",
    "numpy",
)
"""Packages whose version can change a result or what is kept of it."""

# A repository on a slow share must not hold up a sweep for longer.
GIT_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class GitState:
    """The commit that is checked out, and whether tracked files differ from it."""

    commit: str
    """Full hash."""
    is_dirty: bool
    """Whether a tracked file is changed."""


def git_state(folder: Path) -> GitState | None:
    """Returns the state of the repository around ``folder``; None without one, or without git."""
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return None
    # A submodule has settings of its own.
    changes = _git(
        folder, "status", "--porcelain", "--untracked-files=no", "--ignore-submodules=all"
    )
    # What could not be found out counts as changed: a clean flag is a promise.
    return GitState(commit=commit, is_dirty=changes is None or bool(changes))


def _harmless(folder: Path) -> dict[str, str] | None:
    """Returns the environment in which git runs no program that a repository's settings name.

    The folder that a sweep is started in may be somebody else's: a monitor of the file system runs
    with each ``status``, a filter where a file was touched, a transport where an object is missing.
    """
    settings = {"core.fsmonitor": "false", "core.hooksPath": os.devnull}
    # Only read, by a command that runs none of them. In the form "scope NUL name NUL".
    listed = _git(folder, "config", "--show-scope", "--null", "--name-only", "--list", plain=True)
    if listed is None:
        return None
    words = listed.split("\0")
    for scope, name in zip(words[::2], words[1::2], strict=False):
        # The user's own filters, such as Git LFS, are their own business.
        if scope in {"local", "worktree"} and name.startswith("filter."):
            settings[name] = "false" if name.endswith(".required") else ""
    numbered = [
        (f"GIT_CONFIG_{kind}_{number}", text)
        for number, pair in enumerate(settings.items())
        for kind, text in zip(("KEY", "VALUE"), pair, strict=True)
    ]
    return {"GIT_CONFIG_COUNT": str(len(settings)), **dict(numbered)}


# No lock is taken, nobody is asked for a password, nothing is fetched.
_QUIET = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1"}


def _git(folder: Path, *arguments: str, plain: bool = False) -> str | None:
    harmless = {} if plain else _harmless(folder)
    if harmless is None:
        return None
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env={**os.environ, **_QUIET, **harmless},
            capture_output=True,
            encoding="utf-8",
            # Names of files and settings may be of any bytes.
            errors="surrogateescape",
            timeout=GIT_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def package_versions() -> dict[str, str]:
    """Returns the version of Python and of each of :data:`PACKAGES` that is installed."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def machine() -> dict[str, str]:
    """Returns what this machine is: system, processor, and NVIDIA's GPUs where there are any.

    No program is started and no library imported for it; its name in a network is not told.
    """
    found = {"system": f"{platform.system()} {platform.release()} {platform.machine()}"}
    model = _first_value(Path("/proc/cpuinfo"), "model name") or platform.processor()
    found["processor"] = f"{os.cpu_count()} × {model}" if model else f"{os.cpu_count()} processors"
    cards = [
        _first_value(path, "Model")
        for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    ]
    if cards:
        kinds = Counter(card or "unknown" for card in cards)
        found["accelerators"] = ", ".join(f"{number} × {kind}" for kind, number in kinds.items())
    return found


def _first_value(path: Path, name: str) -> str:
    """Returns the first value of a name in a file of lines ``name: value``; empty without one."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    pairs = (line.partition(":") for line in lines)
    return next((value.strip() for key, _, value in pairs if key.strip() == name), "")


def user_of(folder: Path) -> str:
    """Returns the name of the user whose a folder is; of who asks where that one has no name."""
    try:
        return folder.owner()
    except (KeyError, OSError, NotImplementedError):
        pass
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container may run under a number that no file of users has.
        return str(os.getuid())


def note_data(sweep: Path, fingerprint: str) -> None:
    """Notes which rows the trials of a sweep see, by the hash that is part of their identity.

    Args:
        sweep: its folder.
        fingerprint: of the rows, and of a model at a path.

    Raises:
        OSError: it cannot be written.
    """
    write_json(sweep / DATA_FILE, {"fingerprint": fingerprint})


def data_fingerprint(sweep: Path) -> str:
    """Returns what :func:`note_data` noted; empty where that cannot be read.

    Args:
        sweep: its folder.
    """
    try:
        found = read_stored(sweep / DATA_FILE, DataNote)
    except DamagedFileError:
        # Every driver notes it again.
        return ""
    return "" if found is None else found.fingerprint
