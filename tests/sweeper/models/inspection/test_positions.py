"""Rows that are longer than a model has positions for."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig, AutoModelForCausalLM

from sweeper.errors import BadInputError
from sweeper.models import EmbeddedModelSpec, FolderModelSpec
from sweeper.models.inspection.causality import small_model
from sweeper.models.inspection.positions import positions_of, require_positions
from tests.sweeper import tiny

SMALL = {"vocab_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 32}

# A family, how it names what it has, and how many tokens of a row that is.
TABLES: list[tuple[str, dict[str, Any], int]] = [
    ("opt", SMALL | {"max_position_embeddings": 64, "ffn_dim": 48, "word_embed_proj_dim": 32}, 64),
    ("gpt2", {"vocab_size": 40, "n_layer": 2, "n_head": 4, "n_embd": 32, "n_positions": 48}, 48),
    ("gptj", {"vocab_size": 40, "n_layer": 2, "n_head": 4, "n_embd": 32, "n_positions": 48,
              "rotary_dim": 4}, 48),
    ("gpt_neo", SMALL | {"max_position_embeddings": 40, "num_layers": 2, "num_heads": 4,
                         "attention_types": [[["global", "local"], 1]]}, 40),
    ("mpt", {"vocab_size": 40, "d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 48}, 48),
    # Positions begin after the pad token's.
    ("roberta", SMALL | {"max_position_embeddings": 42, "is_decoder": True, "pad_token_id": 1,
                         "intermediate_size": 48}, 40),
]  # fmt: skip


@pytest.mark.parametrize(("family", "settings", "positions"), TABLES, ids=[x[0] for x in TABLES])
def test_a_table_of_positions_has_an_end(
    family: str, settings: dict[str, Any], positions: int
) -> None:
    small = small_model(AutoConfig.for_model(family, **settings))
    assert small is not None
    require_positions(small, positions, subject="it")
    message = rf"max_length is \d+ but it has {positions} positions.*at most {positions}$"
    for length in (positions + 1, 200):
        with pytest.raises(BadInputError, match=message):
            require_positions(small, length, subject="it")


def test_virtual_tokens_take_positions_too() -> None:
    small = small_model(AutoConfig.for_model("opt", **TABLES[0][1]))
    assert small is not None
    require_positions(small, 44, virtual_tokens=20, subject="it")
    message = (
        r"max_length is 60 and a method puts 20 virtual tokens before each row, but it has 64 "
        r"positions.* at most 44$"
    )
    with pytest.raises(BadInputError, match=message):
        require_positions(small, 60, virtual_tokens=20, subject="it")


@pytest.mark.parametrize("family", ["llama", "bloom"])
def test_computed_positions_have_none(family: str, caplog: pytest.LogCaptureFixture) -> None:
    names = {"llama": SMALL | {"max_position_embeddings": 64}, "bloom": SMALL | {"n_head": 4}}
    small = small_model(AutoConfig.for_model(family, **names[family]))
    assert small is not None
    require_positions(small, 64, subject="it")
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        require_positions(small, 100, subject="it")
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == (family == "llama")
    assert all("was trained with: 64 positions" in text for text in told)


def test_declared_positions_have_many_names() -> None:
    for family, settings, positions in TABLES:
        declared = positions_of(AutoConfig.for_model(family, **settings).to_dict())
        assert declared == positions + 2 * (family == "roberta")
    assert positions_of({"text_config": {"max_position_embeddings": 9}, "n_ctx": 4}) == 9
    assert positions_of({"model_type": "mamba"}) is None


def test_a_folder_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    config = AutoConfig.for_model("opt", **TABLES[0][1], eos_token_id=2, bos_token_id=1)
    folder = tiny.saved(tmp_path, AutoModelForCausalLM.from_config(config))
    spec = FolderModelSpec(path=str(folder))
    spec.inspect(max_length=64)
    with pytest.raises(BadInputError, match=r"max_length is 65 but the model .* has 64 positions"):
        spec.inspect(max_length=65)


def test_the_embedded_model_warns_as_well(caplog: pytest.LogCaptureFixture) -> None:
    EmbeddedModelSpec().inspect(max_length=64)
    assert not caplog.records
    EmbeddedModelSpec().inspect(max_length=100_000)
    assert "the embedded model was trained with" in caplog.text
