"""Scores by task, group and domain, and their averages over tasks, as the papers' tables have them.

Names, each with its standard error under ``<name>_se``:

* ``<task>/loss``; of choices ``<task>/accuracy`` and ``<task>/accuracy_per_character``, as
  :func:`sweeper.evaluation.scoring.evaluate` has them; of written answers ``<task>/<metric>``. A
  metric that is made of others, such as ``dialogue_mean``, is there when all of them are.
* ``<task>/<group>`` and ``<task>/<domain>``: the task's first metric on a part of its examples.
* ``<task>/<metric>_macro``: mean of the first metric over the task's domains, each counted alike.
* ``<task>/greedy_exact``: whether greedy decoding would give the answer token by token, where
  nothing was generated.
* ``accuracy``: over the examples of all tasks whose first metric is a share of right answers;
  ``accuracy_macro``: over these tasks, each counted alike, where there are several. Neither is
  there when one of these tasks was not measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sweeper.data.questions import Question
from sweeper.estimates import Estimate, mean_estimate
from sweeper.evaluation.metrics import METRICS, Metric, macro_average, metric, micro_average

__all__ = ["AnsweredQuestions", "Measure", "parted", "task_estimates"]

# Metrics that are shares of right answers, so that their mean over tasks says something.
SHARES = frozenset({"choice", "exact", "final_answer", "final_number", "option", "pass_at_1"})

Measure = Callable[[str, Sequence[int]], Estimate | None]
"""Takes the name of a metric of written answers and the positions of questions, and returns its
value on these; None where it was not measured."""


def task_estimates(
    questions: Sequence[Question],
    answered: Sequence[Mapping[str, float]],
    *,
    measure: Measure,
) -> dict[str, Estimate]:
    """Returns all scores of the module by name.

    Args:
        questions: each of a task.
        answered: what the likelihoods say of each; nothing of one without candidates.
        measure: measures written answers.
    """
    scores = _Scores(questions, answered, measure)
    found: dict[str, Estimate] = {}
    shares: dict[str, Estimate | None] = {}
    for task, members in parted(range(len(questions)), lambda i: questions[i].example.task):
        found |= {f"{task}/{name}": value for name, value in scores.of_task(members).items()}
        main = scores.main_metric(members)
        if main in SHARES:
            shares[task] = found.get(f"{task}/{_label(main)}")
    known = {task: value for task, value in shares.items() if value is not None}
    if known and len(known) == len(shares):
        found["accuracy"] = micro_average(known)
        if len(known) > 1:
            found["accuracy_macro"] = macro_average(known)
    return found


class AnsweredQuestions:
    """What is known of some questions, each told by its position."""

    def __init__(
        self,
        questions: Sequence[Question],
        answered: Sequence[Mapping[str, float]],
        measure: Measure,
    ) -> None:
        """Takes what :func:`task_estimates` takes."""
        self._questions = questions
        self._answered = answered
        self._measure = measure

    def _mean(self, name: str, members: Sequence[int]) -> Estimate:
        """Returns the mean of what the likelihoods say of each member, at least one."""
        return mean_estimate([self._answered[i][name] for i in members]).on_rows(members)

    def _of_losses(self, found: Metric, members: Sequence[int]) -> Estimate | None:
        """Returns a metric of the right answers' likelihoods; None where there are none."""
        scored = self._scored(members)
        nats = [self._answered[i]["nats"] for i in scored]
        tokens = [int(self._answered[i]["tokens"]) for i in scored]
        return found.measure(nats, tokens).on_rows(scored) if scored else None

    def _scored(self, members: Sequence[int]) -> list[int]:
        """Returns those of which the likelihoods say something."""
        return [i for i in members if self._answered[i]]

    def _domain(self, index: int) -> str:
        return self._questions[index].domain


