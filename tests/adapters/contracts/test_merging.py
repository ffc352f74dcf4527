"""What every method promises of its merged form, or says where it has none."""

import copy

import pytest
import torch
from torch.testing import assert_close

from sweeper_adapters._tuner import AdapterLinear
from tests.adapters.passes import logits, train, trained
from tests.adapters.specs import each, is_ours

# Enough for a group of layers that share, and a shorter one.
LAYERS = 3

# A merged weight is rounded once where the adapter's output was.
MERGE_TOLERANCE = 1e-5
# Of PEFT's tuners, relative to the largest weight: some times the last bit of float32, since DoRA
# multiplies and divides rows, too.
UNMERGE_ROUNDING = 16 * torch.finfo(torch.float32).eps

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])


def merges(spec):
    return spec.adapts_layers and spec.is_mergeable


def merges_and_is_ours(spec):
    return merges(spec) and is_ours(spec)


@each(merges)
def test_merged_is_the_same_as_unmerged(spec, llama, ids):
    model = train(spec.inject(llama(), seed=0))
    expected = logits(model, ids)
    model.merge_adapter()
    assert_close(logits(model, ids), expected, rtol=0, atol=MERGE_TOLERANCE)
    model.unmerge_adapter()
    assert_close(logits(model, ids), expected, rtol=0, atol=MERGE_TOLERANCE)
    merged = model.merge_and_unload(safe_merge=True)
    assert_close(logits(merged, ids), expected, rtol=0, atol=MERGE_TOLERANCE)
    assert merged.state_dict().keys() == llama().state_dict().keys()


@each(merges_and_is_ours)
@DTYPES
def test_unmerge_restores_every_bit(spec, dtype, llama, ids):
    model = train(spec.inject(llama(dtype), seed=0))
    expected = logits(model, ids)
    weights = copy.deepcopy(model.state_dict())
    model.merge_adapter()
    merged = copy.deepcopy(model.state_dict())
    assert any(not torch.equal(merged[name], weights[name]) for name in weights)
    model.unmerge_adapter()
    assert_close(model.state_dict(), weights, rtol=0, atol=0)
    assert torch.equal(logits(model, ids), expected)


@each(lambda spec: merges(spec) and not is_ours(spec))
def test_unmerge_of_peft_s_own_restores_the_weights_but_for_rounding(spec, llama):
    model = train(spec.inject(llama(), seed=0))
    weights = copy.deepcopy(model.state_dict())
    model.merge_adapter()
    merged = copy.deepcopy(model.state_dict())
    model.unmerge_adapter()
    # They take away what they have added, and so round a sum, or a product, twice.
    for name, value in model.state_dict().items():
        largest = max(float(merged[name].abs().max()), float(weights[name].abs().max()))
        assert (value - weights[name]).abs().max() <= UNMERGE_ROUNDING * largest, name


@each(merges_and_is_ours)
def test_disabled_while_merged_is_the_base_model(spec, llama, ids):
    base = logits(llama(), ids)
    model = train(spec.inject(llama(), seed=0))
    model.merge_adapter()
    with model.disable_adapter():
        found = logits(model, ids)
    assert torch.equal(found, base)


@each(merges)
def test_a_broken_adapter_is_not_merged_when_asked(spec, llama):
    model = train(spec.inject(llama(), seed=0))
    for parameter in trained(model).values():
        parameter.data.fill_(float("nan"))
    advice = ".*earlier checkpoint" if is_ours(spec) else ""
    with pytest.raises(ValueError, match=f"NaNs detected in {advice}"):
        model.merge_adapter(safe_merge=True)


@each(lambda spec: is_ours(spec) and not spec.is_mergeable)
def test_what_cannot_be_merged_says_so(spec, llama, ids):
    model = train(spec.inject(llama(), seed=0))
    expected = logits(model, ids)
    # The tuner's name: several methods may share it.
    message = r"^\w+: adapter 'default' .*cannot be merged.*; run the model unmerged"
    for merge in (model.merge_adapter, model.merge_and_unload):
        with pytest.raises(ValueError, match=message):
            merge()
    assert torch.equal(logits(model, ids), expected)


@each(merges_and_is_ours)
def test_two_active_adapters_add_up(spec, llama, ids):
    model = train(spec.inject(llama(), seed=0))
    model.add_adapter("second", spec.peft_config())
    model.set_adapter("second")
    train(model, seed=4)
    model.base_model.set_adapter(["default", "second"])
    both = logits(model, ids)
    model.base_model.merge_adapter(["default", "second"])
    assert_close(logits(model, ids), both, rtol=0, atol=MERGE_TOLERANCE)
    with pytest.raises(ValueError, match="while they are merged"):
        model.delete_adapter("second")


@each(is_ours)
def test_it_has_the_factors_of_a_lora_or_says_that_it_has_none(spec, llama):
    model = train(spec.inject(llama(), seed=0))
    layers = [layer for layer in model.modules() if isinstance(layer, AdapterLinear)]
    assert layers
    for layer in layers:
        if not spec.exports_lora:
            with pytest.raises(ValueError, match=r"'default' .*not a LoRA; .*--format peft"):
                layer.lora_factors("default")
            continue
        down, up = (factor.detach() for factor in layer.lora_factors("default"))
        assert down.shape[1] == layer.in_features
        assert up.shape == (layer.out_features, down.shape[0])
        delta = layer.delta("default").detach()
        assert_close(up @ down, delta, rtol=0, atol=1e-6 * float(delta.abs().max()))
