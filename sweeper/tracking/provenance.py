"""Where a result comes from: the commit of the working folder and the versions of packages."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PACKAGES", "GitState", "git_state", "package_versions"]

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
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    # What could not be found out counts as changed: a clean flag is a promise.
    return GitState(commit=commit, is_dirty=changes is None or bool(changes))


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
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
