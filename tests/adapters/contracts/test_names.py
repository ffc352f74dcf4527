"""An adapter may be called what else in a model is called; of each name, all of it is saved."""

import pytest
import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import load_file

from tests.adapters.passes import logits, train, trained
from tests.adapters.specs import each, is_ours, on

# Enough for a group of layers that share.
LAYERS = 2

# Of modules of the base; and one that begins as another does.
OTHERS = ["0", "q_proj", "layers", "adapter", "adapter2"]

# PEFT warns of names that the prefix of a tuner's parameters contains, as "masa_" does "a". It once
# told parameters of an adapter by their names; in this version it does so by their containers.
pytestmark = pytest.mark.filterwarnings("ignore:Adapter name .* should not be contained in the pre")


def names_inside(model) -> list[str]:
    """What parameters and buffers of the adapter are called."""
    found = set()
    for layer in model.modules():
        if isinstance(layer, BaseTunerLayer):
            for side in layer.adapter_layer_names:
                container = getattr(layer, side)
                found |= set(container["default"].state_dict() if "default" in container else ())
    assert found
    return sorted(found)


def elements(folder):
    return sum(x.numel() for x in load_file(folder / "adapter_model.safetensors").values())


@each(is_ours)
def test_an_adapter_of_any_name_is_saved_whole(spec, llama, ids, tmp_path):
    # Few layers, since there are many adapters.
    spec = on(spec, "q_proj", "v_proj")
    model = train(spec.inject(llama(), seed=0))
    expected = {"default": logits(model, ids)}
    frozen = {id(p) for p in model.parameters() if not p.requires_grad}
    first = trained(model)
    for number, name in enumerate([*names_inside(model), *OTHERS]):
        model.add_adapter(name, spec.peft_config())
        assert {id(p) for p in trained(model).values()} == {id(p) for p in first.values()}, name
        model.set_adapter(name)
        expected[name] = logits(train(model, seed=4 + number), ids)
        model.set_adapter("default")
    assert not frozen & {id(p) for p in trained(model).values()}
    assert torch.equal(logits(model, ids), expected["default"])

    model.save_pretrained(tmp_path)
    for name in expected.keys() - {"default"}:
        assert elements(tmp_path / name) == elements(tmp_path), name
    again = PeftModel.from_pretrained(llama(), tmp_path)
    for name in expected.keys() - {"default"}:
        again.load_adapter(tmp_path / name, name)
    for name, output in expected.items():
        again.set_adapter(name)
        assert torch.equal(logits(again, ids), output), name


@each(is_ours)
@pytest.mark.parametrize("name", ["", "a.b", "items"])
def test_a_name_that_no_module_can_have_is_refused(spec, name, llama, ids):
    model = train(spec.inject(llama(), seed=0))
    before = logits(model, ids)
    with pytest.raises(
        ValueError, match=f"adapter_name is {name!r}; allowed is .*; choose another"
    ):
        model.add_adapter(name, spec.peft_config())
    assert list(model.peft_config) == ["default"]
    assert torch.equal(logits(model, ids), before)


@each(is_ours)
def test_what_is_taken_from_another_state_dict_is_not_made_up(spec, llama, tmp_path):
    model = train(spec.inject(llama(), seed=0))
    copied = {key: value.clone() for key, value in model.state_dict().items()}
    # PEFT takes away all of the first decoder layer.
    model.add_adapter("0", spec.peft_config())
    with pytest.raises(ValueError, match=r"'default' cannot be selected .* of adapter '0'"):
        model.save_pretrained(tmp_path, state_dict=copied)
