"""The project's documents, taken apart: code blocks with their marks, links, headings.

A fenced block of a document is run, parsed or loaded by a test. What cannot be is marked, by a
comment on the line above it (or above an empty line):

``<!-- needs: gpu -->``
    not run here; of :data:`NEEDS`, several parted by commas.
``<!-- runs: make test -->``
    not run here because it is run elsewhere; of :data:`RUNS`.
``<!-- shows: output -->``
    what a command prints, or a form with words to put in.
``<!-- exits: 1 -->``
    run, and ends with this code.
``<!-- continues: ../tutorials/first.md -->``
    anywhere in a page: its blocks run after those of that page, in the same folder.

A block with ``title="path"`` after its language is written to that file before the next one runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = [
    "DOCUMENTS",
    "LANGUAGES",
    "NEEDS",
    "ROOT",
    "RUNS",
    "Block",
    "anchors",
    "blocks",
    "links",
    "name_of",
    "prose",
    "written",
]

ROOT = Path(__file__).resolve().parents[2]

NEEDS = ("gpu", "cluster", "hub", "network", "package", "data", "terminal")
"""What a block may need that a test has not: of `data` the tasks' files, of `terminal` a person."""
RUNS = (
    *("make install", "make sweep"),
    *("make test", "make test-whole", "make check", "make docs", "make conformance"),
    *("make bench-sweep", "make bench-kernels", "make bench-step", "make bench-data"),
    "make gpu-check",
    *("make kernels-report", "make drill", "make test-cluster"),
)
"""Commands that would take too long: they are run for every commit or before a release, or tried in
short by a test of their own (the benches)."""
LANGUAGES = ("sh", "python", "yaml", "json", "toml", "text", "mermaid")
"""What a block may be in."""

_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,})(?P<info>[^`\n]*)$")
_MARK = re.compile(r"^ *<!-- (needs|runs|shows|exits): (.+?) -->$")
_TITLE = re.compile(r'title="([^"]+)"')
_LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")


def _documents() -> tuple[Path, ...]:
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")]
    top += [path for path in [ROOT / "ARCHITECTURE.md"] if path.is_file()]
    pages = sorted((ROOT / "docs").rglob("*.md"))
    assert len(pages) > 8
    return (*top, *pages)


DOCUMENTS = _documents()
"""Every document: those at the top, and the pages."""


@dataclass(frozen=True)
class Block:
    """A fenced block of code."""

    document: str
    line: int
    """Of its fence, from 1."""
    language: str
    title: str
    """File that it is the content of; empty without one."""
    marks: tuple[tuple[str, str], ...]
    text: str

    @property
    def where(self) -> str:
        """Document and line, for messages."""
        return f"{self.document}:{self.line}"

    def mark(self, kind: str) -> str:
        """Returns the value of a mark, or an empty text."""
        return dict(self.marks).get(kind, "")

    @property
    def is_run(self) -> bool:
        """Whether it is a command or a program that a test runs."""
        marked = any(self.mark(kind) for kind in ("needs", "runs", "shows"))
        return self.language in {"sh", "python"} and not self.title and not marked


def name_of(path: Path) -> str:
    """Returns the path of a document from the root."""
    return path.relative_to(ROOT).as_posix()


@cache
def blocks(path: Path) -> tuple[Block, ...]:
    """Returns the fenced blocks of a document, in order."""
    found: list[Block] = []
    lines = path.read_text(encoding="utf-8").splitlines()
    position = 0
    while position < len(lines):
        opening = _FENCE.match(lines[position])
        if opening is None:
            position += 1
            continue
        end = position + 1
        while lines[end].strip() != opening["fence"]:
            end += 1
        indent = len(opening["indent"])
        text = "".join(f"{line[indent:]}\n" for line in lines[position + 1 : end])
        language, _, rest = opening["info"].strip().partition(" ")
        title = _TITLE.search(rest)
        marks = tuple(_marks_above(lines, position))
        block = Block(name_of(path), position + 1, language, title[1] if title else "", marks, text)
        found.append(block)
        position = end + 1
    return tuple(found)


def _marks_above(lines: list[str], position: int) -> Iterator[tuple[str, str]]:
    above = position - 1
    while above >= 0 and (not lines[above].strip() or _MARK.match(lines[above])):
        found = _MARK.match(lines[above])
        if found is not None:
            yield found[1], found[2]
        above -= 1


def written(path: Path) -> set[str]:
    """Returns the files that a document's blocks make."""
    found = blocks(path)
    text = "\n".join(block.text for block in found)
    return {x.title for x in found if x.title} | set(re.findall(r"[^-]> *([\w./-]+)", text))


def prose(path: Path) -> list[tuple[int, str]]:
    """Returns the lines of a document outside its blocks, with their numbers from 1."""
    lines = path.read_text(encoding="utf-8").splitlines()
    inside: set[int] = set()
    for block in blocks(path):
        inside |= set(range(block.line, block.line + block.text.count("\n") + 2))
    return [(number, line) for number, line in enumerate(lines, start=1) if number not in inside]


def links(path: Path) -> list[tuple[int, str]]:
    """Returns the targets of a document's links, with their lines."""
    plain = [(number, re.sub(r"`[^`]*`", "", line)) for number, line in _joined(path)]
    return [(number, target) for number, line in plain for target in _LINK.findall(line)]


def _joined(path: Path) -> Iterator[tuple[int, str]]:
    """Yields paragraphs with the number of their first line: a link may stand on two lines."""
    number, text = 0, ""
    for line_number, line in prose(path):
        if line.strip() and text and line_number > number:
            text += f" {line.strip()}"
            continue
        if text:
            yield number, text
        number, text = line_number, line.strip()
    if text:
        yield number, text


@cache
def anchors(path: Path) -> frozenset[str]:
    """Returns the anchors of a document: of its headings, as the pages and GitHub make them."""
    found: list[str] = []
    for _, line in prose(path):
        heading = re.match(r"#+ +(.*?)(?: *\{ *#([\w-]+) *\})? *$", line)
        if heading is not None:
            found.append(heading[2] or _slug(heading[1]))
    return frozenset(found)


def _slug(heading: str) -> str:
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    text = re.sub(r"[^\w\s-]", "", text).strip().lower()
    return re.sub(r"[-\s]+", "-", text)
