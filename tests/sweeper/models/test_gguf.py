"""GGUF files: whole ones give the model that was written, others a message."""

from __future__ import annotations

from pathlib import Path

import gguf
import pytest
import torch

from sweeper.errors import BadInputError
from sweeper.models import GgufModelSpec
from tests.sweeper import tiny
from tests.sweeper.full_disk import small_files

LAYER = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
OTHER = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
}


def _name(parameter: str) -> str:
    if parameter in OTHER:
        return OTHER[parameter]
    _, _, index, rest = parameter.split(".", 3)
    return f"blk.{index}.{LAYER[rest.removesuffix('.weight')]}.weight"


def _written(path: Path, *, without: str = "") -> GgufModelSpec:
    """The tiny model in a GGUF file, without one of its tensors."""
    model = tiny.model()
    config, writer = model.config, gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads or config.num_attention_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(config.vocab_size)
    vocabulary = tiny.tokenizer().get_vocab()
    # A merge needs the token that it makes.
    tokens = [*sorted(vocabulary, key=vocabulary.__getitem__)[:-1], "12"]
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_merges(["1 2"])
    writer.add_token_types([gguf.TokenType.NORMAL] * len(tokens))
    for add, token in ((writer.add_bos_token_id, 1), (writer.add_eos_token_id, 2)):
        add(token)
    for name, weight in model.named_parameters():
        # Rotary halves are interleaved there; equal rows are the same either way.
        if (there := _name(name)) != without:
            writer.add_tensor(there, torch.full_like(weight, 0.5).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return GgufModelSpec(package=None, file=str(path), architecture=None)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SWEEPER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "gguf"


def test_a_whole_file(tmp_path: Path) -> None:
    spec = _written(tmp_path / "x.gguf")
    assert spec.shape().total_parameters == tiny.model().num_parameters()
    spec.inspect(max_length=32)
    loaded = spec.load("fp32").model
    assert loaded.num_parameters() == tiny.model().num_parameters()
    assert all(bool((weight == 0.5).all()) for weight in loaded.parameters())
    # Of the copy that it has written it looks at everything.
    spec.inspect(max_length=32)


def test_a_cut_file(tmp_path: Path) -> None:
    spec = _written(tmp_path / "x.gguf")
    path = Path(spec.file)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    for ask in (lambda: spec.inspect(max_length=32), lambda: spec.load("fp32")):
        with pytest.raises(BadInputError, match=r"x\.gguf cannot be read .*fetch the file again"):
            ask()


@pytest.mark.parametrize("most", [300, 20_000])
def test_a_cache_without_room(tmp_path: Path, cache: Path, most: int) -> None:
    spec = _written(tmp_path / "x.gguf")
    message = rf"copy of .*x\.gguf cannot be written to {cache} .*File too large.*SWEEPER_CACHE"
    with small_files(most), pytest.raises(BadInputError, match=message):
        spec.load("fp32")
    assert not list(cache.iterdir())


def test_a_file_without_one_of_its_tensors(tmp_path: Path, cache: Path) -> None:
    spec = _written(tmp_path / "x.gguf", without="blk.1.ffn_up.weight")
    with pytest.raises(BadInputError, match=r"1 weight missing \(model\.layers\.1\.mlp\.up_proj"):
        spec.load("fp32")
    assert not list(cache.iterdir())
