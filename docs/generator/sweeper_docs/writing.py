"""Writes the pages that are made, and looks whether the navigation has every page of the site."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from sweeper_docs.commands import commands_page
from sweeper_docs.environment import environment_page
from sweeper_docs.executing import NotebookError, write_outputs
from sweeper_docs.files import files_page
from sweeper_docs.methods import methods_page
from sweeper_docs.notebooks import NOTEBOOKS, notebook_page, page_of
from sweeper_docs.peft_types import peft_types_page
from sweeper_docs.profile import profile_page
from sweeper_docs.project import ROOT
from sweeper_docs.results import INDEX, results_index
from sweeper_docs.search_space import search_space_page
from sweeper_docs.spaces import spaces_page
from sweeper_docs.tasks import tasks_page

__all__ = ["PAGES", "REFERENCE", "main", "navigation_problems"]

DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"

PAGES: Mapping[str, Callable[[], str]] = {
    "commands.md": commands_page,
    "environment.md": environment_page,
    "files.md": files_page,
    "methods.md": methods_page,
    "peft-types.md": peft_types_page,
    "profile.md": profile_page,
    "search-space.md": search_space_page,
    "spaces-and-profiles.md": spaces_page,
    "tasks.md": tasks_page,
}
"""The generated pages of the reference, by file name."""


def main(arguments: Sequence[str]) -> int:
    """Writes all pages; returns 1 where a notebook fails or the navigation is wrong, else 0.

    Args:
        arguments: ``--execute`` also runs the notebooks, for what their pages show.
    """
    if [*arguments] not in ([], ["--execute"]):
        print(f"error: arguments are {' '.join(arguments)!r}; --execute, or none, is allowed")
        return 2
    REFERENCE.mkdir(parents=True, exist_ok=True)
    for name, make in PAGES.items():
        _write(REFERENCE / name, make())
    _write(INDEX, results_index(INDEX.read_text(encoding="utf-8")))
    for notebook in NOTEBOOKS:
        _write(page_of(notebook), notebook_page(notebook))
    problems = navigation_problems()
    if arguments:
        try:
            write_outputs()
        except NotebookError as error:
            problems.append(str(error))
    for problem in problems:
        print(f"error: {problem}")
    return 1 if problems else 0


def _write(path: Path, text: str) -> None:
    # A file that has not changed keeps its time.
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def navigation_problems() -> list[str]:
    """Returns the pages that the navigation lacks, and those that it has and that are not there."""
    config = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))
    named = list(_leaves(config["project"]["nav"]))
    there = [path.relative_to(DOCS).as_posix() for path in sorted(DOCS.rglob("*.md"))]
    twice = sorted({name for name in named if named.count(name) > 1})
    problems = [f"names {name!r}, and there is none" for name in named if name not in there]
    problems += [f"lacks the page {name!r}" for name in there if name not in named]
    problems += [f"has {name!r} twice" for name in twice]
    return [f"zensical.toml: nav {problem}" for problem in problems]


def _leaves(entry: object) -> Iterator[str]:
    match entry:
        case str():
            yield entry
        case list():
            for item in entry:
                yield from _leaves(item)
        case dict():
            for item in entry.values():
                yield from _leaves(item)
