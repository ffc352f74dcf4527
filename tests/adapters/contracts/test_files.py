"""What every method promises of its file, and of several adapters in one model."""

import pytest
import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import load_file
from torch.testing import assert_close

from sweeper.training.adapter_file import adapter_elements
from tests.adapters.passes import logits, train, trained
from tests.adapters.specs import each, is_ours

# Enough for a group of layers that share, and a shorter one.
LAYERS = 3

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])


def saved(folder):
    return load_file(folder / "adapter_model.safetensors")


def elements(tensors):
    return sum(tensor.numel() for tensor in tensors.values())


def held(model) -> dict[int, torch.Tensor]:
    """Parameters and buffers of the default adapter, by where they are stored."""
    found = {}
    for layer in model.modules():
        if not isinstance(layer, BaseTunerLayer):
            continue
        for side in layer.adapter_layer_names:
            container = getattr(layer, side)
            if "default" not in container:
                continue
            inside = container["default"]
            tensors = [inside] if isinstance(inside, torch.Tensor) else inside.state_dict().values()
            found.update({tensor.data_ptr(): tensor for tensor in tensors})
    return found


def loaded(spec, base, folder, **how):
    """The base with an adapter from its file, for whoever has the spec, too."""
    spec.prepare_base(base)
    return PeftModel.from_pretrained(base, folder, **how)


def check_trained(spec, again, model):
    """A model that was loaded to be trained on has the trained parameters of the one before."""
    found = trained(again)
    if not is_ours(spec):
        # Loaded on a 16-bit base, PEFT's AdaLoRA would train the rank that it divides by, too.
        found = {name: found[name] for name in trained(model)}
    assert_close(found, trained(model), rtol=0, atol=0)


# What is saved in another form is tested with the methods that have one.
@each(lambda spec: spec.saves_as_trained)
@DTYPES
def test_a_saved_adapter_loads_with_the_same_outputs(spec, dtype, llama, ids, tmp_path):
    model = train(spec.inject(llama(dtype), seed=0))
    expected = logits(model, ids)
    model.save_pretrained(tmp_path)
    again = loaded(spec, llama(dtype), tmp_path)
    assert torch.equal(logits(again, ids), expected)
    if is_ours(spec):
        assert trained(again) == {}
    if spec.adapts_layers:
        again = loaded(spec, llama(dtype), tmp_path, is_trainable=True)
        check_trained(spec, again, model)


@each(lambda spec: spec.adapts_layers and spec.saves_as_trained)
@DTYPES
def test_it_loads_without_memory_for_initial_values(spec, dtype, llama, ids, tmp_path):
    model = train(spec.inject(llama(dtype), seed=0))
    model.save_pretrained(tmp_path)
    again = loaded(spec, llama(dtype), tmp_path, low_cpu_mem_usage=True, is_trainable=True)
    if not is_ours(spec):
        # PEFT's tuners are rounded to the dtype of the base on this way, and back to float32.
        for parameter in trained(model).values():
            parameter.data = parameter.data.to(dtype).float()
    assert torch.equal(logits(again, ids), logits(model, ids))
    check_trained(spec, again, model)
    assert not any(tensor.is_meta for tensor in [*again.parameters(), *again.buffers()])


@each(lambda spec: spec.adapts_layers and spec.saves_as_trained)
def test_the_file_holds_each_parameter_once(spec, llama, shape, tmp_path):
    model = train(spec.inject(llama(), seed=0))
    model.save_pretrained(tmp_path)
    tensors = saved(tmp_path)
    for name, parameter in trained(model).items():
        same = [x for x in tensors.values() if x.shape == parameter.shape and x.equal(parameter)]
        assert len(same) == 1, name
    assert elements(tensors) == adapter_elements(model)
    # Besides what is trained a file holds what the method keeps of its initial values.
    unique = held(model)
    assert elements(tensors) == elements(unique)
    assert sum(x.numel() for x in unique.values() if x.requires_grad) <= spec.count(shape)


# PEFT's AdaLoRA refuses a second adapter that is trained.
@each(lambda spec: spec.adapts_layers and spec.saves_as_trained and spec.name != "adalora")
def test_a_second_adapter_is_like_the_first(spec, llama, ids, shape, tmp_path):
    model = train(spec.inject(llama(), seed=0))
    first = logits(model, ids)
    model.add_adapter("second", spec.peft_config())
    assert torch.equal(logits(model, ids), first)
    model.set_adapter("second")
    parameters = trained(model)
    assert sum(p.numel() for p in parameters.values()) == spec.count(shape)
    assert all(".second" in name for name in parameters)
    train(model, seed=4)
    second = logits(model, ids)
    assert not torch.equal(second, first)
    model.set_adapter("default")
    assert torch.equal(logits(model, ids), first)

    model.save_pretrained(tmp_path)
    assert elements(saved(tmp_path / "second")) == elements(saved(tmp_path))
    assert torch.equal(logits(loaded(spec, llama(), tmp_path / "second"), ids), second)

    model.load_adapter(tmp_path / "second", "third")
    model.delete_adapter("second")
    assert torch.equal(logits(model, ids), first)
    assert not [name for name, _ in model.named_parameters() if ".second" in name]
    model.set_adapter("third")
    assert torch.equal(logits(model, ids), second)


@each(is_ours)
def test_deleting_the_first_leaves_the_second(spec, llama, ids):
    model = train(spec.inject(llama(), seed=0))
    model.add_adapter("second", spec.peft_config())
    model.set_adapter("second")
    second = logits(train(model, seed=4), ids)
    model.delete_adapter("default")
    assert torch.equal(logits(model, ids), second)
    assert not [name for name, _ in model.named_parameters() if ".default" in name]
