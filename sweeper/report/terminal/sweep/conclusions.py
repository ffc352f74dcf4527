"""What a sweep allows to be said, in the terminal: parity first, then the verdicts."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from sweeper.analysis.conclusions import ParityLine, SweepConclusions
from sweeper.analysis.statistics.verdicts import Words

__all__ = ["conclusions_view"]

_INDENT = (0, 0, 0, 2)


def conclusions_view(found: SweepConclusions) -> Iterator[RenderableType]:
    """Yields the parity lines, the verdicts, and what compares nothing, an empty line after each.

    Args:
        found: the conclusions of a sweep.
    """
    if found.parity:
        yield Text("Parity", style="bold")
        for line in found.parity:
            yield Padding(_parity(line), _INDENT)
        yield ""
    if found.statements or found.why_none:
        yield Text("Verdicts", style="bold")
        for verdict in found.verdicts:
            yield Padding(_verdict(verdict), _INDENT)
        if found.why_none:
            yield Padding(Text(found.why_none), _INDENT)
        yield ""
    for sentence in found.facts:
        yield Text(sentence)
    if found.facts:
        yield ""


def _parity(line: ParityLine) -> Text:
    text = Text("ok  " if line.holds else "no  ", style="" if line.holds else "bold")
    return text.append(f"{line.text}.", style="")


def _verdict(verdict: Words) -> Text:
    text = Text(verdict.head, style="bold")
    return text.append(verdict.sentence[len(verdict.head) :], style="not bold")
