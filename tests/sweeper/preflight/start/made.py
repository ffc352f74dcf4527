"""A small model and data of several forms, as a user has them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from sweeper.models.embedded import MODEL_FOLDER

ROWS = [{"question": f"What is {n} + 1?", "answer": str(n + 1)} for n in range(60)]
LONG = {"question": "Say " + "very " * 200 + "much.", "answer": "much"}


def make_model(folder: Path) -> Path:
    """The model's folder, called ``model``."""
    shutil.copytree(MODEL_FOLDER, folder / "model", symlinks=True)
    return folder / "model"


def write_lines(path: Path, rows: object) -> Path:
    """A file of JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert isinstance(rows, list)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
