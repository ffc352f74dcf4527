"""What there is to be seen of a model and data together: format, one example, lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from sweeper._text import shorten
from sweeper.data.formats import (
    ROLES,
    FieldsFormat,
    MessagesFormat,
    ShareGptFormat,
    TextFormat,
)
from sweeper.data.recognition import Proposal, recognise
from sweeper.data.sources.files import RowsDataSpec
from sweeper.data.splitting import sample
from sweeper.data.tokens import encode
from sweeper.data.tokens.encoding import IGNORED_LABEL, Tokens, labels_of
from sweeper.errors import BadInputError, DataError
from sweeper.models import ModelSpec
from sweeper.models.inspection import load_tokenizer, positions_of
from sweeper.models.shapes import ModelFacts
from sweeper.preflight.start.finding import find_data, find_model

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Example", "Lengths", "Look", "Piece", "look_at"]

# Rows whose tokens are counted: the 95th percentile of so many is known to a few tokens.
_MOST_COUNTED = 2000
# No row is cut to be counted.
_NO_LIMIT = 10**9
# Tokens of an example that are shown at its begin and at its end.
_SHOWN = 120


@dataclass(frozen=True)
class Lengths:
    """Tokens of the training rows, prompt and answer together.

    Attributes:
        rows: How many were counted; a seeded draw where there are more.
        median: Half of them have at most as many.
        p95: 95 % of them have at most as many.
        p99: 99 % of them have at most as many.
        longest: The longest has as many.
        each: Those of each row, rising.
    """

    rows: int
    median: int
    p95: int
    p99: int
    longest: int
    each: tuple[int, ...]

    @classmethod
    def of(cls, lengths: Sequence[int]) -> Lengths:
        """Returns what is said of the lengths of some rows, one or more."""
        each = sorted(lengths)
        median, p95, p99 = (each[min(len(each) - 1, int(x * len(each)))] for x in (0.5, 0.95, 0.99))
        return cls(len(each), median, p95, p99, each[-1], tuple(each))

    def longer_than(self, tokens: int) -> float:
        """Returns the share of the rows that have more tokens, from 0 to 1."""
        return sum(length > tokens for length in self.each) / len(self.each)


@dataclass(frozen=True)
class Piece:
    """A token of an example.

    Attributes:
        text: What it stands for.
        is_learnt: Whether the loss counts it.
    """

    text: str
    is_learnt: bool


@dataclass(frozen=True)
class Example:
    """One training row as the model sees it.

    Attributes:
        tokens: How many there are.
        learnt: How many of them the loss counts.
        begin: The first ones.
        end: The last ones; empty where all are among the first.
    """

    tokens: int
    learnt: int
    begin: tuple[Piece, ...]
    end: tuple[Piece, ...] = ()


@dataclass(frozen=True)
class Look:
    """A model and data, looked at.

    Attributes:
        model: Where the model is.
        family: Its ``model_type``.
        facts: Its shape.
        positions: How many it has; None where its configuration does not say.
        data: Where the data is, with its format.
        settings: Its format as it stands in a file.
        told_by: By what the format was recognised.
        rows: How many each split has.
        warnings: What the user may not expect of the data, a sentence each.
        lengths: Tokens of its training rows.
        example: The first training row.
    """

    model: ModelSpec
    family: str
    facts: ModelFacts
    positions: int | None
    data: RowsDataSpec
    settings: Mapping[str, Any]
    told_by: str
    rows: Mapping[str, int]
    warnings: tuple[str, ...]
    lengths: Lengths
    example: Example

    @property
    def longer_ones(self) -> str:
        """What becomes of rows that are longer than ``max_length``, a part of a sentence."""
        are_texts = isinstance(self.data.format, TextFormat)
        return "are longer and are parted" if are_texts else "are longer and are cut"

    def document(self) -> dict[str, Any]:
        """Returns it as plain JSON."""
        example = self.example
        return {
            "model": self.model.model_dump(mode="json", exclude_defaults=True)
            | {"kind": self.model.kind},
            "family": self.family,
            "parameters": self.facts.shape.total_parameters,
            "layers": self.facts.shape.layers,
            "width": self.facts.width,
            "positions": self.positions,
            "data": self.data.model_dump(mode="json", exclude={"seed"}),
            "told_by": self.told_by,
            "longer_ones": self.longer_ones,
            "rows": dict(self.rows),
            "warnings": list(self.warnings),
            "tokens": {
                "rows": self.lengths.rows,
                "median": self.lengths.median,
                "p95": self.lengths.p95,
                "longest": self.lengths.longest,
            },
            "example": {
                "tokens": example.tokens,
                "learnt": example.learnt,
                "shown": [[x.text, x.is_learnt] for x in (*example.begin, *example.end)],
            },
        }


def look_at(
    model: str,
    data: str,
    *,
    prompt: str | None = None,
    answer: str | None = None,
    template: str | None = None,
) -> Look:
    """Returns what a model and data are, and how the one sees the other.

    Args:
        model: a folder, or a name on the Hub.
        data: a file, a folder, or a name on the Hub.
        prompt: template of the prompt, where the format shall not be recognised; with ``answer``. A
            backslash and an n are a line break.
        answer: template of the answer.
        template: file with a chat template, where the rows are chats and the tokenizer has none.

    Raises:
        BadInputError: one of them is not there or cannot be used, or the format of the rows is not
            known.
    """
    found_model = find_model(model)
    rows = find_data(data)
    first = rows.first_rows()
    if not first:
        raise DataError(f"--data is {data}, which has no training row; give at least three rows")
    found = _format(first, data, prompt=prompt, answer=answer)
    if template is not None:
        found = _with_template(found, template)
    source = found_model.source()
    subject = f"the model {shorten(model)}"
    tokenizer = load_tokenizer(source.name, revision=source.revision or "main", subject=subject)
    found = _with_chat_template(found, tokenizer)
    assert found.format is not None
    spec = rows.model_copy(update={"format": found.format})
    read = spec.read()
    # Longer rows are counted, too, and not given to the model.
    tokenizer.model_max_length = _NO_LIMIT
    counted = sample(read.splits.train, _MOST_COUNTED, seed=0)
    encoded = encode(counted, tokenizer, _NO_LIMIT)
    config = found_model.config()
    return Look(
        model=found_model,
        family=str(config.get("model_type")),
        facts=found_model.facts(),
        positions=positions_of(config),
        data=spec,
        settings=found.settings(),
        told_by=found.reason if found.kind is None else f"{found.kind}: {found.reason}",
        rows={x: len(getattr(read.splits, x)) for x in ("train", "validation", "test")},
        warnings=read.warnings,
        lengths=Lengths.of([len(tokens.ids) for tokens in encoded.tokens]),
        example=_example(encoded.tokens[0], tokenizer),
    )


def _format(
    rows: Sequence[Mapping[str, object]], place: str, *, prompt: str | None, answer: str | None
) -> Proposal:
    """Returns the format of rows, and by what it was told.

    Raises:
        BadInputError: it is not known, or a template cannot be read.
    """
    if (prompt is None) != (answer is None):
        missing = "--answer" if answer is None else "--prompt"
        raise BadInputError(f"{missing} is missing; the two templates go together; give both")
    if prompt is not None and answer is not None:
        # In a shell a line break is hard to write.
        texts = {"prompt": prompt.replace("\\n", "\n"), "answer": answer.replace("\\n", "\n")}
        try:
            chosen = FieldsFormat.model_validate(texts)
        except ValidationError as error:
            reason = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
            raise BadInputError(f"--prompt or --answer: {reason}") from error
        return Proposal(None, chosen, "the given templates", (), len(rows))
    found = recognise(rows)
    if found.format is None:
        raise DataError(
            f"the format of the rows of {shorten(place)} is not recognised: {found.reason}; init "
            "takes it so: --prompt '{FIELD}\\nAnswer:' --answer ' {FIELD}'"
        )
    return found


def _with_chat_template(found: Proposal, tokenizer: PreTrainedTokenizerBase) -> Proposal:
    """Returns a format that can be rendered: a base model may have no template for chats."""
    chats = found.format
    if not isinstance(chats, MessagesFormat | ShareGptFormat):
        return found
    if chats.template is not None or tokenizer.chat_template:
        return found
    reason = f"{found.reason}; the model has no chat template, so that each turn follows its role"
    return replace(found, format=chats.model_copy(update={"template": ROLES}), reason=reason)


def _with_template(found: Proposal, template: str) -> Proposal:
    if not isinstance(found.format, MessagesFormat | ShareGptFormat):
        raise BadInputError(
            f"--template is {shorten(template)}, but the rows are no chats ({found.kind}); only "
            "chats have a template; leave it out"
        )
    return replace(found, format=found.format.model_copy(update={"template": template}))


def _example(tokens: Tokens, tokenizer: PreTrainedTokenizerBase) -> Example:
    learnt = [label != IGNORED_LABEL for label in labels_of(tokens).tolist()]
    both = list(zip(tokens.ids, learnt, strict=True))
    parts = [both] if len(both) <= 2 * _SHOWN else [both[:_SHOWN], both[-_SHOWN:]]
    pieces = [_pieces(part, tokenizer) for part in parts]
    return Example(len(both), sum(learnt), *pieces)


def _pieces(
    tokens: Sequence[tuple[int, bool]], tokenizer: PreTrainedTokenizerBase
) -> tuple[Piece, ...]:
    """Returns tokens as texts, each what it adds to those before: by itself it may be no text."""
    found: list[Piece] = []
    before, ids = "", [token for token, _ in tokens]
    for number, (_, is_learnt) in enumerate(tokens, start=1):
        text = str(tokenizer.decode(ids[:number], clean_up_tokenization_spaces=False))
        if text.endswith("\N{REPLACEMENT CHARACTER}"):
            # A part of a character: its last token shows it.
            found.append(Piece("", is_learnt))
            continue
        found.append(Piece(text[len(before) :], is_learnt))
        before = text
    return tuple(found)
