"""What every method promises, whatever it does to the model: PEFT's whole life."""

import copy

import pytest
import torch
from peft import PeftModel, get_peft_model
from safetensors.torch import load_file
from torch.testing import assert_close

from tests.adapters.specs import SPECS

OURS = {name: spec for name, spec in SPECS.items() if name != "lora"}
CAN_MERGE = {name: spec for name, spec in SPECS.items() if name != "masa-router"}
# A merged weight is rounded once where the adapter's output was.
MERGE_TOLERANCE = 1e-5

each = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
each_of_ours = pytest.mark.parametrize("spec", OURS.values(), ids=OURS)
each_that_merges = pytest.mark.parametrize("spec", CAN_MERGE.values(), ids=CAN_MERGE)


def trained(model):
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def train(model, seed=3):
    """Gives the trained parameters values that show in the output."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in trained(model).values():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return model


@torch.no_grad()
def logits(model, ids):
    model.eval()
    return model(input_ids=ids).logits


@each
def test_injection_changes_nothing_and_counts_what_it_says(spec, llama, shape, ids):
    model = llama()
    before = logits(model, ids)
    adapted = spec.inject(model, seed=0)
    assert torch.equal(logits(adapted, ids), before)
    parameters = trained(adapted)
    assert sum(p.numel() for p in parameters.values()) == spec.count(shape)
    assert all(adapted.base_model.prefix in name for name in parameters)
    assert spec.problems(shape) == []


@each
def test_each_trained_parameter_gets_a_finite_gradient(spec, llama, ids):
    model = train(spec.inject(llama(), seed=0)).train()
    model(input_ids=ids, labels=ids).loss.backward()
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            assert parameter.grad is None, name
            continue
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


@each
def test_gradient_checkpointing_gives_the_same_gradients(spec, llama, ids):
    gradients = []
    for is_on in (False, True):
        model = train(spec.inject(llama(), seed=0)).train()
        if is_on:
            model.activation_checkpointing_enable({"use_reentrant": False})
        model(input_ids=ids, labels=ids).loss.backward()
        gradients.append({name: p.grad for name, p in trained(model).items()})
    assert_close(gradients[0], gradients[1], rtol=0, atol=0)


@each
def test_a_seed_gives_the_same_adapter_again(spec, llama):
    first, again, other = (trained(spec.inject(llama(), seed=seed)) for seed in (1, 1, 2))
    assert_close(first, again, rtol=0, atol=0)
    if spec.name != "mosa":
        assert any(not torch.equal(first[name], other[name]) for name in first)


@each
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_base_in_16_bit_has_an_adapter_in_float32(spec, dtype, llama, ids):
    model = train(spec.inject(llama(dtype), seed=0))
    assert {p.dtype for p in trained(model).values()} == {torch.float32}
    found = logits(model, ids)
    assert found.dtype == dtype
    expected = logits(train(spec.inject(llama(), seed=0)), ids)
    # The base is rounded to 8 bits and goes through five layers.
    assert_close(found.float(), expected, rtol=0.1, atol=0.1)
    model(input_ids=ids, labels=ids).loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in trained(model).values())


@each
def test_an_adapter_cast_to_16_bit_trains(spec, llama, ids):
    # As DeepSpeed does it, which keeps the float32 copies itself.
    model = train(spec.inject(llama(), seed=0)).to(torch.bfloat16)
    loss = model(input_ids=ids, labels=ids).loss
    loss.backward()
    assert {p.grad.dtype for p in trained(model).values()} == {torch.bfloat16}
    assert torch.isfinite(loss)


@each_that_merges
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


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("spec", [OURS["masa-both"], OURS["mosa"]], ids=["masa", "mosa"])
def test_unmerge_restores_every_bit(spec, dtype, llama, ids):
    model = train(spec.inject(llama(dtype), seed=0))
    expected = logits(model, ids)
    weights = copy.deepcopy(model.state_dict())
    model.merge_adapter()
    merged = model.state_dict()
    assert any(not torch.equal(merged[name], weights[name]) for name in weights)
    model.unmerge_adapter()
    assert_close(model.state_dict(), weights, rtol=0, atol=0)
    assert torch.equal(logits(model, ids), expected)


@pytest.mark.parametrize("spec", [OURS["masa"], OURS["mosa"]], ids=["masa", "mosa"])
def test_a_broken_adapter_is_not_merged_when_asked(spec, llama):
    model = train(spec.inject(llama(), seed=0))
    next(iter(trained(model).values())).data.fill_(float("nan"))
    with pytest.raises(ValueError, match=r"NaNs detected in .*earlier checkpoint"):
        model.merge_adapter(safe_merge=True)


@each
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_saved_adapter_loads_with_the_same_outputs(spec, dtype, llama, ids, shape, tmp_path):
    model = train(spec.inject(llama(dtype), seed=0))
    expected = logits(model, ids)
    model.save_pretrained(tmp_path)
    saved = load_file(tmp_path / "adapter_model.safetensors")
    assert sum(tensor.numel() for tensor in saved.values()) == spec.count(shape)
    assert len(saved) == len(trained(model))
    loaded = PeftModel.from_pretrained(llama(dtype), tmp_path)
    assert torch.equal(logits(loaded, ids), expected)
    assert trained(loaded) == {}
    again = PeftModel.from_pretrained(llama(dtype), tmp_path, is_trainable=True)
    assert_close(trained(again), trained(model), rtol=0, atol=0)


@each_of_ours
def test_an_adapter_loads_without_memory_for_initial_values(spec, llama, ids, tmp_path):
    model = train(spec.inject(llama(), seed=0))
    model.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(llama(), tmp_path, low_cpu_mem_usage=True, is_trainable=True)
    assert torch.equal(logits(loaded, ids), logits(model, ids))
    assert trained(loaded).keys() == trained(model).keys()


@each_of_ours
def test_a_second_adapter_is_like_the_first(spec, llama, ids, shape, tmp_path):
    model = train(spec.inject(llama(), seed=0))
    first = logits(model, ids)
    model.add_adapter("second", spec.peft_config())
    assert torch.equal(logits(model, ids), first)
    model.set_adapter("second")
    parameters = trained(model)
    assert sum(p.numel() for p in parameters.values()) == spec.count(shape)
    assert all(".second." in name for name in parameters)
    train(model, seed=4)
    second = logits(model, ids)
    assert not torch.equal(second, first)
    model.set_adapter("default")
    assert torch.equal(logits(model, ids), first)

    model.save_pretrained(tmp_path, selected_adapters=["second"])
    saved = load_file(tmp_path / "second" / "adapter_model.safetensors")
    assert sum(tensor.numel() for tensor in saved.values()) == spec.count(shape)
    assert torch.equal(logits(PeftModel.from_pretrained(llama(), tmp_path / "second"), ids), second)

    model.load_adapter(tmp_path / "second", "third")
    model.delete_adapter("second")
    assert torch.equal(logits(model, ids), first)
    assert not [name for name, _ in model.named_parameters() if ".second." in name]
    model.set_adapter("third")
    assert torch.equal(logits(model, ids), second)


@pytest.mark.parametrize("spec", [OURS["masa"], OURS["mosa"]], ids=["masa", "mosa"])
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


@each
def test_disabled_is_the_base_model(spec, llama, ids):
    model = train(spec.inject(llama(), seed=0))
    with model.disable_adapter():
        assert torch.equal(logits(model, ids), logits(llama(), ids))
    if spec in CAN_MERGE.values() and spec.name != "lora":
        model.merge_adapter()
        with model.disable_adapter():
            assert torch.equal(logits(model, ids), logits(llama(), ids))


@each
def test_unload_gives_the_same_modules_back(spec, llama, ids):
    model = llama()
    modules = dict(model.named_modules())
    before = logits(model, ids)
    for seed in (0, 1):
        adapted = train(spec.inject(model, seed=seed))
        assert not torch.equal(logits(adapted, ids), before)
        assert adapted.unload() is model
        after = dict(model.named_modules())
        assert after.keys() == modules.keys()
        assert all(after[name] is modules[name] for name in modules)
        assert torch.equal(logits(model, ids), before)
        assert not hasattr(model, "peft_config")


@each
def test_an_optimizer_sees_every_parameter_once(spec, llama, ids, shape):
    model = train(spec.inject(llama(), seed=0)).train()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    model(input_ids=ids, labels=ids).loss.backward()
    before = {name: p.detach().clone() for name, p in trained(model).items()}
    optimizer.step()
    for name, parameter in trained(model).items():
        assert_close(parameter, before[name] - 0.1 * parameter.grad, msg=name)
    count = sum(p.numel() for group in optimizer.param_groups for p in group["params"])
    assert count == spec.count(shape)


@each_of_ours
def test_a_copy_of_the_model_shares_as_the_original_does(spec, llama, ids):
    model = train(spec.inject(llama(), seed=0))
    twin = copy.deepcopy(model)
    assert trained(twin).keys() == trained(model).keys()
    train(twin, seed=9)
    assert not torch.equal(logits(twin, ids), logits(model, ids))


@each_of_ours
def test_targets_that_are_no_linear_layers_are_named(spec, llama):
    config = spec.peft_config()
    config.target_modules = {"embed_tokens"}
    with pytest.raises(ValueError, match="embed_tokens is not supported: it is a Embedding"):
        get_peft_model(llama(), config)


def test_a_layer_pattern_needs_layers():
    from sweeper_adapters import MasaConfig

    with pytest.raises(ValueError, match="layers_pattern is 'layers' but layers_to_transform"):
        MasaConfig(layers_pattern="layers")
