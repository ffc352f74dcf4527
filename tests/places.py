"""Where things lie that tests read."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The checkout."""
SPACES = ROOT / "search_spaces"
SHARED = ROOT.parent / "shared" / "data"
"""Data of the papers' tasks, cut small; tests that read it skip where it is not there."""
