"""What was typed and what came of it, in a form that tells nothing of the machine it ran on."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["LEFT_OUT", "Step", "Transcript", "plain", "shortened"]

LEFT_OUT = "…"
"""Stands for lines that are not shown."""

# Characters of a line of prose.
_WIDTH = 100
# Colours, and what else a terminal is told.
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
# What Ray's launcher puts before a line when its output is no terminal.
_LOGGED = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+\s+[A-Z]+ \w+\.py:\d+ -- ", re.MULTILINE)
# The keys of a machine are nobody's business, and neither are those that are made for a day.
_KEYS = re.compile(r"SHA256:[A-Za-z0-9+/=]+|ssh-ed25519 [A-Za-z0-9+/=]+")


def plain(text: str, *, places: Mapping[str, str]) -> str:
    """Returns output without colours, without the prefix of Ray's log and without keys.

    Args:
        text: as it came.
        places: folders of this machine, and what is written for each.
    """
    text = _LOGGED.sub("", _CONTROL.sub("", text))
    for folder in sorted(places, key=len, reverse=True):
        text = text.replace(folder, places[folder])
    return _KEYS.sub("(key)", text)


def shortened(text: str, *, shown: Sequence[str]) -> list[str]:
    """Returns the lines that are shown, and a mark where others are left out.

    Args:
        text: plain output.
        shown: patterns; a line in which one is found is shown. Without any, all are.
    """
    lines: list[str] = []
    for line in text.splitlines():
        if not line.strip():
            continue
        if not shown or any(re.search(each, line) for each in shown):
            lines.append(line.rstrip())
        elif not lines or lines[-1] != LEFT_OUT:
            lines.append(LEFT_OUT)
    return lines


@dataclass(frozen=True)
class Step:
    """A command and what is shown of it."""

    command: str
    lines: tuple[str, ...]
    seconds: float


@dataclass
class Transcript:
    """The steps in their order, with the text between them."""

    places: Mapping[str, str]
    """Folders of this machine, and what is written for each."""
    parts: list[Step | str] = field(default_factory=list)

    def say(self, text: str) -> None:
        """Adds a paragraph."""
        self.parts.append(text)

    def note(self, command: str, out: str, *, seconds: float, shown: Sequence[str] = ()) -> None:
        """Adds a command with its output; of a command that was waited with, the last time."""
        text = plain(out, places=self.places)
        lines = tuple(shortened(text, shown=shown))
        self.parts.append(Step(plain(command, places=self.places), lines, seconds))

    def markdown(self) -> str:
        """Returns it as Markdown: paragraphs, and a block of text for each command."""
        blocks = []
        for part in self.parts:
            if isinstance(part, str):
                blocks.append(textwrap.fill(part, width=_WIDTH))
                continue
            lines = [f"$ {part.command}", *part.lines]
            blocks.append("\n".join(["```text", *lines, "```"]))
        return "\n\n".join(blocks) + "\n"
