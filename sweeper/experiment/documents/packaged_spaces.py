"""The search spaces that come with the sweeper, and where they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

__all__ = ["find_packaged_folders"]

_PACKAGE = Path(__file__).parents[2]


def find_packaged_folders() -> Iterator[Path]:
    """Yields each folder of search spaces that comes with the sweeper.

    An installed wheel has one inside of the package, and a checkout has one beside it.
    """
    for home in (_PACKAGE, _PACKAGE.parent):
        folder = home / "search_spaces"
        if folder.is_dir():
            yield folder
