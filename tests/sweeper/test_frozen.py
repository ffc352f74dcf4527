"""A base goes back to what it was, whatever was done to it."""

import pytest
import torch

from sweeper.frozen import Kept
from tests.sweeper import tiny


def snapshot(model):
    """Everything of a model that a trial could leave a trace in."""
    return {
        "tree": [(name, id(module), type(module)) for name, module in model.named_modules()],
        "attributes": [sorted(vars(module)) for module in model.modules()],
        "mode": [module.training for module in model.modules()],
        "hooks": [
            len(hooks)
            for module in model.modules()
            for name, hooks in vars(module).items()
            if "hooks" in name and hooks is not None
        ],
        "containers": [type(module._parameters) for module in model.modules()],
        "parameters": [
            (name, id(p), p.shape, p.dtype, p.requires_grad, p.grad, sorted(vars(p)))
            for name, p in model.named_parameters()
        ],
    }


@pytest.mark.parametrize("name", list(tiny.METHODS))
def test_an_adapter_leaves_no_trace(name):
    model = tiny.model()
    before, weights = snapshot(model), [p.clone() for p in model.parameters()]
    kept = Kept(model)
    adapted = tiny.METHODS[name].inject(model, seed=0)
    adapted.activation_checkpointing_enable({"use_reentrant": False})
    adapted.train()
    adapted.register_forward_hook(print)
    next(model.parameters()).requires_grad_(True)
    next(model.parameters()).grad = torch.zeros_like(next(model.parameters()))
    assert snapshot(model) != before
    kept.restore()
    assert snapshot(model) == before
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), weights, strict=True))


def test_a_base_is_put_back_from_the_middle_of_an_injection():
    model = tiny.model()
    before = snapshot(model)
    kept = Kept(model)
    model.model.layers[1].self_attn.q_proj = torch.nn.Identity()
    del model.model.layers[2].mlp.up_proj
    model.leftover = [1]
    kept.restore()
    assert snapshot(model) == before
    assert not kept.is_sharded


def test_questions_are_encoded_once_and_nested():
    base = tiny.base()
    few = base.questions(max_length=16, count=5)
    assert base.questions(max_length=16, count=5) is few
    assert len(few) == 5
    many = base.questions(max_length=16, count=12)
    prompts = [
        {q.candidates[0].ids[: q.candidates[0].answer_start] for q in found}
        for found in (few, many)
    ]
    assert prompts[0] < prompts[1]
    assert base.questions(max_length=16, count=1000) == base.questions(max_length=16)
    assert base.questions(max_length=16, split="test") != many
    assert base.train_tokens(16) is base.train_tokens(16)
