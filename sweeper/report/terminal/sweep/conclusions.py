"""What a sweep allows to be said, in the terminal: parity first, then the verdicts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text

from sweeper.analysis.conclusions import ParityLine, SweepConclusions
from sweeper.analysis.statistics.verdicts import Words

__all__ = ["Paragraph", "conclusions_view"]

_INDENT = 2
# Blanks at which no line ends, "72.6 %" and "1.10 ± 0.14", and what stands for them meanwhile.
_BOUND, _TIED = re.compile(r"(?<=\d) (?=[%±])|(?<=±) (?=\d)"), "\ue000"


def conclusions_view(found: SweepConclusions) -> Iterator[RenderableType]:
    """Yields the parity lines, the verdicts, and what compares nothing, an empty line after each.

    Args:
        found: the conclusions of a sweep.
    """
    if found.parity:
        yield Text("Parity", style="bold")
        for line in found.parity:
            yield Paragraph(_parity(line), indent=_INDENT, hang=4)
        yield ""
    if found.statements or found.why_none:
        yield Text("Verdicts", style="bold")
        for verdict in found.verdicts:
            yield Paragraph(_verdict(verdict), indent=_INDENT)
        if found.why_none:
            yield Paragraph(Text(found.why_none), indent=_INDENT)
        yield ""
    for sentence in found.facts:
        yield Paragraph(Text(sentence))
    if found.facts:
        yield ""


@dataclass(frozen=True)
class Paragraph:
    """A text of which all lines but the first stand further to the right.

    So the next one is seen to begin where it begins.
    """

    text: Text
    indent: int = 0
    hang: int = 2

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yields the lines."""
        width = max(options.max_width - self.indent - self.hang, self.hang)
        text = self.text.copy()
        text.plain = _BOUND.sub(_TIED, text.plain)
        for number, line in enumerate(text.wrap(console, width)):
            line.plain = line.plain.replace(_TIED, " ")
            line.rstrip()
            yield Text(" " * (self.indent + self.hang * bool(number))).append_text(line)


def _parity(line: ParityLine) -> Text:
    text = Text("ok  " if line.holds else "no  ", style="" if line.holds else "bold")
    return text.append(f"{line.text}.", style="")


def _verdict(verdict: Words) -> Text:
    text = Text(verdict.head, style="bold")
    return text.append(verdict.sentence[len(verdict.head) :], style="not bold")
