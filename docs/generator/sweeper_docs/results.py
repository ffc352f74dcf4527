"""The table of the papers' tables and figures in the page on results."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeper_docs.markdown import code, table
from sweeper_docs.project import (
    ROOT,
    Basis,
    Conclusion,
    PaperFile,
    paper_files,
    published_of,
    unit_of,
)

__all__ = ["BEGIN", "END", "INDEX", "results_index"]

INDEX = ROOT / "docs" / "results" / "index.md"
"""The page; what stands between the two marks is made."""
BEGIN = (
    "<!-- The table below is made by `make docs` from search_spaces/papers and docs/results. -->"
)
END = "<!-- The end of what is made. -->"

_HEADER = ("item", "what it compares", "planned on", "run on", "verdicts")
_ITEM = re.compile(r"\b(?:search_spaces/papers/|paper )(\w+)")
_PROFILE = re.compile(r"--profile (\S+)")


@dataclass(frozen=True)
class _Result:
    """A stored result of an item."""

    path: Path
    profile: str
    conclusions: Mapping[str, Any]


def results_index(text: str) -> str:
    """Returns the page with the table as the files have it.

    Args:
        text: of the page, in which the two marks stand.
    """
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    files = paper_files()
    results = dict(_results(INDEX.parent, files))
    rows = [_row(file, results.get(file.name, [])) for file in files]
    return f"{before}{BEGIN}\n\n{table(_HEADER, rows)}\n\n{END}{after}"


def _results(folder: Path, files: Sequence[PaperFile]) -> Iterator[tuple[str, list[_Result]]]:
    """Yields by item what is stored of it, by the commands that made it."""
    stored: dict[str, list[_Result]] = {file.name: [] for file in files}
    first = {file.name: next(iter(file.paper.profiles)) for file in files}
    for path in sorted(folder.glob("*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        command = str(document["command"])
        item = _ITEM.search(command)
        if item is not None and item[1] in stored:
            profile = _PROFILE.search(command)
            name = first[item[1]] if profile is None else profile[1]
            stored[item[1]].append(_Result(path, name, document["conclusions"]))
    yield from stored.items()


def _row(file: PaperFile, results: Sequence[_Result]) -> tuple[str, ...]:
    paper = file.paper
    planned = ", ".join(map(code, paper.profiles))
    said = file.description.removesuffix(f" ({paper.title})")
    run = "; ".join(_size(found) for found in results) or "not run"
    verdicts = " / ".join(_verdicts(file, found) for found in results) or _unread(file)
    return f"{paper.title}: {code(file.name)}", said, planned, run, verdicts


def _size(found: _Result) -> str:
    """Returns the profile, seeds and rows of a result, with a link to its page."""
    seeds = len((found.conclusions["design"] or {}).get("seeds", []))
    text = f"{code(found.profile)}, {seeds} seeds × {found.conclusions['rows']} rows"
    page = _page(found.path)
    return text if page is None else f"[{text}]({page.name})"


def _page(result: Path) -> Path | None:
    """Returns the page on a result: its own, or that of another one whose commands name it."""
    own = result.with_suffix(".md")
    command = re.compile(rf"python -m sweeper paper {result.stem}\b")
    others = (page for page in sorted(result.parent.glob("*.md")) if page != INDEX)
    named = (page for page in others if command.search(page.read_text(encoding="utf-8")))
    return own if own.is_file() else next(named, None)


def _verdicts(file: PaperFile, found: _Result) -> str:
    """Returns how often each verdict was found, with δ, and which lines of parity did not hold.

    Such as ``1 not distinguishable, 2 equivalent within 0.1; not alike in size``.
    """
    statements = [
        Conclusion(**{**fields, **_tuples(fields), "basis": _basis(fields["basis"]), "needs": None})
        for entry in found.conclusions["statements"]
        if entry["type"] == "Conclusion"
        for fields in [{key: x for key, x in entry.items() if key not in ("type", "sentence")}]
    ]
    published = published_of(file.paper, found.profile, None, statements)
    rows = published.rows
    counts = Counter(row.verdict for row in rows if row.verdict is not None)
    if not counts:
        return _unread(file)
    within = f" within {unit_of(found.conclusions['metric']).exact(found.conclusions['delta'])}"
    said = [
        f"{number} {verdict}{within if verdict == 'equivalent' else ''}"
        for verdict, number in counts.items()
    ]
    compared = {published.baseline, *(row.here for row in rows if row.estimate is not None)}
    unlike = [
        line["subject"]
        for line in found.conclusions["parity"]
        if not line["holds"] and (not line["names"] or compared & set(line["names"]))
    ]
    return "; ".join([", ".join(said), *([f"not alike in {', '.join(unlike)}"] if unlike else [])])


def _tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(x) for key, x in fields.items() if isinstance(x, list)}


def _basis(fields: Mapping[str, Any]) -> Basis:
    return Basis(**{**fields, **_tuples(fields)})


def _unread(file: PaperFile) -> str:
    """Returns where the answer of an item is that no stored report gives."""
    reads = file.paper.reads
    if reads == "report":
        return "–"
    if reads.startswith("bench"):
        name = "kernels" if reads == "bench-kernels" else "steps"
        return f"timed by `make {reads}`: [{name}](../measurements/{name}.md)"
    return f"read by [`inspect --{reads}`](../how-to/inspect-a-trial.md)"
