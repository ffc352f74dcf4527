"""What is saved in another form than it is trained in does the same, and training goes on."""

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from torch.testing import assert_close

from sweeper_adapters.methods import PissaSpec, PromptTuningSpec, PTuningSpec, VbloraSpec
from tests.adapters.passes import finished, logits, trained

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
LOW_MEMORY = pytest.mark.parametrize("is_low", [False, True], ids=["", "low_cpu_mem_usage"])

# The same products in another order; and bfloat16 has 8 bits of precision, through five layers.
FORM = {torch.float32: 1e-6, torch.bfloat16: 0.03}

OTHER_FORMS = {
    "pissa": PissaSpec(rank=4),
    "pissa-exact": PissaSpec(rank=3, iterations=None, targets=("k_proj", "down_proj")),
    "vblora": VbloraSpec(rank=2, vectors=6, vector_length=8, top_k=3, saves_top_k=True),
    "vblora-one": VbloraSpec(rank=2, vectors=6, vector_length=16, top_k=1, saves_top_k=True),
    "prompt_tuning": PromptTuningSpec(virtual_tokens=3),
    "p_tuning": PTuningSpec(virtual_tokens=3, encoder_size=5),
    "p_tuning-lstm": PTuningSpec(virtual_tokens=3, encoder="lstm", encoder_size=5),
}


@pytest.mark.parametrize("spec", OTHER_FORMS.values(), ids=OTHER_FORMS)
@DTYPES
@LOW_MEMORY
def test_what_is_saved_in_another_form_does_the_same(spec, dtype, is_low, llama, ids, tmp_path):
    model, hooks, tensors = finished(spec, llama, dtype, tmp_path)
    expected = logits(model, ids).float()
    loaded = PeftModel.from_pretrained(llama(dtype), tmp_path, low_cpu_mem_usage=is_low)
    found = logits(loaded, ids).float()
    limit = FORM[dtype] * float(expected.abs().max())
    assert (found - expected).abs().max() <= limit
    assert (expected - logits(llama(dtype), ids).float()).abs().max() > 10 * FORM[torch.float32]
    # And what is trained goes on as it was.
    assert torch.equal(logits(model, ids).float(), expected)
    assert trained(model)
    with hooks.finished():
        model.save_pretrained(tmp_path / "again")
    again = load_file(tmp_path / "again" / "adapter_model.safetensors")
    assert_close(again, tensors, rtol=0, atol=0)
