"""A model and data that were looked at for a first search space, and what is proposed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.text import Text

from sweeper._text import count
from sweeper.report.terminal.tables import pair_table

__all__ = ["MaskedRow", "start_view"]

_LEARNT = "bold green"
# Shown in the place of what cannot be seen.
_SEEN = {"\n": "⏎", "\t": "⇥", "\r": "␍"}


class MaskedRow:
    """The tokens of a row, those that the loss counts told apart.

    They are in colour, and between ⟦ and ⟧ where there is none. Tokens are parted by a bar.
    """

    def __init__(self, begin: Sequence[tuple[str, bool]], end: Sequence[tuple[str, bool]]) -> None:
        """Takes the first tokens of a row and, where it is long, the last ones.

        Args:
            begin: each with whether the loss counts it.
            end: empty where all are among the first.
        """
        self._parts = [begin, end] if end else [begin]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yields the row for a terminal with colours, or for one without."""
        has_colour = console.color_system is not None and not console.no_color
        yield self.text(has_colour=has_colour)

    def text(self, *, has_colour: bool) -> Text:
        """Returns the row as text."""
        shown = Text()
        for number, part in enumerate(self._parts):
            if number:
                shown.append(" … ", style="dim")
            for piece in _runs(part, has_colour=has_colour):
                shown.append_text(piece)
        return shown


def _runs(tokens: Sequence[tuple[str, bool]], *, has_colour: bool) -> Iterator[Text]:
    """Yields each run of tokens that are learnt, or are not."""
    start = 0
    for position in range(1, len(tokens) + 1):
        if position < len(tokens) and tokens[position][1] == tokens[start][1]:
            continue
        is_learnt = tokens[start][1]
        texts = "|".join(_visible(text) for text, _ in tokens[start:position])
        if has_colour:
            yield Text(texts, style=_LEARNT if is_learnt else "")
        else:
            yield Text(f"⟦{texts}⟧" if is_learnt else texts)
        if position < len(tokens) and has_colour:
            yield Text("|", style="dim")
        start = position


def _visible(text: str) -> str:
    return "".join(_SEEN.get(character, character) for character in text)


def start_view(document: Mapping[str, Any]) -> RenderableType:
    """Returns what ``init`` has seen and proposes, for people.

    Args:
        document: what ``init --json`` prints.
    """
    look, proposed = document["look"], document["proposed"]
    example = look["example"]
    shown = [(text, bool(is_learnt)) for text, is_learnt in example["shown"]]
    half = len(shown) if len(shown) == example["tokens"] else len(shown) // 2
    heading = (
        f"The first training row as the model sees it: {count(example['tokens'], 'token')}, "
        f"{example['learnt']} of them with loss"
    )
    return Group(
        _pairs(_seen(look)),
        "",
        Text(heading, style="bold"),
        MaskedRow(shown[:half], shown[half:]),
        "",
        Text("Proposed", style="bold"),
        _pairs(_proposals(proposed, longer_ones=look["longer_ones"])),
        "",
    )


def _seen(look: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    tokens = look["tokens"]
    positions = f", {look['positions']:,} positions" if look["positions"] else ""
    yield (
        "Model",
        f"{look['family']}, {look['parameters']:,} parameters, {count(look['layers'], 'layer')} "
        f"of width {look['width']:,}{positions}",
    )
    yield "Data", look["told_by"]
    yield "Rows", ", ".join(f"{number:,} {split}" for split, number in look["rows"].items())
    yield (
        "Tokens",
        f"median {tokens['median']}, 95 % at most {tokens['p95']}, longest {tokens['longest']} "
        f"({tokens['rows']:,} training rows)",
    )
    for warning in look["warnings"]:
        yield "Warning", warning


def _proposals(proposed: Mapping[str, Any], *, longer_ones: str) -> Iterator[tuple[str, str]]:
    cut, (low, high) = proposed["cut"], proposed["learning_rate"]
    said = f"{cut:.1%} of the rows {longer_ones}" if cut else "no row is longer"
    yield "max_length", f"{proposed['max_length']} tokens; {said}"
    batches = proposed["gradient_accumulation"]
    more = f", {batches} of them a step" if batches > 1 else ""
    yield "batch_size", f"{proposed['batch_size']}{more}; {proposed['needs']}"
    yield "steps", f"{proposed['steps']}, {proposed['passes']:.2g} passes over the training rows"
    yield "targets", ", ".join(proposed["targets"])
    yield "learning_rate", f"{low:g} to {high:g}; {proposed['rates_from']}"


def _pairs(rows: Iterable[tuple[str, str]]) -> RenderableType:
    table = pair_table()
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in rows:
        table.add_row(name, Text(text))
    return table
