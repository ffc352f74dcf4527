"""What every method promises of its hooks in training, without an engine around them."""

import pytest
import torch
from peft import PeftModel
from torch.testing import assert_close

from sweeper.training.adapter_file import adapter_elements
from tests.adapters.passes import logits, output, train, trained
from tests.adapters.specs import each

# Enough for a group of layers that share, and a shorter one.
LAYERS = 3

STEPS = 8
# What is trained may be another form of the adapter than the one that is saved, and is rounded.
FORM = 1e-5


def calibration(model, ids):
    """The loss of the i-th batch of the calibration, as the trainer gives it."""

    def loss(number):
        return output(model, ids.roll(number, 1), labels=ids.roll(number, 1)).loss

    return loss


@pytest.fixture
def prepared(llama, ids):
    """Returns an example's model and hooks as they are when the engine starts."""

    def prepare(spec):
        model = spec.inject(llama(), seed=0)
        elements = adapter_elements(model)
        training = spec.training(model, steps=STEPS)
        training.prepare(calibration(model.train(), ids))
        return model, training, elements

    return prepare


@each(lambda spec: spec.start_tolerance is not None)
def test_preparation_changes_no_output(spec, prepared, llama, ids):
    model, _, _ = prepared(spec)
    expected = logits(llama(), ids)
    limit = max(spec.start_tolerance, FORM) * float(expected.abs().max())
    assert_close(logits(model, ids), expected, rtol=0, atol=limit)
    assert all(parameter.grad is None for parameter in model.parameters())


@each()
def test_each_trained_parameter_is_in_one_group(spec, prepared):
    model, training, _ = prepared(spec)
    grouped = [id(p) for group in training.groups() for p in group.parameters]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {id(p) for p in trained(model).values()}
    for group in training.groups():
        assert group.parameters
        assert min(group.learning_rate, group.eps) > 0
        assert group.weight_decay >= 0


@each()
def test_what_is_saved_after_training_gives_the_outputs_in_training(
    spec, prepared, llama, ids, tmp_path
):
    model, training, elements = prepared(spec)
    train(model)
    expected = logits(model, ids)
    with training.finished():
        model.save_pretrained(tmp_path)
        assert adapter_elements(model) == training.file_elements(elements)
    assert torch.equal(logits(model, ids), expected)
    base = llama()
    spec.prepare_base(base)
    limit = FORM * float(expected.abs().max())
    loaded = PeftModel.from_pretrained(base, tmp_path)
    assert_close(logits(loaded, ids), expected, rtol=0, atol=limit)


@each()
def test_its_state_can_be_saved_and_restored(spec, prepared):
    _, training, _ = prepared(spec)
    state = dict(training.state())
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    _, other, _ = prepared(spec)
    other.restore(state)
    assert_close(dict(other.state()), state, rtol=0, atol=0)
