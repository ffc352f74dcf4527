"""What a plan says that its design can find, from sweeps that were run before."""

from __future__ import annotations

import pytest

from sweeper.analysis.detection import detection_of, forecast_of
from sweeper.analysis.statistics.planning import DEFAULTS, PlannedContrast, detectable, row_floor
from tests.sweeper.designs import DesignSweep, sweep_of

PAIR = {"kind": "paired", "tune": None, "seeds": 5}


def test_an_accuracy_has_assumed_components_until_a_sweep_was_replicated(tmp_path):
    sweep = sweep_of(PAIR)
    found = detection_of(sweep, home=tmp_path, rows=2000)
    assert found is not None
    assert found.source == ""
    assert found.difference == pytest.approx(float(detectable(DEFAULTS, seeds=5, rows=2000)))
    assert found.floor == row_floor(DEFAULTS, 2000)
    assert found.delta == 0.01

    earlier = DesignSweep(tmp_path, sweep).run()
    found = detection_of(sweep, home=tmp_path, rows=2000)
    assert found is not None
    assert found.source == earlier.folder.name
    # Its seeds spread by 0.002, not by half a point.
    assert found.difference < 0.008
    assert found.seeds is not None
    assert found.seeds <= 5


def test_of_another_model_or_data_nothing_is_taken(tmp_path):
    DesignSweep(tmp_path, sweep_of(PAIR)).run()
    other = sweep_of(PAIR, data={"kind": "embedded", "seed": 7})
    found = detection_of(other, home=tmp_path, rows=2000)
    assert found is not None
    assert found.source == ""


def test_a_loss_without_an_earlier_sweep_has_no_scale(tmp_path):
    loss = sweep_of(PAIR, objective={"metric": "eval_loss", "mode": "min"})
    assert detection_of(loss, home=tmp_path, rows=2000) is None


@pytest.mark.parametrize("design", [None, {**PAIR, "seeds": 1}])
def test_a_search_and_one_seed_find_nothing(design, tmp_path):
    assert detection_of(sweep_of(design), home=tmp_path, rows=2000) is None


def test_delta_of_the_design_is_taken_and_more_comparisons_find_less(tmp_path):
    two = detection_of(sweep_of({**PAIR, "delta": 0.05}), home=None, rows=2000)
    methods = [{"name": name, "rank": 4} for name in ("lora", "mosa", "dora", "hira")]
    four = detection_of(sweep_of(PAIR, methods), home=None, rows=2000)
    assert two is not None
    assert four is not None
    assert two.delta == 0.05
    assert two.seeds == 2
    # Variances are pooled from three configurations on, so that seeds count for more.
    assert four.difference != two.difference


MASA_4 = {"name": "masa", "rank": 4, "experts": 4}
CELLS = {"factors": {"method": {"experts": [2, 4], "group_size": [1, 2]}}}


def test_a_factorial_finds_main_effects_which_are_of_half_of_all_trials():
    pair = detection_of(sweep_of(PAIR), home=None, rows=2000)
    effects = detection_of(
        sweep_of({"kind": "factorial", "seeds": 5, **CELLS}, [MASA_4]), home=None, rows=2000
    )
    assert pair is not None
    assert effects is not None
    # Two means of two cells each: half the squared error, for three effects under one level.
    assert effects.floor == pytest.approx(pair.floor / 2**0.5)
    contrast = PlannedContrast(1.0, 4.0, configurations=4, comparisons=3)
    expected = float(detectable(DEFAULTS, seeds=5, rows=2000, contrast=contrast))
    assert effects.difference == pytest.approx(expected)
    assert effects.winner is None


def test_peaks_pool_no_variances_and_a_look_has_its_own_level():
    methods = [{"name": name, "rank": 4} for name in ("lora", "mosa", "dora")]
    tuned = {"kind": "paired", "rates": {"low": 1e-3, "high": 4e-3, "count": 4}, "seeds": 5}
    found = detection_of(sweep_of(tuned, methods), home=None, rows=2000)
    assert found is not None
    expected = detectable(DEFAULTS, seeds=5, rows=2000, contrast=PlannedContrast(comparisons=3))
    assert found.difference == pytest.approx(float(expected))
    assert found.winner is None
    looks = detection_of(sweep_of({**PAIR, "seeds": "3/5/10"}), home=None, rows=2000)
    assert looks is not None
    expected = detectable(DEFAULTS, seeds=10, rows=2000, contrast=PlannedContrast(alpha=0.025))
    assert looks.difference == pytest.approx(float(expected))


def test_how_often_the_best_is_named_alone_grows_with_what_it_is_ahead():
    near, far = (
        detection_of(sweep_of({**PAIR, "delta": delta}), home=None, rows=2000)
        for delta in (0.005, 0.05)
    )
    assert near is not None
    assert far is not None
    assert near.winner is not None
    assert far.winner is not None
    assert near.winner < 0.4
    assert far.winner > 0.95


def test_time_is_that_of_trials_alike(tmp_path):
    sweep = sweep_of(PAIR)
    assert forecast_of(sweep, home=tmp_path, trials=6) is None
    earlier = DesignSweep(tmp_path, sweep).run(seeds=[0])
    times = [trial.wall_time_s for trial in earlier.folder.trials()]
    found = forecast_of(sweep, home=tmp_path, trials=6)
    assert found is not None
    assert (found.source, found.trials) == (earlier.folder.name, 6)
    assert found.seconds == pytest.approx(6 * sum(times) / len(times))
    longer = sweep_of(PAIR, train={"steps": 9})
    assert forecast_of(longer, home=tmp_path, trials=6) is None
