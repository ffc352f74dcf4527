"""Commands of the sweeper, as a user gives them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

__all__ = ["run", "write_space"]


def run(*words: object) -> dict[str, object]:
    """Runs a command that must succeed, and returns what it says as JSON."""
    command = [sys.executable, "-m", "sweeper", *map(str, words), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def write_space(folder: Path, space: str, *, profile: str) -> Path:
    """Writes a search space, and beside it its profile, which is called tiny; returns its path."""
    (folder / "profiles").mkdir()
    (folder / "profiles" / "tiny.yaml").write_text(profile)
    path = folder / "space.yaml"
    path.write_text(space)
    return path
