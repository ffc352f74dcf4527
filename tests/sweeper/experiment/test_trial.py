"""What a trial is: fields that go together, and an identity by content.

`tests/sweeper/preflight/test_plan.py` checks how identities follow a space's content.
"""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from sweeper.experiment.trial import EngineSpec, TrainSpec, TrialSpec
from sweeper_adapters.methods import LoraSpec


def trial(**changes: Any) -> TrialSpec:
    tree = {
        "method": {"name": "lora"},
        "train": {"steps": 8, "learning_rate": 1e-3},
        "model": {"kind": "architecture", "name": "smollm2-135m"},
        "data": {"kind": "embedded"},
    }
    return TrialSpec.model_validate({**tree, **changes})


def test_an_identity_is_of_content_and_data() -> None:
    one = trial()
    assert one.identity() == trial().identity()
    assert len(one.identity()) == 12
    assert one.identity(data_fingerprint="x") != one.identity()
    assert trial(workers=2).identity() != one.identity()
    # What is written out is what was left out.
    assert trial(method={"name": "lora", **LoraSpec().model_dump(mode="json")}).identity() == (
        one.identity()
    )


@pytest.mark.parametrize("value", [True, False])
@pytest.mark.parametrize(
    ("section", "field"),
    [("method", "rank"), ("method", "dropout"), ("train", "steps"), ("train", "learning_rate")],
)
def test_true_is_no_number(section: str, field: str, value: bool) -> None:
    tree = trial().model_dump(mode="json")
    with pytest.raises(ValidationError, match="true and false are none"):
        trial(**{section: {**tree[section], field: value}})
    assert trial(train={**tree["train"], "bucketing": value}).train.bucketing is value


@pytest.mark.parametrize(
    "changes",
    [
        {"scaling": "sqrt_rank"},
        {"b_learning_rate_factor": 16},
        {"rank_pattern": {"q_proj": 2}},
        {"alpha_pattern": {"q_proj": 2}},
    ],
    ids=str,
)
def test_a_later_field_changes_the_identity_only_where_it_changes_the_trial(
    changes: dict[str, Any],
) -> None:
    one = trial()
    for name in changes:
        plain = {name: LoraSpec.model_fields[name].default}
        assert trial(method={"name": "lora", **plain}).identity() == one.identity()
        assert name not in one.model_dump_json()
    assert trial(method={"name": "lora", **changes}).identity() != one.identity()


def test_a_trial_survives_json() -> None:
    one = trial(evaluation={"stop": ["END"]})
    assert TrialSpec.model_validate_json(one.model_dump_json()) == one


def test_offload_needs_zero() -> None:
    with pytest.raises(ValidationError, match="offload needs zero_stage 1, 2 or 3"):
        EngineSpec(offload="cpu")
    assert EngineSpec(offload="cpu", zero_stage=1).offload == "cpu"


def test_there_are_at_most_as_many_evaluations_as_steps() -> None:
    with pytest.raises(ValidationError, match="at most one evaluation a step"):
        TrainSpec(steps=3, learning_rate=1e-3, evaluations=4)


def test_a_method_that_adds_rows_is_not_packed() -> None:
    train = {"steps": 8, "learning_rate": 1e-3, "packing": True}
    assert trial(train=train).train.packing
    with pytest.raises(ValidationError, match="set packing to false"):
        trial(train=train, method={"name": "prompt_tuning"})


LATER = {"beta1": 0.8, "beta2": 0.95, "loss_on": "all", "noise_alpha": 5.0}


@pytest.mark.parametrize("name", LATER)
def test_a_later_field_of_training_changes_the_identity_only_where_it_is_set(name: str) -> None:
    one, train = trial(), {"steps": 8, "learning_rate": 1e-3}
    plain = TrainSpec.model_fields[name].default
    assert name not in one.model_dump(mode="json")["train"]
    assert trial(train={**train, name: plain}).identity() == one.identity()
    changed = trial(train={**train, name: LATER[name]})
    assert changed.identity() != one.identity()
    assert TrialSpec.model_validate_json(changed.model_dump_json()) == changed


PATIENT = {"steps": 8, "learning_rate": 1e-3, "patience": 2}
LOSS = {"metric": "eval_loss", "mode": "min"}


def test_an_objective_is_part_of_a_trial_only_where_patience_waits_for_it() -> None:
    one = trial()
    assert trial(objective=LOSS) == one
    assert "objective" not in one.model_dump(mode="json")
    train = {"steps": 8, "learning_rate": 1e-3, "patience": 0, "min_improvement": 0}
    assert trial(objective=LOSS, train=train).identity() == one.identity()
    patient = trial(train=PATIENT, objective=LOSS)
    assert TrialSpec.model_validate_json(patient.model_dump_json()) == patient
    others = [
        one,
        trial(train={**PATIENT, "patience": 1}, objective=LOSS),
        trial(train={**PATIENT, "min_improvement": 0.1}, objective=LOSS),
        trial(train=PATIENT, objective={"metric": "accuracy", "mode": "max"}),
    ]
    assert len({x.identity() for x in [patient, *others]}) == 5


def test_patience_needs_an_objective() -> None:
    with pytest.raises(ValidationError, match=r"train\.patience is 2; patience needs the metric"):
        trial(train=PATIENT)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patience": 3}, "patience is 3 but evaluations is 4, .* it must be 2 at most; lower"),
        ({"patience": 1, "evaluations": 2}, "it must be 0, for so few evaluations; lower patience"),
        ({"patience": 0, "min_improvement": 0.1}, r"min_improvement is 0\.1 but patience is 0"),
        ({"patience": -1}, "greater than or equal to 0"),
        ({"min_improvement": -0.1}, "greater than or equal to 0"),
    ],
    ids=str,
)
def test_a_patience_that_can_end_nothing_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TrainSpec(**{**PATIENT, **changes})


def test_a_method_that_needs_all_its_steps_has_no_patience() -> None:
    with pytest.raises(ValidationError, match="patience is 2, but adalora lays its training out"):
        trial(method={"name": "adalora"}, train=PATIENT, objective=LOSS)
    assert trial(method={"name": "adalora"}, objective=LOSS).objective is None


def test_betas_are_refused_where_a_method_keeps_its_own_moments() -> None:
    train = {"steps": 8, "learning_rate": 1e-3, "beta2": 0.95}
    with pytest.raises(ValidationError, match=r"beta2 is 0\.95, but lora_pro keeps moments"):
        trial(method={"name": "lora_pro", "mode": "full"}, train=train)
    assert trial(method={"name": "lora_pro"}, train=train).train.beta2 == 0.95
