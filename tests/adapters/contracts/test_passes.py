"""What every method promises, whatever it does to the model: its life in a model."""

import copy

import pytest
import torch
from peft import get_peft_model
from torch.testing import assert_close

from tests.adapters.passes import TASKS, gradients, logits, train, trained
from tests.adapters.specs import each, is_ours

# Enough for a group of layers that share, and a shorter one.
LAYERS = 3

# Of reentrant checkpointing, relative to the largest gradient of a parameter: what layers share
# sums the gradients of its layers in another order.
SUM_ORDER = 1e-6


@each()
def test_injection_changes_nothing_and_counts_what_it_says(spec, llama, shape, ids):
    model = llama()
    frozen = dict(model.named_parameters())
    values = {name: p.detach().clone() for name, p in frozen.items()}
    before = logits(model, ids)
    adapted = spec.inject(model, seed=0)
    after = logits(adapted, ids)
    if spec.start_tolerance == 0:
        assert torch.equal(after, before)
    elif spec.start_tolerance is not None:
        assert (after - before).abs().max() <= spec.start_tolerance * before.abs().max()
    assert torch.isfinite(after).all()
    if not spec.changes_base:
        assert all(torch.equal(frozen[name], values[name]) for name in frozen)
    parameters = trained(adapted)
    assert sum(p.numel() for p in parameters.values()) == spec.count(shape)
    assert not {id(p) for p in parameters.values()} & {id(p) for p in frozen.values()}
    assert not any(p.requires_grad for p in frozen.values())
    assert spec.problems(shape) == []


@each()
def test_each_trained_parameter_gets_a_finite_gradient(spec, llama, ids):
    model = train(spec.inject(llama(), seed=0))
    gradients(model, ids)
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            assert parameter.grad is None, name
            continue
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


@each()
@pytest.mark.parametrize("is_reentrant", [False, True], ids=["non-reentrant", "reentrant"])
def test_gradient_checkpointing_gives_the_same_gradients(spec, is_reentrant, llama, ids):
    expected = gradients(train(spec.inject(llama(), seed=0)), ids)
    model = train(spec.inject(llama(), seed=0))
    model.activation_checkpointing_enable({"use_reentrant": is_reentrant})
    if not is_reentrant:
        assert_close(gradients(model, ids), expected, rtol=0, atol=0)
        return
    # A reentrant pass has gradients only where an input of it has.
    model.enable_input_require_grads()
    for name, gradient in gradients(model, ids).items():
        limit = SUM_ORDER * float(expected[name].abs().max())
        assert_close(gradient, expected[name], rtol=0, atol=limit, msg=name)


@each()
def test_a_seed_gives_the_same_adapter_again(spec, llama):
    first, again, other = (trained(spec.inject(llama(), seed=seed)) for seed in (1, 1, 2))
    assert_close(first, again, rtol=0, atol=0)
    if spec.start_depends_on_seed:
        assert any(not torch.equal(first[name], other[name]) for name in first)


@each()
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_base_in_16_bit_has_an_adapter_in_float32(spec, dtype, llama, ids):
    model = train(spec.inject(llama(dtype), seed=0))
    assert {p.dtype for p in trained(model).values()} == {torch.float32}
    found = logits(model, ids)
    assert found.dtype == dtype
    expected = logits(train(spec.inject(llama(), seed=0)), ids)
    # The base is rounded to 8 bits and goes through five layers.
    assert_close(found.float(), expected, rtol=0.1, atol=0.1)
    assert all(torch.isfinite(grad).all() for grad in gradients(model, ids).values())


@each()
def test_an_adapter_cast_to_16_bit_trains(spec, llama, ids):
    # As DeepSpeed does it, which keeps the float32 copies itself.
    model = train(spec.inject(llama(), seed=0)).to(torch.bfloat16)
    found = gradients(model, ids)
    assert {grad.dtype for grad in found.values()} == {torch.bfloat16}
    assert all(torch.isfinite(grad).all() for grad in found.values())


def can_run_bfloat16_lstm():
    """Whether torch itself can, which depends on what oneDNN has for this CPU."""
    lstm = torch.nn.LSTM(4, 4)
    try:
        with torch.autocast("cpu", torch.bfloat16):
            lstm(torch.zeros(1, 4))
    except RuntimeError:
        return False
    return True


@each()
def test_it_trains_under_autocast(spec, llama, ids):
    if getattr(spec, "encoder", "") == "lstm" and not can_run_bfloat16_lstm():
        pytest.skip("oneDNN has no LSTM in bfloat16 for this CPU")
    model = train(spec.inject(llama(), seed=0))
    expected = logits(model, ids)
    with torch.autocast("cpu", torch.bfloat16):
        # bfloat16 has 8 bits, through five layers.
        assert_close(logits(model, ids).float(), expected, rtol=0.1, atol=0.1)
        found = gradients(model, ids)
    assert {grad.dtype for grad in found.values()} == {torch.float32}
    assert all(torch.isfinite(grad).all() for grad in found.values())


@each()
def test_disabled_is_the_base_model(spec, llama, ids):
    base = llama()
    model = train(spec.inject(base, seed=0))
    with model.disable_adapter():
        found = logits(model, ids)
    if not spec.changes_base:
        assert torch.equal(found, logits(llama(), ids))
    assert not torch.equal(found, logits(model, ids))


@each(lambda spec: spec.adapts_layers and not spec.changes_base)
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


@each()
def test_an_optimizer_sees_every_parameter_once(spec, llama, ids, shape):
    model = train(spec.inject(llama(), seed=0))
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    found = gradients(model, ids)
    before = {name: p.detach().clone() for name, p in trained(model).items()}
    optimizer.step()
    for name, parameter in trained(model).items():
        assert_close(parameter, before[name] - 0.1 * found[name], msg=name)
    count = sum(p.numel() for group in optimizer.param_groups for p in group["params"])
    assert count == spec.count(shape)


@each()
def test_a_copy_of_the_model_shares_as_the_original_does(spec, llama, ids):
    model = train(spec.inject(llama(), seed=0))
    expected = logits(model, ids)
    twin = copy.deepcopy(model)
    assert trained(twin).keys() == trained(model).keys()
    assert torch.equal(logits(twin, ids), expected)
    train(twin, seed=9)
    assert not torch.equal(logits(twin, ids), expected)
    assert torch.equal(logits(model, ids), expected)


@each(is_ours)
def test_targets_that_are_no_linear_layers_are_named(spec, llama):
    config = spec.peft_config()
    config.target_modules = {"embed_tokens"}
    with pytest.raises(ValueError, match="embed_tokens is not supported: it is a Embedding"):
        get_peft_model(llama(), config)


@each(lambda spec: spec.needs_task_ids)
def test_samples_of_unknown_task_are_refused(spec, llama, ids):
    model = spec.inject(llama(), seed=0).train()
    training = spec.training(model, steps=1)

    def step():
        """Some ask in the pass, some for what their loss adds after it."""
        output = model(input_ids=ids)
        return output, training.auxiliary_loss()

    with pytest.raises(ValueError, match=r"task ids are none .* call .*set_task_ids"):
        step()
    training.set_task_ids(TASKS)
    step()


def test_a_layer_pattern_needs_layers():
    from sweeper_adapters import MasaConfig

    with pytest.raises(ValueError, match="layers_pattern is 'layers' but layers_to_transform"):
        MasaConfig(layers_pattern="layers")
