"""The size of LoRA, as published."""

import pytest
import torch
from peft import PeftModel

from sweeper.models.shapes import trainable_parameters
from sweeper.models.snapshot import ModelSnapshot
from sweeper.training.adapter_file import adapter_elements
from sweeper_adapters.methods import DoraSpec, LoraSpec, MosaSpec
from tests.adapters.passes import logits, train, trained
from tests.adapters.shapes import LLAMA3_8B, LLAMA32_3B, TINY, published


@pytest.mark.parametrize(
    ("shape", "spec", "percent"),
    [
        # MASA, Tables 1 and 2, and appendix B.
        (LLAMA3_8B, LoraSpec(rank=8), "0.2605"),
        (LLAMA3_8B, LoraSpec(rank=16), "0.5196"),
        (LLAMA32_3B, LoraSpec(rank=8), "0.3770"),
        (LLAMA32_3B, LoraSpec(rank=16), "0.7511"),
        # MoSA, Table 3.
        (LLAMA3_8B, LoraSpec(rank=32, targets=MosaSpec().targets), "0.7002"),
    ],
)
def test_published_percentages(shape, spec, percent):
    assert f"{published(shape, spec):.4f}" == percent


@pytest.mark.parametrize("kind", [LoraSpec, DoraSpec])
def test_some_layers_have_their_share_of_the_parameters(kind):
    whole, some = kind(rank=2), kind(rank=2, layers_to_transform=(0, 3, 3))
    assert 2 * some.count(TINY) == whole.count(TINY)
    assert some.problems(TINY) == []
    assert some.peft_config().layers_to_transform == [0, 3]
    assert "layers_to_transform" not in whole.model_dump()
    [(field, message)] = kind(rank=2, layers_to_transform=(1, 4)).problems(TINY)
    assert field == "layers_to_transform"
    assert message.startswith("layers_to_transform has 4 but the model has 4 layers; allowed is 0")


def test_a_module_that_is_trained_whole_is_a_copy(llama, ids, tmp_path):
    spec, model = LoraSpec(rank=2, modules_to_save=("lm_head",)), llama()
    before, kept = logits(model, ids), ModelSnapshot(model)
    head = model.lm_head
    adapted = train(spec.inject(model, seed=0))
    count = sum(p.numel() for p in trained(adapted).values())
    assert count == LoraSpec(rank=2).count(TINY) * 5 // 4 + head.weight.numel()
    assert count == trainable_parameters(llama().config.to_dict(), spec)
    expected = logits(adapted, ids)
    adapted.save_pretrained(tmp_path, save_embedding_layers=False)
    assert adapter_elements(adapted) == count
    kept.restore()
    assert model.lm_head is head
    assert torch.equal(logits(model, ids), before)
    assert torch.equal(logits(PeftModel.from_pretrained(llama(), tmp_path), ids), expected)


def test_a_module_to_save_that_is_not_there_is_refused(llama):
    spec = LoraSpec(rank=2, modules_to_save=("lm_hed",))
    with pytest.raises(ValueError, match=r"modules_to_save has 'lm_hed', .* mean 'lm_head'\?"):
        spec.inject(llama(), seed=0)
    assert not spec.exports_lora
    assert "modules_to_save" not in LoraSpec().model_dump()
