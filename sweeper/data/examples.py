"""What every data set is turned into: examples, in three splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

__all__ = ["Conversation", "Example", "Marks", "Splits"]

Marks = tuple[tuple[int, int], ...]
"""Parts of a text, each by where it starts and where it ends."""

# Metrics that need no generated answer; a test compares them with those that there are.
_BY_LIKELIHOOD = frozenset({"choice", "perplexity"})


@dataclass(frozen=True)
class Conversation:
    """Turns of a chat as a chat template takes them, and which of them are learnt."""

    messages: str
    """JSON: a list of objects with ``role`` and ``content``, the last one a learnt turn of the
    assistant."""
    learnt: tuple[bool, ...]
    """Of each turn of the assistant whether it has a loss; the last one has."""
    tools: str = ""
    """JSON: the list of tools that the assistant may call; empty without any."""
    template: str = ""
    """Source of the Jinja template; empty: the tokenizer's own."""
    variables: str = "{}"
    """JSON: an object with values that the template is given besides."""
    where: str = field(default="", compare=False)
    """Where the row is, for messages."""

    def content(self) -> tuple[str, ...]:
        """Returns all that decides its tokens, the tokenizer aside."""
        return (self.messages, repr(self.learnt), self.tools, self.template, self.variables)


@dataclass(frozen=True)
class Example:
    """One prompt and the answer a model is trained to give."""

    prompt: str
    """Text before the answer; the loss does not see it."""
    answer: str
    """Text to learn, including the space or newline that separates it from the prompt."""
    domain: str = ""
    """Kind of task, for scores by domain; empty where the data has only one."""
    choices: tuple[str, ...] = ()
    """All candidate answers, ``answer`` among them, when the task is multiple choice."""
    task: str = ""
    """Name of the task (:mod:`sweeper.data.tasks`) that it is of; empty for other data."""
    group: str = ""
    """Group that a paper's table averages over, such as MMLU's ``stem``; empty without one."""
    metrics: tuple[str, ...] = ()
    """Names of the metrics that score it, the main one first. Empty: ``choice`` with choices, else
    ``exact``. Of no task they are those of ``evaluation.metrics`` (:meth:`Splits.scored_by`)."""
    references: tuple[str, ...] = ()
    """What a generated answer is compared with; empty where that is ``answer`` itself."""
    unit: str = ""
    """What must not be divided between two splits, such as a dialogue; empty: the prompt."""

    prompt_marks: Marks = ()
    """Parts of the prompt that a template wrote: a special token there is one; elsewhere its name
    is text."""
    answer_marks: Marks = ()
    """The same of the answer."""
    conversation: Conversation | None = None
    """What is encoded where the example is a chat; then ``prompt`` is what was said before its last
    learnt turn, and ``answer`` is that turn, both as text to compare rows by."""
    is_document: bool = False
    """Whether ``answer`` is a text by itself, which is parted where it is too long for one row."""

    @property
    def scoring(self) -> Literal["choice", "generate"]:
        """How it is scored: by the likelihood of its choices, or by what a model generates.

        One of no task that has choices is always scored by them, whatever scores it besides.
        """
        is_named = bool(self.task and self.metrics)
        by_choice = "choice" in self.metrics if is_named else bool(self.choices)
        return "choice" if by_choice else "generate"

    @property
    def candidates(self) -> tuple[str, ...]:
        """The answers whose likelihoods are compared, each once.

        The right one alone where nothing is to choose.
        """
        choices = tuple(dict.fromkeys(self.choices))
        return choices if self.scoring == "choice" and len(choices) > 1 else (self.answer,)

    @property
    def is_written(self) -> bool:
        """Whether it is scored by a generated answer.

        One of no task is only where its metrics ask for it; without any it is scored token by
        token. A document has no question to be answered.
        """
        if self.task:
            return self.scoring == "generate" and bool(self.metrics)
        return not self.is_document and not _BY_LIKELIHOOD.issuperset(self.metrics)


@dataclass(frozen=True)
class Splits:
    """A data set, parted. No example of one split is in another."""

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]

    def domains(self) -> tuple[str, ...]:
        """Returns the domains to train on, sorted; a single empty name where there are none.

        Those of the test split alone are not among them: it may be of another task altogether.
        """
        rows = (*self.train, *self.validation)
        return tuple(sorted({example.domain for example in rows}))

    def scored_by(self, metrics: Sequence[str]) -> Splits:
        """Returns the same examples, those to evaluate on with the metrics that score them.

        Args:
            metrics: names, of metrics for data that is not made of tasks; the same splits where
                there are none.
        """
        if not metrics:
            return self
        names = tuple(metrics)
        return replace(
            self,
            validation=tuple(replace(example, metrics=names) for example in self.validation),
            test=tuple(replace(example, metrics=names) for example in self.test),
        )
