"""``train.learning_rate: auto``: trials have numbers, and are named by them."""

from __future__ import annotations

import pytest

from sweeper.experiment.documents.tree import get_path
from sweeper.experiment.loading import load_sweep
from sweeper.experiment.space.rates import packaged_prior
from sweeper.experiment.space.space import Point
from tests.sweeper.experiment.spaces import SPACE, problems_of_loading

RATE = "{loguniform: [1e-4, 1e-2]}"
AUTO = SPACE.replace(RATE, "auto").replace(", train: {learning_rate: 1e-3}", "")


@pytest.fixture
def sweep(space):
    space.write_text(AUTO)
    return load_sweep(space)


def test_a_trial_has_the_rate_that_is_expected_of_it(sweep):
    trials = [sweep.space.trial(point) for _, point in sweep.space.corners()]
    assert len({trial.train.learning_rate for trial in trials}) > 1
    for trial in trials:
        expected = packaged_prior().expected(trial.method, trial.model.shape())
        assert trial.train.learning_rate == expected.rate


def test_what_is_kept_of_a_sweep_leaves_the_rate_open(sweep):
    assert get_path(sweep.document, ("train", "learning_rate")) == "auto"
    assert all(axis.path[0] == "method" for x in sweep.space.methods for axis in x.axes)


def test_a_trial_is_named_by_the_number(space, sweep):
    point: Point = {"method": "lora", "lora.rank": 8}
    own = sweep.space.trial(point)
    space.write_text(AUTO.replace("auto", str(own.train.learning_rate)))
    assert load_sweep(space).space.trial(point).identity() == own.identity()
    assert '"auto"' not in own.model_dump_json()


def test_the_size_that_a_budget_gives_counts(sized):
    rates = {}
    for rank in (4, 64):
        made = sized(
            train={"learning_rate": "auto"},
            budget={"match": "lora", "rank": rank},
            baselines=[],
        )
        trial = made.space.trial({"method": "lora"})
        rates[rank] = trial.train.learning_rate
        expected = packaged_prior().expected(trial.method, trial.model.shape())
        assert (trial.method.rank, rates[rank]) == (rank, expected.rate)
    # The packaged prior says how the rate moves with the size.
    exponent = packaged_prior().by_size.exponent
    assert (rates[64] - rates[4]) * exponent >= 0


def test_listed_trials_and_designs_take_it(list_of, design_of):
    listed = list_of().space
    made = list_of(train={"learning_rate": "auto"}).space
    # One trial lists a rate of its own.
    assert made.trial({"method": "large"}).train.learning_rate == 1e-4
    assert made.trial({"method": "small"}) != listed.trial({"method": "small"})
    design = {"kind": "paired", "tune": None, "seeds": 2}
    designed = design_of(design, train={"learning_rate": "auto"})
    rates = {
        designed.space.trial({"method": x.name}).train.learning_rate for x in designed.space.methods
    }
    assert all(0 < rate < 1 for rate in rates)


@pytest.mark.parametrize("other", ["Auto", "automatic", '"1e-3 auto"'])
def test_another_word_is_refused(space, other):
    space.write_text(AUTO.replace("auto", other))
    problems = problems_of_loading(load_sweep, space)
    assert list(problems) == ["train.learning_rate"]


def test_what_else_is_wrong_with_a_trial_is_told_all_the_same(space):
    space.write_text(AUTO)
    problems = problems_of_loading(load_sweep, space, overrides=["train.steps=0"])
    assert list(problems) == ["train.steps"]
