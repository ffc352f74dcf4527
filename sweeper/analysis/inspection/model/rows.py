"""Rows of a trial's data as token ids, each with the task that it is of."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from sweeper.analysis.inspection.asked import InspectionRequest
from sweeper.analysis.inspection.model.opening import OpenTrial
from sweeper.data import Example
from sweeper.data.tokens.encoding import Tokens, encode
from sweeper.errors import DataError

__all__ = ["Row", "rows_by_task", "rows_of"]


@dataclass(frozen=True)
class Row:
    """A row of the data."""

    tokens: Tokens
    """Prompt and answer; of a document that is parted, its first part."""
    task: str
    """Its domain, or its task where domains tell nothing; empty where there is one kind only."""


def rows_of(opened: OpenTrial, asked: InspectionRequest, *, least: int) -> list[Row]:
    """Returns the rows that are looked at, drawn with the seed, in an order that is drawn, too.

    Args:
        opened: the trial.
        asked: how many, of which split.
        least: rows without which there is nothing to say.

    Raises:
        DataError: the split has fewer.
    """
    examples: Sequence[Example] = getattr(opened.base.data.splits, asked.chosen_split)
    names = _names(examples)
    order = list(range(len(examples)))
    random.Random(asked.seed).shuffle(order)
    order = _shared_out(order, names, asked.most_rows)
    encoded = encode(
        [examples[place] for place in order],
        opened.base.tokenizer,
        opened.trial.train.max_length,
        domains=opened.base.data.domains,
        long_answers="cut",
    )
    firsts: dict[int, Tokens] = {}
    for tokens in encoded.tokens:
        # Parts of one document are not independent rows. One token alone has no context.
        if len(tokens.ids) > 1:
            firsts.setdefault(tokens.example, tokens)
    found = [Row(tokens, names[order[place]]) for place, tokens in firsts.items()]
    if len(found) < least:
        raise DataError(
            f"rows: the {asked.chosen_split} split gives {len(found)} (--rows {asked.most_rows}), "
            f"but {asked.kind} needs {least} or more; give more, or take another --split"
        )
    return found


def rows_by_task(rows: Sequence[Row], *, kind: str, least: int) -> dict[str, list[Row]]:
    """Returns the rows of each task, sorted by its name; tasks with too few rows are left out.

    Args:
        rows: of all tasks.
        kind: of the inspection, for the message.
        least: rows of a task without which nothing is said of it.

    Raises:
        DataError: fewer than two tasks are left.
    """
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.task, []).append(row)
    kept = {task: found[task] for task in sorted(found) if len(found[task]) >= least}
    if len(kept) < 2:
        sizes = ", ".join(f"{task or 'no name'} {len(own)}" for task, own in found.items())
        raise DataError(
            f"{kind}: it compares tasks, and the rows have {len(kept)} with {least} rows or more "
            f"({sizes}); two are needed; give --rows more, or take a trial on data with domains or "
            "several tasks"
        )
    return kept


def _names(examples: Sequence[Example]) -> list[str]:
    """Returns the task of each example: its domain where these differ, else its task."""
    domains = [example.domain for example in examples]
    return domains if len(set(domains)) > 1 else [example.task for example in examples]


def _shared_out(order: Sequence[int], names: Sequence[str], rows: int) -> list[int]:
    """Returns the first of an order, so that each task has as many as any, while it has some."""
    own: dict[str, list[int]] = {}
    for place in order:
        own.setdefault(names[place], []).append(place)
    rank = {place: turn for places in own.values() for turn, place in enumerate(places)}
    # Tasks alternate, so that batches are alike.
    return sorted(order, key=rank.__getitem__)[:rows]
