"""The evaluations of one trial in training, on this worker."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from sweeper.data.questions import split_by_room
from sweeper.data.row_order import RowOrder, row_order
from sweeper.distributed import on_first_worker
from sweeper.errors import TrialError
from sweeper.estimates import Estimate
from sweeper.evaluation.likelihood import Forward
from sweeper.evaluation.protocol import generation_settings
from sweeper.evaluation.racing import Contest, Race, Standing
from sweeper.evaluation.scoring import RowBlocks, evaluate_on
from sweeper.experiment.trial import TrialSpec
from sweeper.models.frozen import FrozenBase
from sweeper.tracking.row_scores import VALIDATION_ROWS, RowScores, write_row_scores

__all__ = ["Validated", "Validation"]

T = TypeVar("T")

LOSS = "eval_loss"


@dataclass(frozen=True)
class Validated:
    """What an evaluation found."""

    metrics: Mapping[str, Estimate] = field(default_factory=dict)
    """Of all rows; empty where the trial lost its race before they were asked."""
    lost_to: str = ""
    """Identity of the trial that it lost its race with; empty where it has lost none."""
    facts: Mapping[str, float] = field(default_factory=dict)
    """Of a race that it lost: ``racing_rows`` of ``racing_rows_in_all`` were asked, its loss was
    larger by ``racing_difference`` on these, and ``racing_at_least`` is by how much it is worse at
    the least, of differences cut to a bound; in nats per token."""

    @property
    def is_cut(self) -> bool:
        """Whether it ended before all rows were asked."""
        return bool(self.lost_to) and not self.metrics


class Validation:
    """Evaluates a trial on the validation rows; all workers call it together."""

    def __init__(
        self,
        trial: TrialSpec,
        base: FrozenBase,
        folder: Path,
        *,
        virtual_tokens: int,
        contest: Contest | None,
    ) -> None:
        """Notes what is asked; nothing is yet.

        Args:
            trial: in training on the base.
            base: of this replica.
            folder: of the trial.
            virtual_tokens: that the method puts before each text.
            contest: with the other trials of the sweep; None asks all rows at every evaluation.
        """
        train = trial.train
        self._trial = trial
        self._base = base
        self._folder = folder
        self._contest = contest
        self._settings = generation_settings(
            base, trial.evaluation, max_length=train.max_length, virtual_tokens=virtual_tokens
        )
        self._questions = base.data.questions(
            max_length=train.max_length, count=train.eval_examples
        )

    @functools.cached_property
    def _order(self) -> RowOrder:
        return row_order(self._questions, generates=self._trial.evaluation.generates)

    def evaluate(self, forward: Forward, *, evaluation: int) -> Validated:
        """Returns what an evaluation finds, with gradients off and dropout off already.

        Args:
            forward: the model.
            evaluation: which one of the trial's it is, from 1.

        Raises:
            TrialError: worker 0 could not read with whom the trial is compared.
        """
        race = self._race(evaluation)
        if race is None:
            found = evaluate_on(self._base, forward, self._questions, self._settings)
            return Validated(found)
        known: dict[int, float] = {}

        def goes_on(losses: Mapping[int, float]) -> bool:
            known.update(losses)
            return not _is_lost(race, known)

        blocks = RowBlocks(race.rows(), goes_on)
        found = evaluate_on(self._base, forward, self._questions, self._settings, blocks=blocks)
        if found:
            known = _losses(found)
        if not _is_lost(race, known):
            return Validated(found)
        facts = _facts(race.stand(known), at_least=race.at_least(known))
        return Validated(found, lost_to=race.incumbent, facts=facts)

    def _race(self, evaluation: int) -> Race | None:
        contest = self._contest
        if contest is None:
            return None
        asked, _ = split_by_room(self._questions, generates=self._trial.evaluation.generates)
        rows = [row for row, question in enumerate(asked) if question.candidates]
        # What is on disk may change between two reads: one worker reads for all.
        return self._on_first(
            lambda: contest.race(evaluation, self._order, rows),
            "could not read with which trial this one is compared",
        )

    def finish(self, metrics: Mapping[str, Estimate], *, step: int, evaluation: int) -> None:
        """Puts the trial among those that others are compared with, where they are.

        Args:
            metrics: of an evaluation on all rows.
            step: optimiser steps done.
            evaluation: which one of the trial's it is, from 1.

        Raises:
            TrialError: worker 0 failed at it; a full disk is no failure.
        """
        contest = self._contest
        if contest is None:
            return
        loss = {LOSS: metrics[LOSS]}
        self._on_first(
            lambda: contest.finish(evaluation, self._scores(loss, step)),
            "could not note what each row contributes",
        )

    def keep_rows(
        self, metrics: Mapping[str, Estimate], *, step: int, name: str = VALIDATION_ROWS
    ) -> None:
        """Writes what each row contributes to an evaluation: unless it is named, to the last.

        Args:
            metrics: of the evaluation, on all rows.
            step: optimiser steps done.
            name: of the file.

        Raises:
            TrialError: worker 0 could not write it.
        """
        path = self._folder / name

        def keep() -> None:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_row_scores(path, self._scores(metrics, step))

        self._on_first(keep, f"could not write {path}")

    def _scores(self, metrics: Mapping[str, Estimate], step: int) -> RowScores:
        return RowScores.of(metrics, self._order, split="validation", step=step)

    def _on_first(self, work: Callable[[], T], what: str) -> T:
        return on_first_worker(
            work, failure=lambda reason: TrialError(f"worker 0 {what}: {reason}")
        )


def _is_lost(race: Race, losses: Mapping[int, float]) -> bool:
    # A loss that is no finite number ends the trial after all rows, with a word on what to do.
    return all(map(math.isfinite, losses.values())) and race.stand(losses).is_worse


def _losses(found: Mapping[str, Estimate]) -> dict[int, float]:
    loss = found[LOSS]
    assert loss.rows is not None
    assert loss.contributions is not None
    return dict(zip(loss.rows, loss.contributions, strict=True))


def _facts(standing: Standing, *, at_least: float) -> dict[str, float]:
    return {
        "racing_rows": float(standing.rows),
        "racing_rows_in_all": float(standing.rows_in_all),
        "racing_difference": standing.difference,
        "racing_at_least": at_least,
    }
