"""What is wrong with single rows: nothing to learn, no right choice, too long."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sweeper.data.examples import Example, Splits
from sweeper.data.hygiene.findings import Finding, Kind, Shown
from sweeper.data.hygiene.texts import shortened
from sweeper.data.tokens.encoding import encode, encode_candidates

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["SHOWN", "bad_rows", "long_rows", "place_of", "row_findings"]

SHOWN = 3
"""Rows shown of a finding."""
_CHUNK = 4096
# Tokenising takes a second for some thousands of rows; what so many rows say holds for all.
_MEASURED = 20_000
_UNCUT = 2**31
# No text has tokens of so many letters on average.
_LETTERS = 64


def place_of(split: str, row: int, example: Example) -> str:
    """Returns how a row is called in messages: its place in its split, from 0."""
    return f"{split} row {row}" + (f" ({example.task})" if example.task else "")


def row_findings(splits: Splits) -> Iterator[Finding]:
    """Yields the problems of single rows; nothing if there are none."""
    tests: dict[Kind, Callable[[Example], str | None]] = {
        "empty prompt": _prompt_problem,
        "empty answer": lambda e: None if e.answer.strip() else f"the answer is {e.answer!r}",
        "answer not a choice": _answer_problem,
        "repeated choice": _choice_problem,
    }
    for kind, problem in tests.items():
        for split, examples in vars(splits).items():
            found = [(row, why) for row, e in enumerate(examples) if (why := problem(e))]
            if found:
                shown = tuple(
                    Shown(
                        place_of(split, row, examples[row]),
                        shortened(examples[row].prompt),
                        remark=shortened(why),
                    )
                    for row, why in found[:SHOWN]
                )
                yield Finding(kind, split, len(found), len(examples), shown)


def bad_rows(refused: Sequence[str], *, rows: int) -> Iterator[Finding]:
    """Yields what the loader left out.

    Args:
        refused: where each row is, and why.
        rows: how many were read besides.
    """
    if refused:
        # A message of the loader begins with file and line.
        parts = [message.partition(": ") for message in refused[:SHOWN]]
        shown = tuple(Shown(place, "", remark=shortened(why)) for place, _, why in parts)
        yield Finding("bad row", "all files", len(refused), rows + len(refused), shown)


def long_rows(
    splits: Splits, tokenizer: PreTrainedTokenizerBase, *, max_length: int
) -> Iterator[Finding]:
    """Yields what does not fit into a length; of a large split an even sample is looked at.

    The encoder decides what happens to such a row: training cuts it, an evaluation leaves it out.

    Args:
        splits: all rows.
        tokenizer: of the model.
        max_length: most tokens of an example.
    """
    for split, examples in vars(splits).items():
        step = -(-len(examples) // _MEASURED)
        rows = range(0, len(examples), step) if step else range(0)
        where = split if step <= 1 else f"{split}, 1 row in {step}"
        long_in = _long_in_training if split == "train" else _long_in_evaluation
        long: dict[Kind, list[int]] = {}
        for first in range(0, len(rows), _CHUNK):
            chunk = rows[first : first + _CHUNK]
            found = long_in(
                [_clipped(examples[row], max_length) for row in chunk], tokenizer, max_length
            )
            for kind, places in found.items():
                long.setdefault(kind, []).extend(chunk[place] for place in places)
        for kind, found_rows in long.items():
            if found_rows:
                shown = tuple(
                    Shown(
                        place_of(split, row, examples[row]),
                        shortened(f"{examples[row].prompt}{examples[row].answer}"),
                        remark=f"{_size(examples[row], tokenizer, max_length)} tokens; "
                        f"train.max_length is {max_length:,}",
                    )
                    for row in found_rows[:SHOWN]
                )
                yield Finding(kind, where, len(found_rows), len(rows), shown)


def _long_in_training(
    examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> dict[Kind, Sequence[int]]:
    """Returns the positions of the examples of which training cuts something."""
    found = encode(examples, tokenizer, max_length, long_answers="cut")
    return {"cut prompt": found.prompts_cut, "cut answer": found.answers_cut}


def _long_in_evaluation(
    examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> dict[Kind, Sequence[int]]:
    """Returns the positions of the examples of which an evaluation has no whole row."""
    found = encode_candidates(examples, tokenizer, max_length)
    pairs = zip(found.examples, found.candidates, strict=True)
    without_room = [place for place, own in pairs if not own]
    return {
        "cut prompt": found.prompts_cut,
        "left out": [place for place in without_room if not examples[place].is_written],
        "no loss": [place for place in without_room if examples[place].is_written],
    }


def _size(example: Example, tokenizer: PreTrainedTokenizerBase, max_length: int) -> str:
    """Returns how many tokens an example has with the longest of its candidates."""
    clipped = _clipped(example, max_length)
    (candidates,) = encode_candidates([clipped], tokenizer, _UNCUT).candidates
    size = max(len(tokens.ids) for tokens in candidates)
    return f"{size:,}" if clipped is example else f"more than {size:,}"


def _clipped(example: Example, max_length: int) -> Example:
    """Returns an example without what is far beyond a length: megabytes take long to tokenise.

    What is cut is the same: what is left is longer than the length, prompt and answer alike.
    """
    if example.conversation is not None:
        return example
    most = _LETTERS * max_length
    texts = (example.prompt, *example.candidates)
    if max(map(len, texts)) <= most:
        return example
    return replace(
        example,
        prompt=example.prompt[-most:],
        answer=example.answer[:most],
        choices=tuple(choice[:most] for choice in example.choices),
        prompt_marks=(),
        answer_marks=(),
    )


def _prompt_problem(example: Example) -> str | None:
    if example.prompt.strip() or example.is_document:
        return None
    return f"the answer is {example.answer!r}"


def _answer_problem(example: Example) -> str | None:
    if not example.choices or example.answer in example.choices:
        return None
    return f"the answer is {example.answer!r}, the choices are {', '.join(example.choices)}"


def _choice_problem(example: Example) -> str | None:
    texts = [choice.strip() for choice in example.choices]
    twice = sorted({text for text in texts if texts.count(text) > 1})
    return f"more than once: {', '.join(twice)}" if twice else None
