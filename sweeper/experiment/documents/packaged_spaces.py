"""The search spaces that come with the sweeper, and where they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

__all__ = ["find_packaged_folders", "packaged_file"]

_PACKAGE = Path(__file__).parents[2]
_FOLDER = "search_spaces"


def find_packaged_folders() -> Iterator[Path]:
    """Yields the folder of search spaces that comes with the sweeper; none where there is none.

    An installed wheel has it inside of the package, a checkout beside it.
    """
    for home in (_PACKAGE, _PACKAGE.parent):
        folder = home / _FOLDER
        if folder.is_dir():
            yield folder
            # Beside an installed package a folder of this name is somebody else's.
            return


def packaged_file(path: Path) -> Path | None:
    """Returns the packaged file that ``path`` names, or None where it names none.

    ``search_spaces/masa.yaml``, ``masa.yaml`` and ``masa`` name one, wherever the sweeper is run.
    """
    if path.is_absolute() or ".." in path.parts:
        return None
    inside = path.relative_to(_FOLDER) if path.parts[:1] == (_FOLDER,) else path
    for folder in find_packaged_folders():
        for known in folder.rglob("*.yaml"):
            if inside in (known.relative_to(folder), known.relative_to(folder).with_suffix("")):
                return known
    return None
