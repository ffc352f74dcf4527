"""Packed rows: how examples are dealt out, what a batch holds, and that models keep them apart."""

from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    RwkvConfig,
    RwkvForCausalLM,
)

from sweeper.data.tokens.encoding import IGNORED_LABEL, Tokens, collate
from sweeper.data.tokens.packing import pack, packed_rows, require_packable
from sweeper.errors import DataError
from sweeper.evaluation.likelihood import answer_logits

NONE = IGNORED_LABEL
SIZES: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
GPT2: dict[str, Any] = {
    "vocab_size": 50,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 64,
}
EAGER: dict[str, Any] = {**SIZES, "attn_implementation": "eager"}
WINDOW: dict[str, Any] = {**SIZES, "sliding_window": 5}
# The same sums in another order: matrices of other shapes.
ROUNDING = 2e-5


@pytest.mark.parametrize(
    ("lengths", "max_length", "rows"),
    [
        ([5], 8, [[0]]),
        # All of one length: a longer row would only make attention dearer.
        ([4, 4], 8, [[0], [1]]),
        ([2, 7, 5, 3], 9, [[1, 0], [2, 3]]),
        # One row has no padding, and attention over 12 tokens costs next to nothing.
        ([2, 7, 3], 16, [[1, 2, 0]]),
        ([8, 8, 1], 8, [[0], [1], [2]]),
    ],
)
def test_layouts(lengths, max_length, rows):
    assert packed_rows(lengths, max_length) == rows


def test_a_long_row_is_not_worth_a_little_padding():
    lengths = [1000, 990, 1000, 990]
    assert len(packed_rows(lengths, 4000)) == 4


@given(st.lists(st.integers(1, 40), min_size=1, max_size=20), st.integers(40, 200))
def test_each_example_has_one_place_and_no_more_is_computed(lengths, max_length):
    rows = packed_rows(lengths, max_length)
    assert sorted(index for row in rows for index in row) == list(range(len(lengths)))
    longest = max(sum(lengths[index] for index in row) for row in rows)
    assert longest <= max_length
    assert len(rows) * longest <= len(lengths) * max(lengths)


def test_batch():
    examples = [
        Tokens(ids=(1, 4, 5, 2), answer_start=2),
        Tokens(ids=(1, 6, 2), answer_start=1, domain=3),
        # Its first token could be predicted by the example before it only.
        Tokens(ids=(7, 2), answer_start=0),
        Tokens(ids=(1, 8, 9, 9, 2), answer_start=3),
    ]
    batch = pack(examples, 0, max_length=8)
    assert {name: tensor.tolist() for name, tensor in batch.items()} == {
        "input_ids": [[1, 8, 9, 9, 2, 7, 2], [1, 4, 5, 2, 1, 6, 2]],
        "position_ids": [[0, 1, 2, 3, 4, 0, 1], [0, 1, 2, 3, 0, 1, 2]],
        "labels": [[NONE, NONE, NONE, 9, 2, NONE, 2], [NONE, NONE, 5, 2, NONE, 6, 2]],
        "domains": [0, 0],
    }
    assert {tensor.dtype for tensor in batch.values()} == {torch.int64}


def test_padding_is_apart_from_the_last_example():
    examples = [Tokens(ids=(1, 4, 5, 6, 2), answer_start=2), Tokens(ids=(1, 6, 2), answer_start=1)]
    batch = pack(examples, 0, max_length=5)
    assert batch["position_ids"].tolist() == [[0, 1, 2, 3, 4], [0, 1, 2, 0, 1]]
    assert batch["labels"].tolist() == [[NONE, NONE, 5, 6, 2], [NONE, 6, 2, NONE, NONE]]


MODELS = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES)),
    "llama-eager": lambda: LlamaForCausalLM(LlamaConfig(**EAGER)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZES)),
    "mistral-window": lambda: MistralForCausalLM(MistralConfig(**WINDOW)),
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(**GPT2)),
}


def made(name):
    torch.manual_seed(5)
    model = MODELS[name]().eval()
    for parameter in model.parameters():
        # As they are drawn, attention would be so even that it hardly mattered.
        if parameter.dim() == 2:
            parameter.data *= 4
    return model


def examples_of(count=7):
    generator = torch.Generator().manual_seed(3)
    found = []
    for number in range(count):
        length = int(torch.randint(3, 20, (), generator=generator))
        ids = torch.randint(0, 50, (length,), generator=generator).tolist()
        found.append(Tokens(ids=tuple(ids), answer_start=number % 3))
    return found


def loss_and_gradients(model, batch):
    def forward(*, domains, **inputs):
        return model(**inputs, use_cache=False).logits

    model.zero_grad()
    logits, labels = answer_logits(forward, batch)
    loss = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
    loss.backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return float(loss.detach()), gradients, len(labels)


@pytest.mark.parametrize("name", list(MODELS))
@pytest.mark.parametrize("max_length", [20, 33, 64])
def test_loss_and_gradients_are_those_of_the_examples_alone(name, max_length):
    model, examples = made(name), examples_of()
    packed = pack(examples, 9, max_length=max_length)
    assert len(packed["input_ids"]) < len(examples)
    found, gradients, answers = loss_and_gradients(model, packed)
    wanted, others, count = loss_and_gradients(model, collate(examples, 9))
    assert answers == count == sum(len(t.ids) - max(1, t.answer_start) for t in examples)
    assert found == pytest.approx(wanted, rel=ROUNDING)
    assert gradients.keys() == others.keys()
    for key, gradient in others.items():
        scale = float(gradient.abs().max())
        torch.testing.assert_close(
            gradients[key],
            gradient,
            rtol=0,
            atol=ROUNDING * scale,
            msg=partial("{}: {}".format, key),
        )


@pytest.mark.parametrize("name", list(MODELS))
def test_no_example_sees_another(name):
    model = made(name)
    ids = torch.arange(24)[None] % 50
    positions = torch.cat([torch.arange(14), torch.arange(10)])[None]
    changed = ids.clone()
    changed[:, :14] = 3
    with torch.no_grad():
        one, other = (
            model(input_ids=x, position_ids=positions, use_cache=False).logits[:, 14:]
            for x in (ids, changed)
        )
    assert torch.equal(one, other)


@pytest.mark.parametrize("name", list(MODELS))
def test_models_that_keep_examples_apart_are_accepted(name):
    require_packable(made(name))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_rounding_is_no_difference(dtype):
    require_packable(made("llama").to(dtype))


def bloom():
    sizes: dict[str, Any] = {"vocab_size": 50, "hidden_size": 32, "n_layer": 2, "n_head": 4}
    return BloomForCausalLM(BloomConfig(**sizes))


def rwkv():
    sizes: dict[str, Any] = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 2}
    return RwkvForCausalLM(RwkvConfig(**sizes))


def leaking():
    """A LLaMA that is asked for positions, but whose attention sees all."""
    model = made("llama")
    original = model.forward
    model.forward = lambda position_ids, input_ids, use_cache: original(
        input_ids, position_ids=position_ids, attention_mask=torch.ones_like(input_ids)
    )
    return model


@pytest.mark.parametrize("make", [bloom, rwkv, leaking])
def test_a_model_that_mixes_examples_is_refused(make):
    torch.manual_seed(0)
    with pytest.raises(DataError, match=r"packing is true, but .* does not keep several examples"):
        require_packable(make().eval())
