"""The search spaces that come with the sweeper, and where they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

__all__ = ["find_packaged_folders"]

_PACKAGE = Path(__file__).parents[2]


def find_packaged_folders() -> Iterator[Path]:
    """Yields the folder of search spaces that comes with the sweeper; none where there is none.

    An installed wheel has it inside of the package, a checkout beside it.
    """
    for home in (_PACKAGE, _PACKAGE.parent):
        folder = home / "search_spaces"
        if folder.is_dir():
            yield folder
            # Beside an installed package a folder of this name is somebody else's.
            return
