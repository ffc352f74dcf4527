"""What trials cost by what is known of others."""

import pytest

from sweeper.preflight.forecast.costs import Costs, KnownCost, step_operations
from sweeper.preflight.model.memory import memory_of
from tests.sweeper import tiny


def known(trial, **changed):
    memory = memory_of(trial, trial.model.trainable(trial.method))
    values = {
        "method": trial.method.label,
        "source": "calibrated",
        "operations": step_operations(trial),
        "activations_bytes": memory.activations_bytes + memory.trained_state_bytes,
        "micro_batch_s": 0.5,
        "low": 0.9,
        "high": 1.2,
        "evaluation_s": 3.0,
        "evaluation_rows": trial.train.eval_examples,
        "checkpoint_s": 1.0,
        "overhead_s": 2.0,
        "peak_bytes": 1500.0,
        "disk_bytes": 100.0,
    }
    return KnownCost.model_validate(values | changed)


def costs(*each):
    return Costs(known=each, base_bytes=1000, load_s=5)


def changed(trial, **fields):
    train = {k: v for k, v in fields.items() if k in type(trial.train).model_fields}
    engine = {k: v for k, v in fields.items() if k not in train}
    return trial.model_copy(
        update={
            "train": trial.train.model_copy(update=train),
            "engine": trial.engine.model_copy(update=engine),
        }
    )


def test_a_trial_that_was_measured_costs_that():
    trial = tiny.trial()
    found = costs(known(trial)).of(trial)
    assert found.source == "calibrated"
    assert (found.step_s, found.peak_bytes) == (0.5, 1500)
    assert (found.step_low_s, found.step_high_s) == pytest.approx((0.45, 0.6))
    train = trial.train
    assert found.trial_s == pytest.approx(2 + 0.5 * train.steps + 4 * train.evaluations)
    assert found.part_s(trial, train.steps) == found.trial_s


def test_a_larger_micro_batch_takes_longer_and_more_memory():
    trial = tiny.trial()
    larger = changed(trial, batch_size=2 * trial.train.batch_size)
    found = costs(known(trial)).of(larger)
    assert found.step_s == pytest.approx(1.0)
    assert 1800 < found.peak_bytes <= 2000


def test_two_micro_batches_take_twice_the_time_and_the_same_memory():
    trial = tiny.trial()
    found = costs(known(trial)).of(changed(trial, gradient_accumulation=2))
    assert (found.step_s, found.peak_bytes) == (1.0, 1500)


def test_another_method_is_scaled_with_a_wider_range():
    trial, other = tiny.trial(), tiny.trial("masa")
    found = costs(known(trial)).of(other)
    assert found.source == "scaled"
    assert found.step_high_s / found.step_s > 1.2 * 1.5


def test_checkpointing_takes_another_forward_pass():
    trial = tiny.trial()
    assert step_operations(trial) < step_operations(changed(trial, gradient_checkpointing=True))


def test_ray_is_counted_besides():
    trial = tiny.trial()
    found = costs(known(trial)).model_copy(update={"around_bytes": 70}).of(trial)
    assert found.peak_bytes == 1570
