"""The files of the papers' items, and which sweeps have asked them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeper._text import nearest
from sweeper.errors import BadInputError, Problem, SpecError
from sweeper.experiment.documents import find_packaged_folders, read_yaml
from sweeper.experiment.paper import PaperSpec
from sweeper.tracking.sweep_folder import SweepFolder, sweeps_in

__all__ = ["PaperFile", "find_paper", "listing_document", "paper_files", "runs_of"]

_FOLDER = "papers"


@dataclass(frozen=True)
class PaperFile:
    """A search space that asks an item of a paper again."""

    name: str
    """Of the space."""
    description: str
    """What it compares."""
    path: Path
    """The file."""
    paper: PaperSpec
    """The item."""


def paper_files() -> tuple[PaperFile, ...]:
    """Returns the packaged files with a section ``paper``: by paper, tables before figures."""
    found = []
    for folder in find_packaged_folders():
        for path in (folder / _FOLDER).glob("*.yaml"):
            document = read_yaml(path)
            if "paper" in document:
                paper = PaperSpec.model_validate(document["paper"])
                name, said = str(document["name"]), str(document.get("description", ""))
                found.append(PaperFile(name, said, path, paper))
    return tuple(sorted(found, key=_order))


def _order(file: PaperFile) -> tuple[str, bool, int]:
    kind, _, number = file.paper.item.partition(" ")
    return file.paper.source, kind == "Figure", int(number)


def find_paper(name: str, files: Sequence[PaperFile]) -> PaperFile:
    """Returns the file of a name.

    Raises:
        SpecError: there is none.
    """
    for file in files:
        if name in (file.name, str(file.path)):
            return file
    known = [file.name for file in files]
    message = f"no item {name!r}; known: {', '.join(known)}{nearest(name, known)}"
    raise SpecError("paper", [Problem("", message)])


def listing_document(
    files: Sequence[PaperFile], runs: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    """Returns all items as plain JSON.

    Args:
        files: of the papers.
        runs: what :func:`runs_of` returns.
    """
    return [
        {
            "name": file.name,
            "paper": file.paper.title,
            "description": file.description.removesuffix(f" ({file.paper.title})"),
            "shows": file.paper.shows,
            "reads": file.paper.reads,
            "profiles": [*file.paper.profiles],
            "sweeps": list(runs[file.name]),
        }
        for file in files
    ]


def runs_of(files: Sequence[PaperFile], home: Path) -> dict[str, tuple[str, ...]]:
    """Returns by file the sweeps of a home that have asked its item, the oldest first.

    Args:
        files: of the papers.
        home: folder of all sweeps.

    Returns:
        For each sweep its name and its status.
    """
    titles = {file.paper.title: file.name for file in files}
    found: dict[str, tuple[str, ...]] = {file.name: () for file in files}
    for path in sweeps_in(home):
        folder = SweepFolder(path)
        try:
            entry = folder.document.get("paper")
            status = folder.status
        except BadInputError:
            continue
        if not isinstance(entry, dict):
            continue
        name = titles.get(f"{entry.get('source')}, {entry.get('item')}")
        if name is not None:
            found[name] = (*found[name], f"{folder.name} ({status})")
    return found
