"""Sweeps of designs as they lie on disk, with scores that are made up: nothing is trained."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweeper.analysis.conclusions import SweepConclusions, conclusions_of
from sweeper.analysis.ranking import rank_sweep
from sweeper.experiment.documents.tree import merge
from sweeper.experiment.loading import build_sweep
from sweeper.experiment.sweep import Sweep
from sweeper.search.draws import DrawnTrial, draw_all, params_of
from sweeper.tracking import FinalResult, SweepFolder, write_final
from sweeper.tracking.row_scores import VALIDATION_ROWS, RowScores, write_row_scores
from tests.sweeper.rows import row_scores

LORA, MOSA, MASA = ({"name": name, "rank": 4} for name in ("lora", "mosa", "masa"))

ROWS = 200
# Standard deviations: of a score over seeds, over rows, and of what is neither's.
SEED_SD, ROW_SD, RESIDUAL_SD = 0.002, 0.2, 0.02


def sweep_of(
    design: Mapping[str, Any] | None,
    methods: Sequence[Mapping[str, Any]] = (LORA, MOSA),
    **changes: Any,
) -> Sweep:
    """The sweep of a search-space file, on the model that comes with the program."""
    document: dict[str, Any] = {
        "name": "design",
        "profile": "embedded",
        "model": {"kind": "embedded"},
        "data": {"kind": "embedded"},
        "train": {"steps": 8, "batch_size": 4, "learning_rate": 3e-3, "max_length": 64},
        "objective": {"metric": "accuracy", "mode": "max"},
    }
    if design is None or design["kind"] != "replicate":
        document["methods"] = list(methods)
    if design is not None:
        document["design"] = dict(design)
    return _built(json.dumps(merge(document, changes)))


@lru_cache
def _built(text: str) -> Sweep:
    return build_sweep(json.loads(text), source="a test")


@lru_cache
def _drawn(text: str) -> tuple[DrawnTrial, ...]:
    return draw_all(_built(text))


class DesignSweep:
    """The folder of a sweep; each trial is written when a test says how it went."""

    def __init__(self, home: Path, sweep: Sweep, *, seed: int = 0) -> None:
        self.sweep = sweep
        self.folder = SweepFolder.create(home, "design-1", document=sweep.document)
        self.rng = np.random.default_rng(seed)
        self.rows: NDArray[np.float64] = self.rng.normal(0, ROW_SD, ROWS)
        self.clusters: Sequence[int] | None = None
        self.trials = _drawn(json.dumps(sweep.document))
        assert self.trials

    def run(
        self,
        mean: Callable[[DrawnTrial], float] = lambda _: 0.5,
        *,
        seeds: Sequence[int] | None = None,
        failed: Callable[[DrawnTrial], bool] = lambda _: False,
        pruned: Callable[[DrawnTrial], bool] = lambda _: False,
        steps: Callable[[DrawnTrial], int] = lambda _: 8,
        stopped: Callable[[DrawnTrial], bool] = lambda _: False,
        trainable: Callable[[DrawnTrial], int] = lambda _: 1000,
        fingerprint: Callable[[DrawnTrial], str] = lambda _: "0" * 16,
    ) -> DesignSweep:
        """Writes the trials of some seeds, None for all, with normal scores about their means."""
        for drawn in self.trials:
            if seeds is not None and drawn.spec.train.seed not in seeds:
                continue
            trial = self.folder.add_trial(
                drawn.spec.identity(),
                spec=drawn.spec.model_dump(mode="json"),
                number=drawn.number,
                method=drawn.spec.method.name,
                origin=drawn.origin,
                params=params_of(drawn.spec, drawn.space),
                steps_total=8,
            )
            trial.begin(trainable=trainable(drawn), total=100_000)
            if failed(drawn):
                trial.fail("DivergedError", "the loss is not a number")
                continue
            if stopped(drawn):
                trial.stop()
                continue
            value = mean(drawn) + self.rng.normal(0, SEED_SD)
            rows = self.scores(value, "validation", fingerprint(drawn))
            write_row_scores(trial.path / VALIDATION_ROWS, rows)
            trial.append(steps(drawn), {self.metric: float(rows.metrics[self.metric][1].mean())})
            if pruned(drawn):
                trial.prune()
                continue
            trial.complete(ended_by="patience" if steps(drawn) < 8 else "")
            if self.sweep.design is not None:
                self.test(trial.path, value, fingerprint=fingerprint(drawn))
        return self

    @property
    def metric(self) -> str:
        return self.sweep.spec.objective.metric

    def scores(self, value: float, split: str, fingerprint: str = "0" * 16) -> RowScores:
        noise = self.rng.normal(0, RESIDUAL_SD, ROWS)
        scores = value + self.rows - self.rows.mean() + noise - noise.mean()
        return row_scores(
            {self.metric: scores.tolist()},
            split=split,
            fingerprint=fingerprint,
            clusters=self.clusters,
        )

    def test(self, path: Path, value: float, *, fingerprint: str = "0" * 16) -> None:
        """Writes an evaluation on test, of a trial or of the frozen base."""
        rows = self.scores(value, "test", fingerprint)
        metrics = {self.metric: float(rows.metrics[self.metric][1].mean())}
        result = FinalResult(split="test", rows=ROWS, rows_in_split=ROWS, metrics=metrics)
        write_final(path, result, rows)

    def conclusions(self) -> SweepConclusions:
        folder = SweepFolder(self.folder.path)
        return conclusions_of(folder, rank_sweep(folder))

    def said(self) -> str:
        return " ".join(self.conclusions().sentences)


def configuration(drawn: DrawnTrial) -> str:
    """Name of the configuration that a trial of a design is of."""
    assert drawn.space.designed is not None
    return drawn.space.designed.configuration


def peaked(drawn: DrawnTrial) -> float:
    """A mean score with its peak at a learning rate of 0.002."""
    return 0.5 - 0.02 * math.log2(drawn.spec.train.learning_rate / 2e-3) ** 2


def by_method(**means: float) -> Callable[[DrawnTrial], float]:
    """Mean scores by the method's name, 0.5 of the others."""
    return lambda drawn: means.get(drawn.spec.method.name, 0.5)
