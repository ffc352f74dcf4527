"""Virtual tokens stand before the text and are saved alone."""

import pytest
import torch
from torch.testing import assert_close

from sweeper_adapters.methods import PromptTuningSpec, PTuningSpec
from tests.adapters.passes import finished, trained

# The same products in another order.
ROUNDING = 1e-6


@pytest.mark.parametrize(
    "spec", [PromptTuningSpec(virtual_tokens=3), PTuningSpec(virtual_tokens=3, encoder_size=5)]
)
def test_prompts_stand_before_the_text_and_are_saved_alone(spec, llama, ids, tmp_path):
    model, hooks, tensors = finished(spec, llama, torch.float32, tmp_path)
    assert hooks.virtual_tokens == 3
    assert {name: tuple(x.shape) for name, x in tensors.items()} == {"prompt_embeddings": (3, 32)}
    base = llama()
    embedded = base.get_input_embeddings()(ids)
    prompts = tensors["prompt_embeddings"].expand(len(ids), -1, -1)
    with torch.no_grad():
        expected = base(inputs_embeds=torch.cat([prompts, embedded], dim=1)).logits
        assert_close(model(input_ids=ids).logits, expected, rtol=0, atol=ROUNDING)


def test_prompts_of_the_vocabulary_are_rows_of_the_embedding(llama):
    spec = PromptTuningSpec(virtual_tokens=4, start="vocabulary")
    [prompts] = trained(spec.inject(llama(), seed=3)).values()
    rows = llama().get_input_embeddings().weight
    assert all((rows == prompt).all(dim=1).any() for prompt in prompts)
