"""What a notebook shows: texts as in the terminal, and the page of a report."""

from __future__ import annotations

import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeper.cli.commands.results import view_of

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sweeper.report.page import Subject

__all__ = ["PlanView", "ReportView", "TextView"]

# Characters in a line of a text that is shown in a notebook.
_WIDTH = 110
# Some notebooks show <pre> in the letters of their running text, in which columns are crooked.
_STYLE = "white-space: pre; overflow-x: auto; line-height: normal; font-family: monospace"


class TextView:
    """Something with a text for terminals, which a notebook shows in the same form."""

    def __init__(self, view: RenderableType) -> None:
        self._view = view

    def __str__(self) -> str:
        from rich.console import Console

        text = io.StringIO()
        # In a notebook rich would show the text itself, and write none; with FORCE_COLOR it would
        # write colours, too.
        console = Console(
            file=text, width=_WIDTH, markup=False, force_jupyter=False, color_system=None
        )
        console.print(self._view, crop=False)
        return "\n".join(line.rstrip() for line in text.getvalue().split("\n"))

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f'<pre style="{_STYLE}">{html.escape(str(self))}</pre>'


class PlanView(TextView):
    """What a search space would run; nothing has been started.

    Attributes:
        document: What ``plan --json`` prints.
    """

    def __init__(self, document: Mapping[str, Any], *, dropped: Sequence[str] = ()) -> None:
        """Makes it of the document.

        Args:
            document: of the plan.
            dropped: what the search space searches and a comparison does not.
        """
        from rich.console import Group

        from sweeper.report.terminal import dropped_text, plan_view

        text, view = dropped_text(dropped), plan_view(dict(document))
        super().__init__(Group(text, view) if text else view)
        self.document = document


class ReportView(TextView):
    """The report of a sweep: a text, and in a notebook the page with its figures.

    Attributes:
        document: What ``report --json`` prints.
    """

    def __init__(self, subject: Subject) -> None:
        """Makes it of a sweep that has been read."""
        super().__init__(view_of(subject))
        self._subject = subject
        self.document = subject.document

    @property
    def verdicts(self) -> tuple[str, ...]:
        """All that is said after the parity lines, a sentence or two each."""
        return self._subject.conclusions.sentences

    def save(self, path: str | Path) -> Path:
        """Writes the page as one HTML file and returns its path."""
        from sweeper.report.page import write_page

        write_page([self._subject], Path(path))
        return Path(path)

    def _repr_html_(self) -> str:
        from sweeper.report.page import page_text

        page = html.escape(page_text([self._subject]))
        return f'<iframe srcdoc="{page}" width="100%" height="900" frameborder="0"></iframe>'
