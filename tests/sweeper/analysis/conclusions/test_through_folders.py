"""Sweeps whose truth is known, through real folders and the report's document: verdicts agree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sweeper.analysis.conclusions import conclusions_of
from sweeper.analysis.ranking import rank_sweep
from sweeper.analysis.statistics import ConfigurationScores, ScoreTable
from sweeper.analysis.statistics.verdicts import AllPairs, Best, ConclusionSpec, conclude, words
from sweeper.experiment.loading import load_sweep
from sweeper.report.document import sweep_result
from sweeper.search.draws import draw_all, params_of
from sweeper.tracking import FinalResult, SweepFolder, write_final
from sweeper.tracking.row_scores import VALIDATION_ROWS, write_row_scores
from tests.places import SPACES
from tests.sweeper.analysis.statistics.sweeps import Answers
from tests.sweeper.rows import row_scores
from tests.whole import IS_WHOLE

SEEDS, ROWS, SWEEPS = 3, 200, 20 if IS_WHOLE else 4
RANKS = (2, 4, 8)
SPACE = """
name: known
profile: embedded
trials: [{trials}]
design: {{kind: replicate, seeds: {seeds}, delta: 0.01}}
objective: {{metric: accuracy}}
"""


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Any:
    trials = ", ".join(f"{{name: r{rank}, method: {{name: lora, rank: {rank}}}}}" for rank in RANKS)
    path = tmp_path_factory.mktemp("space") / "known.yaml"
    path.write_text(SPACE.format(trials=trials, seeds=SEEDS))
    return load_sweep(path, profile=str(SPACES / "profiles" / "embedded.yaml"))


def write(sweep: Any, home: Path, scores: list[np.ndarray]) -> SweepFolder:
    """The folder of a sweep whose configurations and seeds scored this on each row."""
    folder = SweepFolder.create(home, "known-1", document=sweep.document)
    for drawn in draw_all(sweep):
        params = params_of(drawn.spec, drawn.space)
        place = RANKS.index(drawn.spec.method.rank)
        values = scores[place][drawn.spec.train.seed].tolist()
        trial = folder.add_trial(
            drawn.spec.identity(data_fingerprint="f"),
            spec=drawn.spec.model_dump(mode="json"),
            number=drawn.number,
            method="lora",
            origin=drawn.origin,
            params=params,
        )
        trial.begin(trainable=1000, total=100_000)
        trial.append(1, {"accuracy": float(np.mean(values))})
        rows = row_scores({"accuracy": values}, split="validation")
        write_row_scores(trial.path / VALIDATION_ROWS, rows)
        trial.complete()
        result = FinalResult(
            split="test",
            rows=ROWS,
            rows_in_split=ROWS,
            metrics={"accuracy": float(np.mean(values))},
        )
        write_final(trial.path, result, row_scores({"accuracy": values}))
    folder.mark("complete")
    return folder


def told(folder: SweepFolder) -> list[dict[str, Any]]:
    ranking = rank_sweep(folder)
    document = sweep_result(folder, ranking, conclusions_of(folder, ranking), tracking_uri="")
    statements: list[dict[str, Any]] = json.loads(json.dumps(document))["conclusions"]["statements"]
    return statements


def expected(scores: list[np.ndarray]) -> list[Any]:
    table = ScoreTable(
        tuple(
            ConfigurationScores(f"r{rank}", tuple(range(SEEDS)), values)
            for rank, values in zip(RANKS, scores, strict=True)
        ),
        np.zeros(ROWS, np.int64),
        None,
        "test",
        "0123456789abcdef",
    )
    return list(conclude(table, ConclusionSpec((Best(), AllPairs()), 0.01)).statements)


def test_what_report_says_is_what_follows_from_the_scores(sweep: Any, tmp_path: Path) -> None:
    generator = np.random.default_rng(20_241_101)
    kinds = set()
    for number in range(SWEEPS):
        # Equal ones, and ones of which the last is better.
        truths = (0.6, 0.6, 0.6 + 0.06 * (number % 4))
        scores = Answers(truths, SEEDS, ROWS, seed_sd=0.01).draw(generator)
        folder = write(sweep, tmp_path / str(number), scores)
        statements, wanted = told(folder), expected(scores)
        assert len(statements) == len(wanted) == 4
        for statement, own in zip(statements, wanted, strict=True):
            assert statement["sentence"] == words(own).sentence
            assert statement["type"] == type(own).__name__
            if statement["type"] == "Conclusion":
                kinds.add(statement["kind"])
                assert statement["estimate"] == pytest.approx(own.estimate, abs=1e-12)
                assert statement["interval"] == pytest.approx(list(own.interval), abs=1e-12)
            else:
                assert statement["members"] == list(own.members)
    # It is not one answer that is given to all.
    assert {"undecided", "worse"} <= kinds
