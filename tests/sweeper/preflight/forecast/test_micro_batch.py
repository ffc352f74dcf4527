"""Whether a trial has room, what would make it fit, and the largest micro-batch that does."""

from pathlib import Path

import pytest

from sweeper.errors import BadInputError
from sweeper.experiment.documents.tree import get_path
from sweeper.experiment.loading import load_sweep
from sweeper.preflight.forecast.costs import Costs
from sweeper.preflight.forecast.micro_batch import corner_trials, require_fitting, with_micro_batch
from tests.sweeper.preflight.forecast.test_costs import known

SPACE = Path("search_spaces/masa.yaml")


def sweep_of(*overrides):
    return load_sweep(SPACE, overrides=overrides)


def costs_of(sweep, **changed):
    return Costs(
        known=tuple(known(trial, **changed) for trial in corner_trials(sweep)),
        base_bytes=1e9,
        load_s=5,
    )


def test_what_fits_is_not_refused():
    sweep = sweep_of()
    require_fitting(
        corner_trials(sweep), costs_of(sweep, peak_bytes=2e9), room=2_000_000_000, name="room"
    )


def test_what_does_not_fit_says_what_would():
    sweep = sweep_of("train.batch_size=8", "engine.gradient_accumulation=2")
    with pytest.raises(BadInputError) as caught:
        require_fitting(
            corner_trials(sweep), costs_of(sweep, peak_bytes=5e9), room=2_600_000_000, name="--max"
        )
    said = str(caught.value)
    assert said.startswith("--max: a trial of ")
    assert "needs about 5 GB of memory a worker (calibrated), but 2.6 GB are allowed" in said
    assert "--set train.batch_size=2 --set engine.gradient_accumulation=8" in said
    assert "train.batch_size=4" not in said
    assert "--set engine.gradient_checkpointing=true" in said
    # One worker has nobody to share with.
    assert "zero_stage" not in said


def test_workers_may_share_by_zero():
    sweep = sweep_of("resources.workers=2")
    with pytest.raises(BadInputError, match=r"zero_stage=3"):
        require_fitting(
            corner_trials(sweep), costs_of(sweep, peak_bytes=1e9 + 1e6), room=10**9, name="--max"
        )


def test_what_nothing_makes_fit_says_so():
    sweep = sweep_of()
    with pytest.raises(BadInputError, match=r"neither a smaller micro-batch nor"):
        require_fitting(
            corner_trials(sweep), costs_of(sweep, peak_bytes=2e9), room=10, name="--max"
        )


def test_the_largest_micro_batch_keeps_the_global_batch():
    sweep = sweep_of("train.batch_size=auto", "train.global_batch_size=12")
    assert sweep.is_batch_open
    # A sequence takes half a gigabyte, but for what is trained.
    costs = costs_of(sweep, peak_bytes=1.5e9)
    found = with_micro_batch(sweep, costs, room=3_600_000_000)
    assert not found.is_batch_open
    assert get_path(found.document, ("train", "batch_size")) in (4, 6)
    for trial in corner_trials(found):
        assert trial.train.batch_size * trial.engine.gradient_accumulation == 12
        assert costs.of(trial).peak_bytes <= 3_600_000_000


def test_what_does_not_fit_with_one_row_is_refused():
    sweep = sweep_of("train.batch_size=auto", "train.global_batch_size=12")
    with pytest.raises(BadInputError, match=r"train.batch_size: auto: a trial of"):
        with_micro_batch(sweep, costs_of(sweep, peak_bytes=1.5e9), room=1_000_000)
