"""From the folder of a sweep to a table of scores: what is in it, and what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from sweeper.analysis.score_table import score_table
from sweeper.errors import BadInputError, DamagedFileError
from sweeper.tracking import FinalResult, SweepFolder, write_final
from sweeper.tracking.row_scores import VALIDATION_ROWS, write_row_scores
from tests.sweeper.rows import row_scores

ROWS = [0.5, 1.0, 1.5]


class Sweep:
    """Writes the folder of a sweep as a sweep does, without training anything."""

    def __init__(self, home, metric="eval_loss", mode="min"):
        document = {"objective": {"metric": metric, "mode": mode}}
        self.folder = SweepFolder.create(home, "one", document=document)
        self._numbers = iter(range(1000))

    def trial(self, *, seed=0, rank=8, method="lora", end="complete", **spec: Any):
        number = next(self._numbers)
        trial = self.folder.add_trial(
            f"{number:012x}",
            spec={
                "method": {"name": method, "rank": rank},
                "train": {"steps": 3, "seed": seed},
                **spec,
            },
            number=number,
            method=method,
            params={"rank": rank, "seed": seed},
        )
        trial.begin()
        trial.append(3, {"eval_loss": 1.0})
        if end == "complete":
            trial.complete()
        elif end == "pruned":
            trial.prune()
        elif end == "superseded":
            trial.supersede("f" * 12)
        elif end == "failed":
            trial.fail("DivergedError", "the loss is nan")
        return trial

    def scored(self, losses: Sequence[float] = ROWS, *, tested=None, rows=None, **settings: Any):
        """A trial with rows of validation, and of test where there are any."""
        trial = self.trial(**settings)
        kept = rows or row_scores({"eval_loss": losses}, split="validation")
        write_row_scores(trial.path / VALIDATION_ROWS, kept)
        if tested is not None:
            result = FinalResult(split="test", rows=len(tested), rows_in_split=9)
            write_final(trial.path, result, row_scores({"eval_loss": tested}))
        return trial


@pytest.fixture
def sweep(tmp_path):
    return Sweep(tmp_path)


def shown(table):
    return {
        own.name: (own.seeds, own.scores.tolist(), own.failed_seeds) for own in table.configurations
    }


def test_configurations_stand_in_their_order_with_their_seeds_and_losses_change_sign(sweep):
    sweep.scored([1.0, 2.0], rank=16, seed=4)
    sweep.scored([3.0, 4.0], rank=8, seed=4)
    sweep.scored([5.0, 6.0], rank=16, seed=1)
    table = score_table(sweep.folder, "eval_loss", "validation")
    assert shown(table) == {
        "lora rank=16": ((4, 1), [[-1.0, -2.0], [-5.0, -6.0]], ()),
        "lora rank=8": ((4,), [[-3.0, -4.0]], ()),
    }
    assert (table.split, table.fingerprint) == ("validation", "0123456789abcdef")
    assert (table.strata.tolist(), table.clusters) == ([0, 0], None)


def test_more_of_an_accuracy_is_better_unless_the_sweep_says_otherwise(tmp_path):
    accuracy = row_scores({"accuracy": [1.0, 0.0], "own/x": [0.5, 0.25]}, split="validation")
    sweep = Sweep(tmp_path, metric="own/x", mode="min")
    sweep.scored(rows=accuracy)
    table = score_table(sweep.folder, "accuracy", "validation")
    assert table.configurations[0].scores.tolist() == [[1.0, 0.0]]
    table = score_table(sweep.folder, "own/x", "validation")
    assert table.configurations[0].scores.tolist() == [[-0.5, -0.25]]
    with pytest.raises(BadInputError, match=r"got 'own/y', which does not say whether more is"):
        score_table(sweep.folder, "own/y", "validation")


def test_trials_that_did_not_end_are_in_no_table_and_failed_seeds_are_counted(sweep):
    sweep.scored(seed=0)
    sweep.trial(seed=1, end="failed")
    lost = sweep.scored(seed=2)
    (lost.path / VALIDATION_ROWS).unlink()
    sweep.scored([1.0, float("inf"), 2.0], seed=3)
    for seed, end in enumerate(("pruned", "superseded", "running"), start=4):
        sweep.scored(seed=seed, end=end)
    sweep.trial(rank=4, end="failed")
    sweep.scored(rank=2, end="pruned")
    table = score_table(sweep.folder, "eval_loss", "validation")
    # One that failed altogether is not there, and still tells the other's name.
    assert shown(table) == {"lora rank=8": ((0,), [[-0.5, -1.0, -1.5]], (1, 2, 3))}


def test_on_test_there_are_the_trials_that_were_evaluated_on_it(sweep):
    sweep.scored(rank=8, tested=[1.0, 2.0])
    sweep.scored(rank=4)
    failed = sweep.scored(rank=8, seed=1)
    write_final(
        failed.path, FinalResult(split="test", rows=0, rows_in_split=9, error="OSError: no room")
    )
    table = score_table(sweep.folder, "eval_loss", "test")
    assert shown(table) == {"lora rank=8": ((0,), [[-1.0, -2.0]], (1,))}
    assert table.split == "test"
    both = score_table(sweep.folder, "eval_loss", "validation")
    assert list(shown(both)) == ["lora rank=8", "lora rank=4"]


def test_a_metric_of_a_task_has_its_rows_strata_and_clusters(sweep):
    kept = row_scores(
        {"eval_loss": ROWS + ROWS},
        tasks=["b", "a", "b", "a", "a", "b"],
        clusters=[0, 1, 0, 2, 2, 3],
        split="validation",
    )
    places = np.array([1, 3, 4])
    rows, losses = kept.metrics["eval_loss"]
    kept.metrics["a/loss"] = (rows[places], losses[places])  # type: ignore[index] # a dict
    sweep.scored(rows=kept)
    table = score_table(sweep.folder, "eval_loss", "validation")
    assert table.strata.tolist() == [1, 0, 1, 0, 0, 1]
    assert table.clusters is not None
    assert table.clusters.tolist() == [0, 1, 0, 2, 2, 3]
    part = score_table(sweep.folder, "a/loss", "validation")
    assert part.configurations[0].scores.tolist() == [[-1.0, -0.5, -1.0]]
    assert part.strata.tolist() == [0, 0, 0]
    assert part.clusters is not None
    assert part.clusters.tolist() == [0, 1, 1]
    assert part.fingerprint != table.fingerprint


# What is refused.


def test_trials_with_other_rows_are_named_and_nothing_is_made_of_them(sweep):
    sweep.scored(rank=4)
    sweep.scored(rank=8)
    sweep.scored(
        rank=16, rows=row_scores({"eval_loss": ROWS}, split="validation", fingerprint="f" * 16)
    )
    with pytest.raises(
        BadInputError, match=r"trial 2 \(000000000002\) of 3 trials had other validation rows"
    ) as refused:
        score_table(sweep.folder, "eval_loss", "validation")
    assert "trial 0" not in str(refused.value)


def test_a_seed_counts_once(sweep):
    sweep.scored(seed=5)
    sweep.scored(seed=5)
    with pytest.raises(
        BadInputError,
        match=r"configuration lora: trial 0 .*, trial 1 .* have the same seed 5; they differ in",
    ):
        score_table(sweep.folder, "eval_loss", "validation")


def test_a_metric_that_the_rows_do_not_have_is_named_with_those_that_they_have(sweep):
    sweep.scored()
    with pytest.raises(
        BadInputError,
        match=r"got 'accuracy', which the validation rows of trial 0 \(.*\) do not have; they have "
        r"eval_loss; name one of them",
    ):
        score_table(sweep.folder, "accuracy", "validation")


def test_without_rows_there_is_no_table_and_a_reason(sweep):
    with pytest.raises(BadInputError, match="no validation rows to compare, for no trial is compl"):
        score_table(sweep.folder, "eval_loss", "validation")
    trial = sweep.trial()
    with pytest.raises(BadInputError, match=r"for no validation_rows\.npz was kept"):
        score_table(sweep.folder, "eval_loss", "validation")
    with pytest.raises(BadInputError, match="for no trial was evaluated after the search"):
        score_table(sweep.folder, "eval_loss", "test")
    rows = row_scores({"eval_loss": [float("nan"), 1.0]}, split="validation")
    write_row_scores(trial.path / VALIDATION_ROWS, rows)
    with pytest.raises(BadInputError, match="no trial has finite numbers of eval_loss on all"):
        score_table(sweep.folder, "eval_loss", "validation")


def test_rows_of_validation_do_not_stand_for_those_of_test(sweep):
    trial = sweep.trial()
    rows = row_scores({"eval_loss": ROWS}, split="validation")
    write_final(trial.path, FinalResult(split="validation", rows=3, rows_in_split=3), rows)
    with pytest.raises(
        BadInputError, match=r"got 'test', but the trials of one were evaluated on the validation"
    ):
        score_table(sweep.folder, "eval_loss", "test")


def test_damaged_rows_are_named(sweep):
    sweep.scored()
    path = sweep.scored(seed=1).path / VALIDATION_ROWS
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DamagedFileError, match=r"000000000001/validation_rows\.npz is damaged"):
        score_table(sweep.folder, "eval_loss", "validation")


def test_a_trial_whose_folder_came_from_another_sweep_brings_its_rows(sweep, tmp_path):
    other = Sweep(tmp_path / "other")
    other.scored(rank=4)
    taken = other.scored(rank=16)
    sweep.scored(rank=4)
    shutil.copytree(taken.path, sweep.folder.path / "trials" / taken.id)
    table = score_table(SweepFolder(sweep.folder.path), "eval_loss", "validation")
    assert list(shown(table)) == ["lora rank=4", "lora rank=16"]


def test_each_trial_may_stand_for_itself(sweep):
    sweep.scored([1.0, 2.0], rank=16, seed=4)
    sweep.scored([5.0, 6.0], rank=16, seed=1)
    table = score_table(sweep.folder, "eval_loss", "validation", by_trial=True)
    assert shown(table) == {
        "trial 0 (lora)": ((4,), [[-1.0, -2.0]], ()),
        "trial 1 (lora)": ((1,), [[-5.0, -6.0]], ()),
    }
