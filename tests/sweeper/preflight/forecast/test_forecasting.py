"""What a sweep will cost, from what its trials do."""

from pathlib import Path

import pytest

from sweeper.errors import BadInputError
from sweeper.experiment.loading import load_sweep
from sweeper.experiment.sweep import AshaSpec, SearchSpec
from sweeper.preflight.forecast import computing
from sweeper.preflight.forecast.admitting import admit
from sweeper.preflight.forecast.computing import computed_costs
from sweeper.preflight.forecast.forecasting import designed_share, forecast_sweep
from sweeper.preflight.forecast.knowing import representatives
from sweeper.preflight.forecast.micro_batch import corner_trials
from sweeper.tracking.owner import Limits
from tests.sweeper.preflight.forecast.test_micro_batch import costs_of

SPACE = Path("search_spaces/masa.yaml")


def forecast(*overrides, left=8):
    sweep = load_sweep(SPACE, overrides=("resources.max_replicas=1", *overrides))
    trials = corner_trials(sweep)
    return forecast_sweep(sweep, trials, costs_of(sweep), left=left, address=None)


@pytest.mark.parametrize(
    ("rungs", "evaluations", "share"),
    [
        (None, 4, 1.0),
        (AshaSpec(grace=4), 4, 1.0),
        # All of the first quarter, a third of the next two, a ninth of the last.
        (AshaSpec(grace=1, reduction=3), 4, 1 / 4 + 2 / 12 + 1 / 36),
        (AshaSpec(grace=2, reduction=2), 4, 2 / 4 + 2 / 8),
    ],
)
def test_the_share_that_asha_trains_as_designed(rungs, evaluations, share):
    search = SearchSpec(asha=rungs)
    assert designed_share(search, evaluations=evaluations) == pytest.approx(share)


def test_without_asha_a_sweep_takes_its_trials_one_after_another():
    found = forecast("search.asha=null", "final.trials=0")
    assert found.kept_share == 1
    assert found.seconds.value == pytest.approx(12 + 5 + 8 + 8 * found.trial_s.value)
    assert found.seconds.low < found.seconds.value < found.seconds.high


def test_asha_lowers_the_forecast_and_not_its_high_end():
    whole, stopped = forecast("search.asha=null"), forecast("search.stop=asha")
    assert stopped.seconds.value < whole.seconds.value
    assert stopped.seconds.high == whole.seconds.high


def test_money_is_of_every_worker_for_the_whole_time():
    found = forecast("resources.price_per_hour=3600")
    assert found.money is not None
    assert found.money.value == pytest.approx(found.seconds.value)
    assert forecast().money is None


def test_a_sweep_that_is_taken_over_takes_its_start_and_its_end():
    assert forecast(left=0).seconds.value < forecast(left=1).seconds.value


def test_of_each_method_the_largest_stands_for_it():
    sweep = load_sweep(SPACE)
    found = representatives(corner_trials(sweep))
    assert len({trial.method.label for trial in found}) == len(found)


def test_what_has_no_limit_is_not_forecast():
    sweep = load_sweep(SPACE)
    found = admit(sweep, Limits(), fingerprint=None, within_s=0)
    assert (found.sweep, found.costs, found.forecast) == (sweep, None, None)


def test_a_sweep_that_takes_too_long_is_refused():
    sweep = load_sweep(SPACE)
    with pytest.raises(BadInputError, match=r"--max-hours: the sweep takes about .*would fit|fits"):
        admit(sweep, Limits(max_hours=1e-4), fingerprint=None, within_s=0)


def test_what_is_forecast_of_a_small_space_is_all_of_it(tmp_path):
    file = tmp_path / "few.yaml"
    file.write_text(
        "{name: few, profile: embedded, methods: [{name: lora, rank: {choice: [4, 8]}}]}",
        encoding="utf-8",
    )
    sweep = load_sweep(file, overrides=("search.trials=24", "search.share.finalists=9"))
    forecast = admit(sweep, Limits(max_hours=5), fingerprint=None, within_s=0).forecast
    assert forecast is not None
    assert (forecast.trials, forecast.finalists) == (2, 2)


def test_a_cost_needs_a_price():
    sweep = load_sweep(SPACE)
    with pytest.raises(BadInputError, match=r"resources.price_per_hour is not set"):
        admit(sweep, Limits(max_cost=5), fingerprint=None, within_s=0)


def test_a_gpu_that_nobody_knows_has_no_forecast():
    sweep = load_sweep(SPACE, overrides=("resources.gpus_per_worker=1",))
    with pytest.raises(BadInputError, match=r"resources.gpu_type is not set"):
        admit(sweep, Limits(max_hours=5), fingerprint=None, within_s=0)


def test_a_named_gpu_is_computed():
    sweep = load_sweep(SPACE, overrides=("resources.gpus_per_worker=1", "resources.gpu_type=H100"))
    found = admit(sweep, Limits(max_hours=5), fingerprint=None, within_s=0)
    assert found.forecast is not None
    assert found.forecast.source == "computed"
    assert "H100" in found.forecast.rates


def test_a_busy_machine_is_forecast_as_a_quiet_one_with_a_wider_range(monkeypatch):
    sweep = load_sweep(SPACE)
    (trial, *_) = corner_trials(sweep)
    found = {}
    for waits in (1.0, 3.0):
        monkeypatch.setattr(computing, "_cpu_rate", lambda _, waits=waits: (1e11, waits))
        costs = computed_costs([trial], sweep.spec.resources)
        assert costs is not None
        found[waits] = costs
    quiet, busy = (costs.known[0] for costs in found.values())
    assert (busy.micro_batch_s, busy.low) == (quiet.micro_batch_s, quiet.low)
    assert busy.high == pytest.approx(3 * quiet.high)
    assert "busy" not in found[1.0].rates
    said = "a product takes 3 times as long as it computes, since this machine is busy: the high"
    assert said in found[3.0].rates


def test_a_product_is_timed_by_its_own_seconds_where_it_waits():
    operations = 2 * 1024**3
    # As threads of one process wait for each other: by the clock.
    rate, waits = computing._rate_of([(0.5, 0.9), (0.4, 0.7)], threads=2)
    assert (rate, waits) == (operations / 0.4, 1.0)
    rate, waits = computing._rate_of([(2.0, 0.5), (1.0, 0.5)], threads=1)
    assert (rate, waits) == (operations / 0.5, 3.0)
    # A clock that is too coarse for it says nothing.
    assert computing._rate_of([(0.01, 0.0)], threads=1) == (operations / 0.01, 1.0)


def test_a_share_is_known_and_the_rests_of_the_finalists_come_after_it():
    plain = ("final.trials=0", "search.trials=8", "search.share.finalists=2")
    found, whole = forecast(*plain), forecast("final.trials=0", "search.asha=null")
    assert (found.kept_share, found.finalists, whole.finalists) == (0.25, 2, 0)
    # One replica: eight quarters, and two rests of three quarters.
    assert found.seconds.value == pytest.approx(12 + 5 + 8 + (2 + 1.5) * found.trial_s.value)
    # Nothing is left to ASHA, so that the high end has the same share.
    ends = found.seconds.high - (12 + 5 + 8), found.seconds.value - (12 + 5 + 8)
    assert ends[0] / ends[1] == pytest.approx(found.trial_s.high / found.trial_s.value)
