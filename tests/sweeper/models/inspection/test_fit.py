"""Weights of a checkpoint against its model, before the load and in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from sweeper.errors import BadInputError
from sweeper.models import FolderModelSpec
from sweeper.models.inspection import require_alone
from sweeper.models.source import load_pretrained
from tests.sweeper import tiny

Tensors = dict[str, torch.Tensor]


def _changed(folder: Path, change: Callable[[Tensors], Tensors]) -> Path:
    tiny.saved(folder)
    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path, metadata={"format": "pt"})
    return folder


def _set(folder: Path, **settings: Any) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    return folder


def _without(tensors: Tensors, end: str) -> Tensors:
    return {name: x for name, x in tensors.items() if not name.endswith(end)}


def _reshaped(tensors: Tensors) -> Tensors:
    name = "model.layers.1.mlp.up_proj.weight"
    return tensors | {name: tensors[name][:-1].contiguous()}


CHANGES: dict[str, tuple[Callable[[Tensors], Tensors], str]] = {
    "another prefix": (
        lambda tensors: {f"base_model.model.{name}": x for name, x in tensors.items()},
        r"weights missing .*weights unexpected",
    ),
    "one missing": (lambda tensors: _without(tensors, "1.mlp.up_proj.weight"), "1 weight missing"),
    "norms missing": (lambda tensors: _without(tensors, "layernorm.weight"), "6 weights missing"),
    "one more": (lambda tensors: tensors | {"extra.weight": torch.ones(2)}, "1 weight unexpected"),
    "of another shape": (_reshaped, "1 weight of another shape"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_weights_that_are_not_the_models(tmp_path: Path, name: str) -> None:
    change, message = CHANGES[name]
    folder = _changed(tmp_path, change)
    for ask in (
        lambda: FolderModelSpec(path=str(folder)).inspect(max_length=16),
        lambda: load_pretrained(folder, dtype="fp32"),
    ):
        with pytest.raises(BadInputError, match=message) as told:
            ask()
        assert len(str(told.value)) < 1000


def test_quantised_weights_whose_configuration_says_nothing_of_it(tmp_path: Path) -> None:
    def change(tensors: Tensors) -> Tensors:
        name = "model.layers.1.mlp.up_proj.weight"
        return tensors | {name: (100 * tensors[name]).to(torch.int8)}

    folder = _changed(tmp_path, change)
    with pytest.raises(BadInputError, match=r"1 weight of .* \(of int8: .*up_proj\.weight\)"):
        FolderModelSpec(path=str(folder)).inspect(max_length=16)


def test_an_output_layer_that_is_not_there(tmp_path: Path) -> None:
    folder = _set(tiny.saved(tmp_path), tie_word_embeddings=False)
    spec = FolderModelSpec(path=str(folder))
    for ask in (lambda: spec.inspect(max_length=16), lambda: spec.load("fp32")):
        with pytest.raises(BadInputError, match=r"1 weight missing \(lm_head\.weight\)"):
            ask()


def test_other_numbers_of_layers(tmp_path: Path) -> None:
    spec = FolderModelSpec(path=str(_set(tiny.saved(tmp_path), num_hidden_layers=2)))
    with pytest.raises(BadInputError, match="9 weights unexpected"):
        spec.inspect(max_length=16)
    _set(tmp_path, num_hidden_layers=4)
    with pytest.raises(BadInputError, match="9 weights missing"):
        spec.inspect(max_length=16)


def test_what_transformers_leaves_out_is_no_fault(tmp_path: Path) -> None:
    """Tied weights, weights without the model's prefix, and a buffer that is computed."""

    def change(tensors: Tensors) -> Tensors:
        bare = {name.removeprefix("model."): x for name, x in tensors.items()}
        return bare | {"layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}

    folder = _changed(tmp_path, change)
    assert not any("lm_head" in name for name in load_file(folder / "model.safetensors"))
    spec = FolderModelSpec(path=str(folder))
    spec.inspect(max_length=16)
    loaded = spec.load("fp32").model
    for name, weight in tiny.model().named_parameters():
        assert torch.equal(loaded.get_parameter(name), weight)


def test_weights_that_transformers_merges(tmp_path: Path) -> None:
    """Experts are saved one by one, and held in one tensor."""
    from transformers import AutoModelForCausalLM, MixtralConfig

    config = MixtralConfig(
        vocab_size=64, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, num_local_experts=3,
    )  # fmt: skip
    folder = tiny.saved(tmp_path, AutoModelForCausalLM.from_config(config))
    names = load_file(folder / "model.safetensors")
    assert any(".experts.2." in name for name in names)
    FolderModelSpec(path=str(folder)).inspect(max_length=16)


def test_nothing_is_said_of_a_load_that_fits(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    spec = FolderModelSpec(path=str(tiny.saved(tmp_path)))
    capfd.readouterr()
    spec.inspect(max_length=16)
    assert "".join(capfd.readouterr()) == ""


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "its weights are not quantised"),
        ({"quant_method": "fp8"}, "quantisation|quantised|quantization_config"),
        ({"quant_method": "gptq", "bits": 4, "group_size": 32}, "quantization_config"),
        ({"quant_method": "no such"}, "quantization_config of .* cannot be read"),
        ({}, "quantization_config of .* cannot be read"),
    ],
)
def test_quantised_in_name_only(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    folder = _set(tiny.saved(tmp_path), quantization_config=settings)
    with pytest.raises(BadInputError, match=message):
        FolderModelSpec(path=str(folder)).inspect(max_length=16)


def test_an_attached_adapter_is_noticed_after_a_load() -> None:
    model = tiny.model()
    require_alone(model, subject="the model")
    from peft import LoraConfig

    model.add_adapter(LoraConfig(target_modules=["q_proj"]))
    with pytest.raises(BadInputError, match="comes with a PEFT adapter"):
        require_alone(model, subject="the model")
