"""PEFT's types, and later settings of training, in trials of a warm replica: what they leave."""

from pathlib import Path
from typing import Any

import pytest

from sweeper.evaluation.adapter import load_adapter
from sweeper_adapters.methods import PeftSpec
from tests.adapters.methods.peft.examples import TYPES
from tests.sweeper import scenarios, tiny
from tests.sweeper.training.test_peft_methods import look, reloaded
from tests.whole import IS_WHOLE

# The file is computed with in another order than what was trained; relative.
FORM = 1e-5
NAMES = list(TYPES) if IS_WHOLE else ["VERA", "IA3", "PROMPT_TUNING"]
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "betas": {"beta1": 0.5, "beta2": 0.9},
    "noise": {"noise_alpha": 15.0},
    "prompts": {"loss_on": "all"},
    "prompts packed": {"loss_on": "all", "packing": True},
}


def trial(method, **settings):
    standard: dict[str, Any] = {"steps": 4, "evaluations": 1, "eval_examples": 4}
    spec = tiny.trial("lora", **(standard | settings))
    return spec if method is None else spec.model_copy(update={"method": method})


def on_tiny(name) -> PeftSpec:
    """The example on few layers, where it has layers to choose."""
    spec = TYPES[name]
    if not spec.adapts_layers:
        return spec
    return PeftSpec.model_validate({**spec.model_dump(), "targets": tiny.TARGETS})


def train_all(folder):
    found: dict[str, Any] = {}
    for name in NAMES:
        place = Path(folder) / name
        try:
            spec = trial(on_tiny(name))
            found[name] = (*look(spec, place), reloaded(spec, place))
            load(spec, place)
            # It has fixed numbers beside its parameters.
            if IS_WHOLE or name == "VERA":
                half = trial(on_tiny(name), precision="bf16")
                outcome, *_, is_kept = look(half, place / "half")
                assert not isinstance(outcome, str), outcome
                assert is_kept
                load(half, place / "half")
        except Exception as error:  # noqa: BLE001 - of one type; the others shall run
            found[name] = f"{type(error).__name__}: {error}"
    for name, settings in SETTINGS.items():
        found[name] = look(trial(None, **settings), Path(folder) / name)
    return found


def load(spec, place):
    """Loads it as an evaluation does: checked against what the method itself makes, first."""
    model = load_adapter(spec, tiny.base(spec.engine.precision).model, place / "adapter")
    assert model.active_adapter == "default"


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return scenarios.run(train_all, 1, tmp_path_factory.mktemp("types"))[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_trial_leaves_the_base_as_it_was_and_a_file_that_does_the_same(name, found):
    assert not isinstance(found[name], str), found[name]
    outcome, steps, losses, reports, is_kept, eval_loss = found[name]
    assert not isinstance(outcome, str), outcome
    assert steps == [1, 2, 3, 4]
    assert losses[-1] != losses[0]
    assert is_kept
    assert eval_loss == pytest.approx(reports[-1][1]["eval_loss"], rel=FORM)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_changes_the_training_and_leaves_the_base(name, found):
    outcome, _, losses, _, is_kept = found[name]
    assert not isinstance(outcome, str), outcome
    assert is_kept
    plain = found["plain"][2]
    # Betas show once there are moments of several steps; noise and the prompts' loss at once.
    first = {"plain": None, "betas": 2}.get(name, 0)
    pairs = enumerate(zip(losses, plain, strict=True))
    differing = [number for number, (a, b) in pairs if abs(a - b) > FORM * abs(b)]
    assert (differing[0] if differing else None) == first
    if name == "prompts packed":
        assert losses == pytest.approx(found["prompts"][2], rel=1e-4)
