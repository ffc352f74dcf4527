"""The examples of a sweep, made ready for a model once and used by trial after trial."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sweeper.data.examples import Example, Splits
from sweeper.data.questions import Question, draw_examples, questions_of
from sweeper.data.tokens.cache import training_tokens
from sweeper.data.tokens.table import TokenTable
from sweeper.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from sweeper.data import DataSpec

__all__ = ["PreparedData", "require_rows"]

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class PreparedData:
    """The splits of a data set with a model's tokenizer; keeps what it has encoded."""

    spec: DataSpec
    """Where the examples come from."""
    splits: Splits
    fingerprint: str
    """Hash of the data's content, part of each trial's identity."""
    tokenizer: PreTrainedTokenizerBase
    """The base model's."""
    domains: tuple[str, ...] = field(init=False)
    """Domains of the data, sorted: an example's task is told by its position here."""
    _train: dict[int, TokenTable] = field(default_factory=dict, init=False)
    _questions: dict[tuple[str, int, int], tuple[Question, ...]] = field(
        default_factory=dict, init=False
    )

    def __post_init__(self) -> None:
        """Collects the domains."""
        self.domains = self.splits.domains()

    @classmethod
    def read(
        cls, spec: DataSpec, tokenizer: PreTrainedTokenizerBase, *, metrics: Sequence[str] = ()
    ) -> PreparedData:
        """Returns the data that a spec describes; nothing of it is encoded yet.

        Args:
            spec: of the data.
            tokenizer: the base model's.
            metrics: names of those that score data that is not made of tasks.

        Raises:
            BadInputError: the data is not there, or cannot be read.
        """
        return cls(spec, spec.load().scored_by(metrics), spec.fingerprint(), tokenizer)

    @property
    def chat_template(self) -> str:
        """The text of the chats' template; empty without chats, or if the tokenizer has it."""
        chats = (example.conversation for example in self.splits.train)
        return next((chat.template for chat in chats if chat is not None), "")

    def require_rows(self) -> None:
        """Checks that there are training and validation examples.

        Raises:
            DataError: one of the two splits is empty.
        """
        require_rows(self.splits)

    def train_tokens(self, max_length: int) -> TokenTable:
        """Returns the training examples as token ids; read or encoded once for each length.

        Args:
            max_length: tokens after which a prompt is cut on the left, and an answer on the right.
        """
        if max_length not in self._train:
            table = training_tokens(
                self.splits.train, self.tokenizer, max_length, domains=self.domains
            )
            if table.prompts_cut or table.answers_cut:
                logger.warning(
                    "of %d training examples, %d prompts and %d answers are cut to %d tokens; "
                    "raise train.max_length to train on whole examples",
                    len(table),
                    table.prompts_cut,
                    table.answers_cut,
                    max_length,
                )
            self._train[max_length] = table
        return self._train[max_length]

    def with_train(self, max_length: int, table: TokenTable) -> PreparedData:
        """Returns the same data with other training examples of one length.

        Args:
            max_length: most tokens of an example.
            table: the examples as token ids.
        """
        other = replace(self)
        other._train[max_length] = table
        other._questions = self._questions
        return other

    def questions(
        self, *, max_length: int, count: int | None = None, split: str = "validation"
    ) -> tuple[Question, ...]:
        """Returns the questions of an evaluation, the same for every trial.

        Args:
            max_length: tokens after which a prompt is cut from the left.
            count: how many, drawn with a fixed seed; all of the split where None or too many.
            split: ``train``, ``validation`` or ``test``.

        Raises:
            DataError: not one of them has room for its answer, so that there is no loss.
        """
        examples: Sequence[Example] = getattr(self.splits, split)
        size = len(examples) if count is None else min(count, len(examples))
        key = (split, max_length, size)
        if key not in self._questions:
            self._questions[key] = questions_of(
                draw_examples(examples, size),
                self.tokenizer,
                max_length,
                domains=self.domains,
                needs_loss=True,
            )
        return self._questions[key]


def require_rows(splits: Splits) -> None:
    """Checks that there are training and validation examples.

    Raises:
        DataError: one of the two splits is empty.
    """
    for name in ("train", "validation"):
        if not getattr(splits, name):
            raise DataError(
                f"the {name} split of the data is empty; a trial needs at least one example "
                "in it; use data with at least one"
            )
