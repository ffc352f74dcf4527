"""Pages of notebooks: text and code from the notebook, what the cells show from the last build.

The page is checked in, and its outputs are not: they have times and paths in them. The page names a
file for each cell, which :mod:`sweeper_docs.executing` makes and Zensical reads.
"""

from __future__ import annotations

import json
from pathlib import Path

from sweeper_docs.project import ROOT

__all__ = ["NOTEBOOKS", "OUTPUTS", "code_cells", "notebook_page", "output_name", "page_of"]

DOCS = ROOT / "docs"
OUTPUTS = ROOT / "build" / "notebooks"
"""Where the outputs of the cells are; ``zensical.toml`` names it, too."""
# Jupyter keeps copies in folders of this name.
_COPIES = ".ipynb_checkpoints"

NOTEBOOKS = tuple(path for path in sorted(DOCS.rglob("*.ipynb")) if _COPIES not in path.parts)
"""The notebooks among the pages."""


def page_of(notebook: Path) -> Path:
    """Returns the page that is made of a notebook."""
    return notebook.with_suffix(".md")


def output_name(notebook: Path, number: int) -> str:
    """Returns the file with what a code cell shows, in the folder of outputs.

    Args:
        notebook: its path.
        number: of the cell among those with code, from 1.
    """
    return f"{notebook.stem}/{number}.md"


def code_cells(notebook: Path) -> list[str]:
    """Returns the code of a notebook's cells."""
    return [text for kind, text in _cells(notebook) if kind == "code"]


def notebook_page(notebook: Path) -> str:
    """Returns the page of a notebook, with a line in the place of what each cell shows."""
    parts: list[str] = []
    number = 0
    for kind, text in _cells(notebook):
        if kind == "code":
            number += 1
            shown = f'--8<-- "{output_name(notebook, number)}"'
            parts += ["<!-- runs: make docs -->", f"```python\n{text}\n```", shown]
        else:
            parts.append(text)
    title, _, rest = parts[0].partition("\n")
    made = f"<!-- Made by `make docs` from {notebook.name}. Change the notebook, not this page. -->"
    return "\n\n".join([title, made, rest.strip(), *parts[1:]]) + "\n"


def _cells(notebook: Path) -> list[tuple[str, str]]:
    """Returns the kinds and the texts of a notebook's cells, of those that have a text."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    found = [(str(cell["cell_type"]), "".join(cell["source"]).strip()) for cell in cells]
    return [(kind, text) for kind, text in found if text]
