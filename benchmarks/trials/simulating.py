"""The trials of a search made by the sweep's own code; what they would have learnt is drawn."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sweeper.data.row_order import RowOrder
from sweeper.estimates import mean_estimate
from sweeper.execution.trial_factory import TrialFactory
from sweeper.experiment.sweep import Sweep
from sweeper.experiment.trial import TrialSpec
from sweeper.search import Suggestion, Suggestions, open_study
from sweeper.tracking.databases import place_of_study
from sweeper.tracking.row_scores import VALIDATION_ROWS, RowScores, write_row_scores
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper.tracking.trial_folder import TrialFolder

__all__ = ["FINGERPRINT", "ROWS", "Search", "Times", "sweep_in"]

ROWS = 128
"""Validation rows of a trial."""
FINGERPRINT = "0123456789abcdef"
"""Of the data that there is none of."""
_ORDER = RowOrder(FINGERPRINT, ("",) * ROWS, None)
# The best learning rate, and the loss there.
_BEST_RATE, _BEST_LOSS = 3e-3, 2.0


@dataclass
class Times:
    """Seconds that one trial took of the driver, and of whoever records it."""

    draw_s: float = 0.0
    """Its point drawn, its folder made."""
    tell_s: float = 0.0
    """Its values told to the study and to what stops trials."""
    record_s: float = 0.0
    """Its record, its reports and its rows written."""


@dataclass
class Search:
    """A search that goes on for as many trials as are asked for."""

    sweep: Sweep
    folder: SweepFolder
    seed: int = 0
    times: list[Times] = field(default_factory=list)
    """Of each trial."""

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)
        self._factory = TrialFactory(self.folder, self.sweep, FINGERPRINT)
        # Rows differ in how hard they are, by far more than trials do.
        self._rows = self._rng.normal(0, 0.5, ROWS)
        self.open()

    def open(self) -> None:
        """Takes the search up as a driver does: study, points, and what stops trials."""
        sweep, spec = self.sweep, self.sweep.spec
        study = open_study(
            place_of_study(self.folder),
            objective=spec.objective,
            space=sweep.space,
            search=spec.search,
            find_finished=self._factory.find_finished,
        )
        self.study = study
        self._suggestions = Suggestions(
            study, space=sweep.space, search=spec.search, identify=self._factory.identify
        )
        self._stopping = self._factory.stopping(study)

    def run(self, trials: int) -> None:
        """Goes on until so many trials have ended."""
        while len(self.times) < trials:
            self.times.append(self._trial())

    def _trial(self) -> Times:
        times = Times()
        with _timed(times, "draw_s"):
            suggestion = self._suggestions.next()
            assert suggestion is not None
            job = self._factory.job(suggestion)
        spec = TrialSpec.model_validate_json(job.spec_json)
        folder = TrialFolder(job.folder)
        self._train(suggestion, spec, folder, steps=job.evaluation_steps, times=times)
        return times

    def _train(
        self,
        suggestion: Suggestion,
        spec: TrialSpec,
        folder: TrialFolder,
        *,
        steps: tuple[int, ...],
        times: Times,
    ) -> None:
        with _timed(times, "record_s"):
            folder.begin(trainable=45_360, total=900_000)
        done, goal = 0, self._loss(spec)
        for evaluation, step in enumerate(steps, start=1):
            rows = goal + 1.5 * (1 - step / steps[-1]) + self._rows
            rows = rows + self._rng.normal(0, 0.05, ROWS)
            with _timed(times, "record_s"):
                for own in range(done + 1, step + 1):
                    folder.append(own, {"train_loss": float(rows.mean()), "learning_rate": 1e-3})
                done = step
                found = {"eval_loss": mean_estimate(rows.tolist()).on_rows(range(ROWS))}
                scores = RowScores.of(found, _ORDER, split="validation", step=step)
                write_row_scores(folder.path / VALIDATION_ROWS, scores)
                loss = found["eval_loss"]
                folder.append(step, {"eval_loss": loss.value, "eval_loss_se": loss.standard_error})
            with _timed(times, "tell_s"):
                stops = self._stopping.decide(suggestion.trial_id, evaluation, loss.value)
                is_last = stops or step == steps[-1]
                if not is_last:
                    self._suggestions.report(
                        suggestion.number, evaluation=evaluation, value=loss.value
                    )
            if is_last:
                break
        with _timed(times, "record_s"):
            (folder.complete if done == steps[-1] else folder.prune)(train_time_s=1.0)
        with _timed(times, "tell_s"):
            self._suggestions.end(
                suggestion.number,
                evaluation=evaluation,
                value=loss.value,
                is_complete=evaluation >= self._factory.compared_at,
                standard_error=loss.standard_error,
            )

    def _loss(self, spec: TrialSpec) -> float:
        """Returns the loss that a trial comes to: its learning rate matters most."""
        rate = np.log10(spec.train.learning_rate / _BEST_RATE)
        experts = getattr(spec.method, "experts", 4)
        return float(_BEST_LOSS + 0.3 * rate**2 + 0.02 * (experts - 4) ** 2)


@contextmanager
def _timed(times: Times, name: str) -> Iterator[None]:
    begin_s = time.perf_counter()
    try:
        yield
    finally:
        setattr(times, name, getattr(times, name) + time.perf_counter() - begin_s)


def sweep_in(home: Path, sweep: Sweep) -> SweepFolder:
    """Makes the folder of a simulated sweep."""
    folder = SweepFolder.create(home, "simulated", document=sweep.document)
    folder.note_base({"eval_loss": 5.0, "eval_loss_se": 0.05})
    folder.mark("running")
    return folder
