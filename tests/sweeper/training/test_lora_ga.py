"""LoRA-GA and CoLA through the trainer: a start from data or weights, on all workers alike."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from sweeper.estimates import to_metrics
from sweeper_adapters._tuner.origin import OriginTraining
from sweeper_adapters.methods import ColaSpec, LoraGaSpec
from sweeper_adapters.methods.lora_ga import training as lora_ga_training
from tests.sweeper import scenarios, tiny
from tests.sweeper.models.test_frozen import snapshot

STAGES = (0, 1, 2, 3)
METHODS = {
    "lora-ga": LoraGaSpec(rank=4, targets=tiny.TARGETS, calibration_batches=2),
    "cola": ColaSpec(rank=4, targets=tiny.TARGETS, collaboration="heuristic", up_projections=5),
}
SETTINGS: dict[str, Any] = {"steps": 6, "evaluations": 2, "learning_rate": 2e-3}
# Two workers sum the same float32 numbers as one does, in another order, and six steps of AdamW
# enlarge what rounding leaves.
SUM_ORDER = 5e-4


def trial(method, **settings):
    made = tiny.trial("lora", **(SETTINGS | settings))
    return made.model_copy(update={"method": METHODS[method]})


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_two_workers_train_like_one(method, tmp_path):
    # The micro-batches of one worker are those of two, and so is the first, which calibrates.
    alone = trial(method, gradient_accumulation=2)
    together = [trial(method, workers=2, zero_stage=stage) for stage in STAGES]
    [(losses, reports)] = scenarios.run(scenarios.trials, 1, [alone], tmp_path / "one")[0]
    found, _ = scenarios.run(scenarios.trials, 2, together, tmp_path / "two")
    assert losses[-1] < losses[0]
    one = tiny.weights(tmp_path / "one" / "0")
    for number, (other_losses, other_reports) in enumerate(found):
        assert other_losses == pytest.approx(losses, rel=SUM_ORDER)
        eval_loss = other_reports[-1][1]["eval_loss"]
        assert eval_loss == pytest.approx(reports[-1][1]["eval_loss"], rel=SUM_ORDER)
        two = tiny.weights(tmp_path / "two" / str(number))
        assert two.keys() == one.keys()
        origins = [name for name in one if name.endswith(".origin")]
        assert len(origins) == len(one) / 2 == 18
        # Where they begin is computed before any worker has a part of its own.
        assert all(torch.equal(two[name], one[name]) for name in origins)


def look_at_base(method, folder, precision):
    base = tiny.base(precision)
    before, weights = snapshot(base.model), [p.clone() for p in base.model.parameters()]
    spec = trial(method, workers=2, zero_stage=2, steps=2, precision=precision)
    outcome, *_ = scenarios.attempt(spec, folder, base=base)
    same = all(torch.equal(a, b) for a, b in zip(base.model.parameters(), weights, strict=True))
    return outcome.status, same, snapshot(base.model) == before


@pytest.mark.parametrize(("method", "precision"), [("lora-ga", "bf16"), ("cola", "fp32")])
def test_the_base_is_as_it_was(method, precision, tmp_path):
    found = scenarios.run(look_at_base, 2, method, tmp_path, precision)
    assert found == [("complete", True, True)] * 2


@pytest.mark.parametrize(("method", "stage"), [("lora-ga", 3), ("cola", 0)])
def test_it_resumes_to_the_same_adapter(method, stage, tmp_path):
    spec = trial(method, workers=2, zero_stage=stage)
    [(whole, *_)], _ = scenarios.run(scenarios.attempts, 2, [(spec, tmp_path / "a", {})])
    scenarios.run(scenarios.attempts, 2, [(spec, tmp_path / "b", {"fail_at": 3})])
    [(resumed, *_)], _ = scenarios.run(scenarios.attempts, 2, [(spec, tmp_path / "b", {})])
    assert (whole.status, whole.resumed_at) == ("complete", 0)
    assert (resumed.status, resumed.resumed_at) == ("complete", 3)
    first, second = tiny.weights(tmp_path / "a"), tiny.weights(tmp_path / "b")
    assert all(torch.equal(second[name], value) for name, value in first.items())


def resume_elsewhere(spec, folder):
    """Goes on with a trial on hardware that computes another start."""
    scenarios.attempt(spec, folder, fail_at=3)
    before = {}

    class Elsewhere(lora_ga_training.LoraGaTraining):
        def prepare(self, loss):
            super().prepare(loss)
            with torch.no_grad():
                for name, value in self._origins():
                    value.mul_(1.5)
                    before[name] = value.clone()

        def restore(self, state: Mapping[str, torch.Tensor]) -> None:
            OriginTraining.restore(self, state)
            now = dict(self._origins())
            assert all(not torch.equal(now[name], value) for name, value in before.items())

    original = lora_ga_training.LoraGaTraining
    lora_ga_training.LoraGaTraining = Elsewhere  # type: ignore[misc]
    try:
        outcome, *_ = scenarios.attempt(spec, folder)
    finally:
        lora_ga_training.LoraGaTraining = original  # type: ignore[misc]
    return outcome, len(before)


def test_a_checkpoint_wins_over_what_is_computed_again(tmp_path):
    spec = trial("lora-ga")
    [(whole, *_)] = scenarios.run(scenarios.attempts, 1, [(spec, tmp_path / "a", {})])[0]
    [(outcome, count)] = scenarios.run(resume_elsewhere, 1, spec, tmp_path / "b")
    assert count == 18
    assert outcome.resumed_at == 3
    assert to_metrics(outcome.metrics) == to_metrics(whole.metrics)
    first, second = tiny.weights(tmp_path / "a"), tiny.weights(tmp_path / "b")
    assert all(torch.equal(second[name], value) for name, value in first.items())


def test_random_collaboration_trains_alike_twice(tmp_path):
    method = ColaSpec(rank=4, targets=tiny.TARGETS, collaboration="random")
    spec = tiny.trial("lora", workers=2, zero_stage=2, gradient_checkpointing=True, **SETTINGS)
    spec = spec.model_copy(update={"method": method})
    found = scenarios.run(scenarios.trials, 2, [spec, spec], tmp_path)[0]
    assert found[0] == found[1]
    assert found[0][0][-1] < found[0][0][0]
