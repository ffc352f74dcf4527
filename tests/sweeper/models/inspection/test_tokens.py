"""Ids of a tokenizer against the rows of the embedding."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from sweeper.errors import BadInputError
from sweeper.models import EmbeddedModelSpec, FolderModelSpec, LoadedModel
from sweeper.models.embedded import MODEL_FOLDER
from sweeper.models.inspection.tokens import embedding_rows, require_no_rowless
from tests.sweeper import tiny


def _saved(folder: Path, **added: Any) -> FolderModelSpec:
    tiny.saved(folder)
    tokenizer = tiny.tokenizer()
    if "tokens" in added:
        tokenizer.add_tokens(added["tokens"])
    if "special" in added:
        tokenizer.add_special_tokens(added["special"])
    tokenizer.save_pretrained(folder)
    return FolderModelSpec(path=str(folder))


def test_words_that_were_added_without_rows(tmp_path: Path) -> None:
    spec = _saved(tmp_path, tokens=["seven", "eight"])
    rows = tiny.model().config.vocab_size
    message = rf"has ids up to {rows + 1}, but the model has {rows} rows .*'seven', 'eight'"
    for ask in (lambda: spec.inspect(max_length=16), lambda: spec.load("fp32")):
        with pytest.raises(BadInputError, match=message):
            ask()


def test_an_end_of_text_token_without_a_row(tmp_path: Path) -> None:
    spec = _saved(tmp_path, special={"eos_token": "<end>"})
    with pytest.raises(BadInputError, match="'<end>' would be out of range"):
        spec.inspect(max_length=16)


def _padded(loaded: LoadedModel) -> PreTrainedTokenizerBase:
    return loaded.tokenizer


def test_a_pad_token_without_a_row_is_replaced(tmp_path: Path) -> None:
    """It is masked in any case, so any token would do."""
    spec = _saved(tmp_path, special={"pad_token": "[PAD]"})
    rows = tiny.model().config.vocab_size
    assert AutoTokenizer.from_pretrained(tmp_path).pad_token_id == rows
    left = spec.inspect(max_length=16)
    tokenizer = _padded(spec.load("fp32"))
    assert tokenizer.pad_token_id == tokenizer.eos_token_id < rows
    left.require(["1+1=2"])
    with pytest.raises(BadInputError, match=r"contains the special token '\[PAD\]'"):
        left.require(["1+1=2", "a [PAD] b"])


def test_special_tokens_without_rows_are_refused_where_the_data_has_them(tmp_path: Path) -> None:
    spec = _saved(tmp_path, special={"additional_special_tokens": ["<image>"]})
    left = spec.inspect(max_length=16)
    assert left.rowless == ("<image>",)
    left.require(["image", "<imag e>"])
    with pytest.raises(BadInputError, match=r"'<image>', for which the model .* has no row"):
        left.require(["see <image>"])


def test_without_such_tokens_no_text_is_read() -> None:
    def texts():
        raise AssertionError
        yield ""

    require_no_rowless(texts(), (), subject="it")


def test_no_end_of_text_token(tmp_path: Path) -> None:
    tiny.saved(tmp_path)
    path = tmp_path / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    del settings["eos_token"]
    path.write_text(json.dumps(settings))
    with pytest.raises(BadInputError, match="has no end-of-text token"):
        FolderModelSpec(path=str(tmp_path)).inspect(max_length=16)


def test_the_embedded_model_passes_what_it_is_spared() -> None:
    """It is not looked at in full before each sweep, because this test has done so."""
    left = FolderModelSpec(path=str(MODEL_FOLDER)).inspect(max_length=64)
    assert left.rowless == EmbeddedModelSpec().inspect(max_length=64).rowless == ()
    assert (
        embedding_rows(EmbeddedModelSpec().load("fp32").model)
        == EmbeddedModelSpec().facts().vocabulary
    )