class _Scores(AnsweredQuestions):
    """The scores of tasks; what is measured once is kept."""

    def __init__(
        self,
        questions: Sequence[Question],
        answered: Sequence[Mapping[str, float]],
        measure: Measure,
    ) -> None:
        super().__init__(questions, answered, measure)
        self._known: dict[tuple[str, tuple[int, ...]], Estimate | None] = {}

    def main_metric(self, members: Sequence[int]) -> str:
        """Returns the metric that a task is compared by."""
        first = self._questions[members[0]]
        names = first.example.metrics or ("choice" if first.is_choice else "exact",)
        return names[0]

    def of_task(self, members: Sequence[int]) -> dict[str, Estimate]:
        """Returns the scores of one task, by name without the task's."""
        values = {_label(name): self._value(name, members) for name in self._metrics(members)}
        found = {name: value for name, value in values.items() if value is not None}
        by_character = "accuracy_per_character"
        if all(by_character in self._answered[i] for i in members):
            found[by_character] = self._mean(by_character, members)
        main = self.main_metric(members)
        if _label(main) in found:
            return found | self._parts(main, members)
        scored = self._scored(members)
        if scored and not any(self._questions[i].is_choice for i in members):
            found["greedy_exact"] = self._mean("accuracy", scored)
        return found

    def _parts(self, main: str, members: Sequence[int]) -> dict[str, Estimate]:
        """Returns the main metric on each group and each domain, and the mean over domains."""
        groups = self._on_parts(main, parted(members, self._group))
        groups.pop("", None)
        parts = parted(members, self._domain)
        if len(parts) < 2:
            return groups
        domains = self._on_parts(main, parts)
        found = domains | groups
        if METRICS[main].has_mean:
            found[f"{_label(main)}_macro"] = macro_average(domains)
        return found

    def _on_parts(self, name: str, parts: Sequence[tuple[str, list[int]]]) -> dict[str, Estimate]:
        values = {part: self._value(name, chosen) for part, chosen in parts}
        return {part: value for part, value in values.items() if value is not None}

    def _group(self, index: int) -> str:
        return self._questions[index].example.group

    def _metrics(self, members: Sequence[int]) -> list[str]:
        named = [name for i in members for name in self._questions[i].example.metrics]
        return list(dict.fromkeys(named or [self.main_metric(members)]))

    def _value(self, name: str, members: Sequence[int]) -> Estimate | None:
        """Returns a metric on those of the members that name it."""
        chosen = tuple(i for i in members if self._is_named(name, i))
        return self._on(name, chosen) if chosen else None

    def _on(self, name: str, chosen: tuple[int, ...]) -> Estimate | None:
        # To measure may mean to run programs: not a second time for the only part that there is,
        # nor for a metric that is made of others.
        if (name, chosen) not in self._known:
            self._known[name, chosen] = self._measured(metric(name), chosen)
        return self._known[name, chosen]

    def _measured(self, found: Metric, chosen: tuple[int, ...]) -> Estimate | None:
        if found.takes == "choices":
            return found.measure([self._answered[i]["accuracy"] for i in chosen]).on_rows(chosen)
        if found.takes == "losses":
            return self._of_losses(found, chosen)
        if found.takes == "metrics":
            values = {part: self._on(part, chosen) for part in found.parts}
            parts = {part: value for part, value in values.items() if value is not None}
            return found.measure(parts) if len(parts) == len(values) else None
        value = self._measure(found.name, chosen)
        return None if value is None else value.on_rows(chosen)

    def _is_named(self, name: str, index: int) -> bool:
        question = self._questions[index]
        if name == "choice":
            return question.is_choice
        return name in question.example.metrics


def _label(metric_name: str) -> str:
    """Returns what a metric is called in a report: choices have an accuracy."""
    return "accuracy" if metric_name == "choice" else metric_name


def parted(members: Sequence[int], key: Callable[[int], str]) -> list[tuple[str, list[int]]]:
    """Returns the members by key, the keys sorted.

    Args:
        members: positions of questions.
        key: returns that of one.
    """
    parts: dict[str, list[int]] = {}
    for index in members:
        parts.setdefault(key(index), []).append(index)
    return sorted(parts.items())
