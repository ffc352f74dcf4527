"""The samples of a batch may be of several adapters: PEFT's adapter_names."""

import pytest
import torch
from torch.testing import assert_close

from tests.adapters.passes import logits, output, train
from tests.adapters.specs import each, is_ours, on

# Enough for a group of layers that share.
LAYERS = 2

# A product of fewer rows may be summed in another order.
ROUNDING = 1e-5


@pytest.fixture
def model_of(llama):
    """Returns the function that has a model with two trained adapters."""

    def build(spec):
        spec = on(spec, "q_proj", "v_proj", "down_proj")
        model = train(spec.inject(llama(), seed=0))
        model.add_adapter("second", spec.peft_config())
        model.set_adapter("second")
        train(model, seed=4)
        model.set_adapter("default")
        return model.eval()

    return build


@each(is_ours)
def test_each_sample_has_its_own_adapter(spec, model_of, ids):
    model = model_of(spec)
    alone = {"default": logits(model, ids)}
    with model.disable_adapter():
        alone["__base__"] = logits(model, ids)
    model.set_adapter("second")
    alone["second"] = logits(model, ids)
    for names in (["second", "default"], ["default", "__base__"], ["second", "second"]):
        with torch.no_grad():
            found = output(model, ids, adapter_names=names).logits
        for row, name in enumerate(names):
            assert_close(found[row], alone[name][row], rtol=0, atol=ROUNDING)
    assert (alone["second"] - alone["default"]).abs().max() > 100 * ROUNDING
    # And after it all have the active one again.
    assert torch.equal(logits(model, ids), alone["second"])


@each(is_ours)
def test_names_that_cannot_be_are_refused(spec, model_of, ids):
    model = model_of(spec)
    with pytest.raises(ValueError, match=r"adapter_names has 'thrid'; the model has default, s"):
        output(model, ids, adapter_names=["second", "thrid"])
    with pytest.raises(ValueError, match=r"adapter_names has 1 names for activations of 2 samples"):
        output(model, ids, adapter_names=["second"])
    model.train()
    with pytest.raises(ValueError, match=r"adapter_names is given to a model in training"):
        output(model, ids, adapter_names=["second", "default"])


@each(lambda spec: is_ours(spec) and spec.is_mergeable)
def test_names_are_refused_while_an_adapter_is_merged(spec, model_of, ids):
    model = model_of(spec)
    model.merge_adapter()
    with pytest.raises(ValueError, match=r"adapter_names is given while default is merged"):
        output(model, ids, adapter_names=["second", "default"])


@each(lambda spec: is_ours(spec) and not spec.needs_task_ids)
def test_generation_repeats_the_name_of_a_sample_for_each_beam(spec, model_of, ids):
    model = model_of(spec)
    settings = {"max_new_tokens": 2, "num_beams": 2, "eos_token_id": None, "pad_token_id": 0}
    alone = {}
    for name in ("default", "second"):
        model.set_adapter(name)
        alone[name] = model.generate(input_ids=ids, **settings)
    found = model.generate(input_ids=ids, adapter_names=["second", "default"], **settings)
    assert torch.equal(found[0], alone["second"][0])
    assert torch.equal(found[1], alone["default"][1])
