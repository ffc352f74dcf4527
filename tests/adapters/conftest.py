"""A LLaMA of 50,000 parameters, built from its config."""

from functools import cache, partial

import pytest
import torch

from sweeper_adapters.methods import Linear, ModelShape

LAYERS = 5
HIDDEN, KEY_VALUE, FEED_FORWARD, VOCABULARY = 32, 16, 48, 64


def build_llama(dtype=torch.float32, *, layers=LAYERS):
    # Imported here: it takes seconds, and the tests of the specs do without.
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        intermediate_size=FEED_FORWARD,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        use_cache=False,
    )
    torch.manual_seed(11)
    return LlamaForCausalLM(config).to(dtype).eval()


@cache
def build_shape(layers):
    linears = (
        Linear("q_proj", HIDDEN, HIDDEN, path="self_attn.q_proj"),
        Linear("k_proj", HIDDEN, KEY_VALUE, path="self_attn.k_proj"),
        Linear("v_proj", HIDDEN, KEY_VALUE, path="self_attn.v_proj"),
        Linear("o_proj", HIDDEN, HIDDEN, path="self_attn.o_proj"),
        Linear("gate_proj", HIDDEN, FEED_FORWARD, path="mlp.gate_proj"),
        Linear("up_proj", HIDDEN, FEED_FORWARD, path="mlp.up_proj"),
        Linear("down_proj", FEED_FORWARD, HIDDEN, path="mlp.down_proj"),
    )
    total = sum(parameter.numel() for parameter in build_llama(layers=layers).parameters())
    return ModelShape(layers, linears, total)


@pytest.fixture
def layers(request):
    """How many layers the model has: LAYERS of the test's module, else of this one."""
    return getattr(request.module, "LAYERS", LAYERS)


@pytest.fixture
def llama(layers):
    """Returns the function that builds the model: always the same weights."""
    return partial(build_llama, layers=layers)


@pytest.fixture
def shape(layers):
    return build_shape(layers)


@pytest.fixture(scope="session")
def ids():
    return torch.randint(VOCABULARY, (2, 9), generator=torch.Generator().manual_seed(5))
