"""What belongs together in a data set, so that it is never divided between two splits.

Where nobody says so, it is the prompt: rows that ask the same are of one split. Three things are
told from the rows themselves. A prompt that stands in a quarter of them is an instruction and no
question ("Write a short story."): there a row is told by prompt and answer together. And rows whose
prompts are mostly one and the same passage (a document and one of its questions) are one unit. So
are chats that begin alike, up to the first turn of the user: one may be the other, gone on with.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sweeper.data.examples import Conversation, Example

__all__ = ["Units", "instructions_of", "is_told_by_answer", "row_unit", "with_units"]

# The share from which the check of contamination, too, takes words for a template's.
_INSTRUCTION_SHARE, _INSTRUCTION_ROWS = 0.25, 5
# The longest n-gram by which the check of contamination finds a text in another one.
_PASSAGE_WORDS = 13
# A passage of more rows than these tells no document: it is a long instruction.
_PASSAGE_SHARE, _PASSAGE_ROWS = 0.05, 10


@dataclass(frozen=True)
class Units:
    """Examples with their units."""

    examples: tuple[Example, ...]
    """In their order; those of no unit are of the one of their prompt."""
    told_by: str
    """In words, what tells a unit."""
    is_anew: bool
    """Whether a row has another unit than its prompt though nobody named one."""


def row_unit(example: Example) -> str:
    """Returns the unit of a row that is one by itself: prompt and answer."""
    return f"{example.prompt}\0{example.answer}"


def is_told_by_answer(example: Example) -> bool:
    """Whether prompt and answer together are an example's unit."""
    return example.unit == row_unit(example)


def instructions_of(examples: Sequence[Example]) -> frozenset[str]:
    """Returns the prompts that stand in so many rows that they tell none from another."""
    counts = Counter(example.prompt for example in examples)
    least = max(_INSTRUCTION_ROWS, _INSTRUCTION_SHARE * len(examples))
    return frozenset(prompt for prompt, count in counts.items() if count >= least)


def with_units(examples: Sequence[Example], *, named: str = "") -> Units:
    """Returns examples with their units.

    Args:
        examples: all rows that are parted.
        named: the template of their units (``data.unit``) where they have them already.
    """
    if named:
        return Units(tuple(examples), f"data.unit {named!r}", is_anew=False)
    if all(example.is_document for example in examples):
        return Units(tuple(examples), "text", is_anew=False)
    counts = Counter(example.prompt for example in examples)
    instructions = instructions_of(examples)
    passages = _passages(counts, rows=len(examples))
    openings = _openings(examples)
    # A chat that has not gone on may be of a passage.
    whole = passages | {prompt: passages.get(text, text) for prompt, text in openings.items()}
    found = tuple(_with_unit(example, instructions, whole) for example in examples)
    told = ["prompt"]
    if openings:
        told = ["the turns up to the first of the user, which chats have in common", *told]
    if passages:
        told = ["the passage that is most of their prompts", *told]
    if instructions:
        most = max(instructions, key=counts.__getitem__)
        told = [
            f"row where a prompt stands in a quarter of them ({' '.join(most.split())[:60]!r} in "
            f"{counts[most]:,})",
            *told,
        ]
    return Units(found, ", else by ".join(told), is_anew=bool(instructions or whole))


def _with_unit(example: Example, instructions: frozenset[str], shared: dict[str, str]) -> Example:
    if example.unit:
        return example
    if example.prompt in instructions:
        return replace(example, unit=row_unit(example))
    unit = shared.get(example.prompt)
    return example if unit is None else replace(example, unit=unit)


def _openings(examples: Sequence[Example]) -> dict[str, str]:
    """Returns how each chat that went on begins, by its prompt, where another one begins so, too.

    It is the prompt of a chat that has not gone on. What opens a quarter of the rows is a greeting.
    """
    found = {x.prompt: _opening(x.conversation) for x in examples if x.conversation is not None}
    shared = Counter(found.get(example.prompt, "") for example in examples)
    most = max(_INSTRUCTION_ROWS, _INSTRUCTION_SHARE * len(examples))
    return {
        prompt: text
        for prompt, text in found.items()
        if text and text != prompt and 1 < shared[text] < most
    }


def _opening(chat: Conversation) -> str:
    """Returns the turns up to the first one of the user, as a prompt has them; else nothing."""
    messages = json.loads(chat.messages)
    first = next((i for i, message in enumerate(messages) if message["role"] == "user"), None)
    if first is None:
        return ""
    return "\n".join(f"{x['role']}: {x['content']}" for x in messages[: first + 1])


def _passages(counts: Counter[str], *, rows: int) -> dict[str, str]:
    """Returns the passage of each prompt that shares one with another prompt."""
    found = {prompt: line for prompt in counts if (line := _longest_line(prompt))}
    prompts = Counter(found.values())
    shared = Counter[str]()
    for prompt, line in found.items():
        shared[line] += counts[prompt]
    most = max(_PASSAGE_ROWS, _PASSAGE_SHARE * rows)
    return {
        prompt: line for prompt, line in found.items() if prompts[line] > 1 and shared[line] <= most
    }


def _longest_line(prompt: str) -> str:
    """Returns a prompt's longest line; nothing where that is short or less than half of it."""
    sizes = {line.strip(): len(line.split()) for line in prompt.split("\n")}
    line = max(sizes, key=sizes.__getitem__)
    is_passage = sizes[line] >= _PASSAGE_WORDS and 2 * sizes[line] >= len(prompt.split())
    return line if is_passage and line != prompt.strip() else ""
