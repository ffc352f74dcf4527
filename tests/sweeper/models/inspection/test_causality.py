"""Models that see later tokens are refused, before and after loading."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig

from sweeper.data import EmbeddedDataSpec
from sweeper.errors import BadInputError
from sweeper.models import FolderModelSpec
from sweeper.models.frozen import hold_base
from sweeper.models.inspection.causality import require_causal, small_model
from tests.sweeper import tiny

BERT = {
    "vocab_size": 20,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}


def _config(family: str, **settings: Any) -> PreTrainedConfig:
    return AutoConfig.for_model(family, **settings)


def test_an_encoder_in_the_place_of_a_decoder(tmp_path: Path) -> None:
    torch.manual_seed(0)
    made = AutoModelForCausalLM.from_config(_config("bert", **BERT))
    spec = FolderModelSpec(path=str(tiny.saved(tmp_path, made)))
    with pytest.raises(BadInputError, match=r"BertLMHeadModel\) is no causal .*see the answer"):
        spec.inspect(max_length=16)
    with pytest.raises(BadInputError, match=r"the loaded model .*is no causal language model"):
        hold_base(spec, EmbeddedDataSpec(), precision="fp32", device="cpu")


def test_the_same_as_a_decoder(tmp_path: Path) -> None:
    made = AutoModelForCausalLM.from_config(_config("bert", **BERT, is_decoder=True))
    FolderModelSpec(path=str(tiny.saved(tmp_path, made))).inspect(max_length=16)


def test_a_decoder_whose_configuration_lets_it_see_everything() -> None:
    config = tiny.model().config
    require_causal(tiny.model(), subject="it")
    config.is_causal = False
    small = small_model(config)
    assert small is not None
    with pytest.raises(BadInputError, match=r"it .*is no causal language model"):
        require_causal(small, subject="it")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_causal_model_in_each_precision(precision: str) -> None:
    require_causal(tiny.model(precision), subject="it")


@pytest.mark.parametrize(
    "family", ["llama", "falcon", "gptj", "gpt2", "opt", "mpt", "bloom", "gemma2", "mixtral", "phi"]
)
def test_a_large_model_is_asked_as_a_small_one(family: str) -> None:
    """The sizes are those of published models, of billions of parameters."""
    state = torch.random.get_rng_state()
    small = small_model(_config(family))
    assert small is not None
    assert small.num_parameters() < 60_000_000
    assert small.device.type == "cpu"
    require_causal(small, subject=family)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("family", ["roberta", "electra", "xlnet"])
def test_large_encoders_too(family: str) -> None:
    small = small_model(_config(family))
    assert small is not None
    with pytest.raises(BadInputError, match="is no causal language model"):
        require_causal(small, subject=family)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers(value: float) -> None:
    model = tiny.model()
    model.model.layers[1].mlp.up_proj.weight[3, 2] = value
    with pytest.raises(BadInputError, match=r"NaN or infinity in float32.*fetch the model again"):
        require_causal(model, subject="it")


def test_a_model_that_cannot_be_asked() -> None:
    model = tiny.model()
    del model.model.layers[1].mlp
    with pytest.raises(BadInputError, match="a forward pass of it cannot be read"):
        require_causal(model, subject="it")
