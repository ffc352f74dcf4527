"""Scores of data that is not made of tasks, by the metrics that ``evaluation.metrics`` names.

Names, each with its standard error under ``<name>_se``:

* ``<metric>``: of written answers, where they were generated; ``perplexity``: of the right ones.
* ``accuracy``: of questions with choices, as :func:`sweeper.evaluation.scoring.evaluate` has it.
* ``greedy_exact``: of the others, whether greedy decoding would give the answer token by token. It
  is what ``accuracy`` is where no metrics are named, and next to nothing for long answers.
* each of them with ``/<domain>`` behind it, where there are several domains.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sweeper.data.questions import Question
from sweeper.estimates import Estimate, mean_estimate
from sweeper.evaluation.metrics import METRICS
from sweeper.evaluation.task_scores import AnsweredQuestions, Measure, parted

__all__ = ["own_estimates"]


def own_estimates(
    questions: Sequence[Question],
    answered: Sequence[Mapping[str, float]],
    *,
    measure: Measure,
) -> dict[str, Estimate]:
    """Returns all scores of the module by name.

    Args:
        questions: of no task, at least one with metrics.
        answered: what the likelihoods say of each; nothing of one without candidates.
        measure: measures written answers.
    """
    scores = _Scores(questions, answered, measure)
    names = dict.fromkeys(name for question in questions for name in question.example.metrics)
    found: dict[str, Estimate] = {}
    for name in names:
        if name == "perplexity":
            found |= scores.with_parts(name, scores.perplexity)
        elif name != "choice":
            found |= scores.written(name)
    found |= scores.with_parts("accuracy", scores.accuracy)
    return found | scores.with_parts("greedy_exact", scores.greedy_exact)


class _Scores(AnsweredQuestions):
    """The scores of questions of no task."""

    def with_parts(
        self, name: str, measured: Callable[[Sequence[int]], Estimate | None]
    ) -> dict[str, Estimate]:
        """Returns a metric on all rows, and on those of each domain where there are several.

        Args:
            name: of the metric.
            measured: returns it on some rows; None where they have no value.
        """
        rows = range(len(self._questions))
        domains = parted(rows, self._domain)
        parts: dict[str, Sequence[int]] = {name: rows}
        if len(domains) > 1:
            parts |= {f"{name}/{domain}": members for domain, members in domains}
        values = {part: measured(members) for part, members in parts.items()}
        return {part: value for part, value in values.items() if value is not None}

    def accuracy(self, rows: Sequence[int]) -> Estimate | None:
        """Returns how often the likeliest of the choices is right."""
        return self._right([row for row in rows if self._questions[row].is_choice])

    def greedy_exact(self, rows: Sequence[int]) -> Estimate | None:
        """Returns how often greedy decoding would give an answer that is no choice."""
        return self._right([row for row in rows if not self._questions[row].is_choice])

    def _right(self, rows: Sequence[int]) -> Estimate | None:
        scored = self._scored(rows)
        return self._mean("accuracy", scored) if scored else None

    def perplexity(self, rows: Sequence[int]) -> Estimate | None:
        """Returns the perplexity of the right answers."""
        return self._of_losses(METRICS["perplexity"], rows)

    def written(self, name: str) -> dict[str, Estimate]:
        """Returns a metric of written answers, measured once where it is a mean over rows."""
        rows = [row for row, own in enumerate(self._questions) if name in own.example.metrics]
        whole = self._measure(name, rows)
        if whole is None:
            return {}
        # A function of one's own is one.
        has_mean = name not in METRICS or METRICS[name].has_mean
        values = dict(zip(rows, whole.contributions, strict=True)) if whole.contributions else {}

        def on(chosen: Sequence[int]) -> Estimate | None:
            members = [row for row in chosen if name in self._questions[row].example.metrics]
            if members == rows:
                found: Estimate | None = whole
            elif has_mean and values:
                found = mean_estimate([values[row] for row in members]) if members else None
            else:
                found = self._measure(name, members) if members else None
            return None if found is None else found.on_rows(members)

        return self.with_parts(name, on)
