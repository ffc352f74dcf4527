"""A few real steps of trials, in this process: what a calibration measures."""

from sweeper.distributed import alone
from sweeper.experiment.sweep import ResourcesSpec
from sweeper.preflight.forecast import calibration, measuring
from sweeper.preflight.forecast.calibration import _costs, calibrated_costs
from sweeper.preflight.forecast.measuring import MeasuredBase, MeasuredTrial, Request, measure
from tests.sweeper import tiny


def test_trials_are_measured_and_what_cannot_be_says_why(monkeypatch):
    base = tiny.base()
    monkeypatch.setattr("sweeper.evaluation.adapter.loading.load_base", lambda *_, **__: base)
    monkeypatch.setattr(measuring, "_SHORT_S", 0.0)
    good = tiny.trial()
    bad = good.model_copy(update={"engine": good.engine.model_copy(update={"precision": "bf16"})})
    with alone():
        first, second, third = measure(Request(trials=(good, bad), threads=1))
    assert isinstance(first, MeasuredBase)
    assert isinstance(second, MeasuredTrial)
    assert isinstance(third, MeasuredTrial)
    assert first.memory_bytes > 10**8
    assert second.error == ""
    assert second.micro_batch_s > 0
    assert second.peak_bytes >= first.memory_bytes * 0.5
    assert second.disk_bytes > 1000
    assert "engine.precision" in third.error
    # The trial's own folder is gone, and the base is as it was.
    lines = [one.model_dump_json() for one in (first, second, third)]
    costs = _costs(Request(trials=(good, bad), threads=1), ["no line", *lines])
    assert costs is not None
    assert [one.method for one in costs.known] == [good.method.label]
    assert costs.of(good).step_s == second.micro_batch_s


def test_what_was_measured_beside_others_is_wide_and_is_not_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("SWEEPER_CACHE", str(tmp_path))
    trial = tiny.trial()
    base = MeasuredBase(load_s=1, memory_bytes=10**8)
    found = {}
    for cpu_s in (1.0, 0.5):
        one = MeasuredTrial(number=0, micro_batch_s=1.0, cpu_s=cpu_s, spread=0.1)
        lines = [base.model_dump_json(), one.model_dump_json()]
        monkeypatch.setattr(calibration, "_measured", lambda *_, lines=lines, **__: lines)
        monkeypatch.setattr(calibration, "_has_room", lambda *_, **__: True)
        found[cpu_s] = calibrated_costs(
            [trial], ResourcesSpec(), fingerprint=f"rows {cpu_s}", within_s=1
        )
    quiet, busy = found.values()
    assert quiet is not None
    assert busy is not None
    assert busy.known[0].micro_batch_s == quiet.known[0].micro_batch_s
    assert busy.known[0].low == quiet.known[0].low / 2
    assert quiet.rates == ""
    assert "a step takes 2 times as long as it computes, since this machine is busy" in busy.rates
    # Only the quiet one is there the next time.
    assert len(list((tmp_path / "forecasts").iterdir())) == 1


def test_the_largest_micro_batch_is_among_the_steps():
    base, trial = tiny.base(), tiny.trial()
    table = measuring._arranged(trial, base, seed=trial.train.seed, steps=5)
    size = trial.train.batch_size
    from sweeper.training.schedule import DataOrder

    order = DataOrder(table, seed=trial.train.seed)
    padded = [measuring._padded(order.batch(step, size), packed=False) for step in range(5)]
    whole = measuring._micro_batches(trial, base.data.train_tokens(trial.train.max_length))
    assert padded[1] == max(measuring._padded(batch, packed=False) for batch in whole)
    assert len({padded[0], *padded[2:]}) == 1
