"""VB-LoRA in PEFT is the paper's, and its logits have their own learning rate."""

import pytest
import torch
from peft.tuners.vblora.layer import Linear as VBLoRALinear
from torch.testing import assert_close

from sweeper_adapters.methods import VbloraSpec
from tests.adapters.passes import finished, train, trained

# The same sums in another order, of values that are no larger than 1.
ROUNDING = 1e-6


def test_vblora_trains_its_logits_faster_than_its_bank(llama):
    spec = VbloraSpec(rank=2, vectors=6, vector_length=16, logits_learning_rate=7)
    model = spec.inject(llama(), seed=0)
    bank, logits_ = spec.training(model, steps=4).groups()
    assert (bank.learning_rate, logits_.learning_rate) == (1, 7)
    assert [tuple(p.shape) for p in bank.parameters] == [(6, 16)]
    assert {p.shape[-1] for p in logits_.parameters} == {6}
    assert len(bank.parameters) + len(logits_.parameters) == len(trained(model))


def test_a_piece_of_vblora_is_a_mean_of_the_vectors_with_the_largest_logits(llama):
    spec = VbloraSpec(rank=2, vectors=6, vector_length=8, top_k=3)
    model = train(spec.inject(llama(), seed=0))
    layers = (m for m in model.modules() if isinstance(m, VBLoRALinear))
    layer = next(layer for layer in layers if layer.out_features == 16)
    bank = layer.vblora_vector_bank["default"].detach()

    def piece(weights):
        chosen = sorted(range(6), key=lambda i: float(weights[i]))[-3:]
        total = sum(weights[i].exp() for i in chosen)
        return sum(weights[i].exp() / total * bank[i] for i in chosen)

    on_a = layer.vblora_logits_A["default"].detach()
    on_b = layer.vblora_logits_B["default"].detach()
    a = torch.stack([torch.cat([piece(x) for x in row]) for row in on_a])
    b = torch.stack([torch.cat([piece(on_b[i, r]) for i in range(2)]) for r in range(2)], dim=1)
    assert_close(layer.get_delta_weight("default"), b @ a, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("top_k", [1, 3])
def test_the_small_file_of_vblora_holds_what_is_chosen(top_k, llama, tmp_path):
    spec = VbloraSpec(rank=2, vectors=6, vector_length=8, top_k=top_k, saves_top_k=True)
    _, _, tensors = finished(spec, llama, torch.float32, tmp_path)
    kinds = {name.rpartition("_topk_")[2]: x for name, x in tensors.items() if "_topk_" in name}
    assert kinds["indices"].dtype == torch.uint8
    assert kinds["weights"].shape[-1] == top_k - 1
    assert not any("logits" in name and "_topk_" not in name for name in tensors)
