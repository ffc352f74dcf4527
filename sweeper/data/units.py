"""What belongs together in a data set, so that it is never divided between two splits.

Where nobody says so, it is the prompt: rows that ask the same are of one split. Two things are told
from the rows themselves. A prompt that stands in a quarter of them is an instruction and no
question ("Write a short story."): there a row is told by prompt and answer together. And rows whose
prompts are mostly one and the same passage (a document and one of its questions) are one unit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sweeper.data.examples import Example

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
    found = tuple(_with_unit(example, instructions, passages) for example in examples)
    told = ["prompt"]
    if passages:
        told = ["the passage that is most of their prompts", *told]
    if instructions:
        most = max(instructions, key=counts.__getitem__)
        told = [
            f"row where a prompt stands in a quarter of them ({' '.join(most.split())[:60]!r} in "
            f"{counts[most]:,})",
            *told,
        ]
    return Units(found, ", else by ".join(told), is_anew=bool(instructions or passages))


def _with_unit(example: Example, instructions: frozenset[str], passages: dict[str, str]) -> Example:
    if example.unit:
        return example
    if example.prompt in instructions:
        return replace(example, unit=row_unit(example))
    passage = passages.get(example.prompt)
    return example if passage is None else replace(example, unit=passage)


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
