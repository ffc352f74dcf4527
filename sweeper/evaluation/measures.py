"""Metrics of generated answers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING

from sweeper.data import Example
from sweeper.data.questions import Question
from sweeper.estimates import Estimate
from sweeper.evaluation.metrics import Metric, metric
from sweeper.evaluation.metrics.bert_score import Matcher
from sweeper.evaluation.metrics.pass_at_1 import ProgrammingProblem
from sweeper.evaluation.metrics.python_function import python_metric
from sweeper.experiment.trial import EvaluationSpec

if TYPE_CHECKING:
    import torch

__all__ = ["WrittenMetrics", "reference_of"]


class WrittenMetrics:
    """The metrics of generated answers in one evaluation.

    An encoder is loaded when the first metric needs it, and its outputs are kept for the others.

    Args:
        spec: says where the encoder is, and which metrics are functions of one's own.
        device: where it runs.
    """

    def __init__(self, spec: EvaluationSpec, *, device: torch.device | str = "cpu") -> None:
        self._spec = spec
        self._device = str(device)
        self._own = {
            own.name: Metric(own.name, "texts", partial(python_metric, own))
            for own in spec.functions
        }

    def find(self, name: str) -> Metric:
        """Returns the metric of a name; BadInputError where there is none."""
        return self._own.get(name) or metric(name)

    def has(self, name: str) -> bool:
        """Whether a metric of written answers can be measured: some need an encoder."""
        found = self.find(name)
        is_missing = found.takes == "encoder" and self._spec.encoder is None
        return not is_missing and all(self.has(part) for part in found.parts)

    def of(self, name: str, questions: Sequence[Question], texts: Sequence[str]) -> Estimate | None:
        """Returns a metric; None where the spec has no encoder for it.

        Args:
            name: of a metric of texts, of an encoder, of programs, or made of such.
            questions: what was asked, at least one.
            texts: what was written.
        """
        found = self.find(name)
        if found.takes == "programs":
            return found.measure(texts, [_problem(question.example) for question in questions])
        wanted = [reference_of(question.example) for question in questions]
        if found.takes != "metrics":
            return self.of_texts(found, texts, wanted)
        values = {part: self.of(part, questions, texts) for part in found.parts}
        known = {part: value for part, value in values.items() if value is not None}
        return found.measure(known) if len(known) == len(values) else None

    def of_texts(
        self, found: Metric, texts: Sequence[str], wanted: Sequence[str]
    ) -> Estimate | None:
        """Returns a metric of texts or of an encoder; None where the spec has no encoder for it.

        Args:
            found: the metric.
            texts: what was written.
            wanted: what it should be like, one for each.
        """
        if found.takes != "encoder":
            return found.measure(texts, wanted)
        return found.measure(texts, wanted, matcher=self._matcher) if self._matcher else None

    @cached_property
    def _matcher(self) -> Matcher | None:
        folder, layer = self._spec.encoder, self._spec.encoder_layer
        return None if folder is None else Matcher(folder, layer=layer, device=self._device)


def reference_of(example: Example) -> str:
    """Returns what a generated answer is compared with."""
    return example.references[0] if example.references else example.answer.strip()


def _problem(example: Example) -> ProgrammingProblem:
    test, entry_point = example.references
    return ProgrammingProblem(prompt=example.prompt, test=test, entry_point=entry_point)
