"""Ten rows of each task and split, as a trial would read them, and how long they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from sweeper._text import shorten
from sweeper.data import Example, TasksDataSpec
from sweeper.data.tasks.task import Task
from sweeper.data.tokens.sequences import parts_of
from sweeper.errors import BadInputError, MissingError
from sweeper.evaluation.answers import most_new_tokens, require_room
from sweeper.experiment.sweep import Sweep
from sweeper.models.inspection import positions_of
from sweeper.preflight.data import find_tokenizer
from sweeper.preflight.dry_run.finding import DryRunFinding

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["ROWS", "try_rows"]

ROWS = 10
"""Rows of each task and split that are tried."""
# Begin and end of text, a first space that some tokenizers add, and one token of the prompt.
_TOKENS_AROUND = 4
_Split = Literal["train", "test"]
_LONGER = "raise train.max_length, or leave such rows out"


def try_rows(sweep: Sweep) -> Iterator[DryRunFinding]:
    """Yields of the tokenizer, and of each task and split, whether its rows fit the trials.

    Args:
        sweep: whose data is tried.
    """
    tokenizer, reason = find_tokenizer(sweep.spec.model)
    if tokenizer is None:
        yield DryRunFinding("tokenizer", "not at hand", shorten(reason, limit=400))
    else:
        yield DryRunFinding("tokenizer", "ok", f"{len(tokenizer):,} tokens")
    data = sweep.spec.data
    if isinstance(data, TasksDataSpec):
        parts: tuple[tuple[_Split, tuple[Task, ...]], ...] = (
            ("train", data.trained()),
            ("test", data.evaluated()),
        )
        for split, tasks in parts:
            for task in tasks:
                load = partial(data.some_of, task, split, rows=ROWS)
                yield _tried(sweep, f"{task.name}, {split}", load, tokenizer, split == "train")
        return
    try:
        splits = data.load().scored_by(sweep.spec.evaluation.metric_names)
    except BadInputError as error:
        # All of its splits, for one reason.
        yield _not_read(f"{data.kind} data", error)
        return
    for name, examples in vars(splits).items():
        load = partial(tuple, examples[:ROWS])
        yield _tried(sweep, f"{data.kind} data, {name}", load, tokenizer, name == "train")


def _tried(
    sweep: Sweep,
    name: str,
    load: Callable[[], Sequence[Example]],
    tokenizer: PreTrainedTokenizerBase | None,
    is_trained: bool,
) -> DryRunFinding:
    try:
        examples = load()
        if not is_trained:
            _require_room_to_write(sweep, examples)
        max_length = sweep.space.any_trial().train.max_length
        return _fit(name, examples, tokenizer, max_length, is_trained=is_trained)
    except BadInputError as error:
        return _not_read(name, error)


def _not_read(name: str, error: BadInputError) -> DryRunFinding:
    status: Literal["no", "not at hand"] = "no"
    if isinstance(error, MissingError):
        status = "not at hand"
    return DryRunFinding(name, status, shorten(error, limit=400))


def _require_room_to_write(sweep: Sweep, examples: Sequence[Example]) -> None:
    """Raises BadInputError where answers that are generated leave no room for a prompt."""
    positions = positions_of(sweep.spec.model.config())
    if positions is None:
        return
    evaluation = sweep.spec.evaluation
    # As before a sweep starts: without a task, and a limit, answers are as long as the rows'.
    written = [x for x in examples if x.is_written and (x.task or evaluation.max_new_tokens)]
    if written:
        require_room(max(most_new_tokens(evaluation, x) for x in written), positions)


def _fit(
    name: str,
    examples: Sequence[Example],
    tokenizer: PreTrainedTokenizerBase | None,
    max_length: int,
    *,
    is_trained: bool,
) -> DryRunFinding:
    number = f"{len(examples)} rows" if len(examples) != 1 else "one row"
    if tokenizer is None:
        asked = _asked(examples, is_trained=is_trained)
        return _fit_for_certain(name, asked, number, max_length)
    lengths, answers = [], []
    for parts in parts_of(_asked(examples, is_trained=is_trained), tokenizer):
        lengths.append(len(parts.start) + len(parts.prompt) + len(parts.answer))
        answers.append(len(parts.start) + len(parts.answer) + (not parts.start))
    are_documents = bool(examples) and all(example.is_document for example in examples)
    detail = f"{number}, of up to {max(lengths, default=0):,} tokens; {max_length:,} are allowed"
    if are_documents or max(lengths, default=0) <= max_length:
        return DryRunFinding(name, "ok", detail)
    longer = sum(length > max_length for length in lengths)
    alone = sum(length > max_length for length in answers)
    said = f"{detail}; {longer} are longer"
    if not alone:
        return DryRunFinding(name, "ok", f"{said}, and their prompts are cut", _LONGER)
    # As training and evaluation encode them.
    then = "their answers are cut" if is_trained else "such rows are left out"
    return DryRunFinding(name, "ok", f"{said}, {alone} by the answer alone: {then}", _LONGER)


def _fit_for_certain(
    name: str, examples: Sequence[Example], number: str, max_length: int
) -> DryRunFinding:
    """Looks at bytes where there is no tokenizer: a token has at least one."""
    sizes = [len(f"{x.prompt}{x.answer}".encode()) + _TOKENS_AROUND for x in examples]
    # What a template writes around a chat is seen by trying.
    has_chats = any(example.conversation is not None for example in examples)
    if not has_chats and max(sizes, default=0) <= max_length:
        detail = f"{number}, which have at most {max_length:,} tokens whatever the tokenizer is"
        return DryRunFinding(name, "ok", detail)
    detail = (
        f"{number} can be read, of up to {max(sizes, default=0):,} bytes; whether they have more "
        f"than {max_length:,} tokens, only the tokenizer tells"
    )
    return DryRunFinding(name, "not at hand", detail)


def _asked(examples: Sequence[Example], *, is_trained: bool) -> list[Example]:
    """Returns the examples as they are encoded: to evaluate, with each of their candidates."""
    if is_trained:
        return list(examples)
    return [replace(x, answer=answer) for x in examples for answer in x.candidates]
