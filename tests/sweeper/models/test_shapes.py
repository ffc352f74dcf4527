"""Shapes: every causal family that PEFT maps targets of can be planned, with a right count."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from sweeper.errors import BadInputError
from sweeper.experiment.loading import load_sweep
from sweeper.models import shapes
from sweeper.models.reading import read_config
from sweeper.models.shapes import (
    facts_of,
    injection_problem,
    shape_of,
    skeleton,
    trainable_parameters,
)
from sweeper.preflight.plan import plan_of
from sweeper_adapters.methods import Linear, LoraSpec, Method


def _families() -> list[str]:
    from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as TARGETS
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL

    return [family for family in TARGETS if family in CAUSAL]


def _targets(family: str) -> tuple[str, ...]:
    from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as TARGETS

    targets = TARGETS[family]
    return ("q_proj", "v_proj") if isinstance(targets, str) else tuple(targets)


def _plan(folder: Path, family: str) -> Any:
    from transformers import AutoConfig

    AutoConfig.for_model(family).save_pretrained(folder / "model")
    method = {"name": "lora", "rank": 2, "targets": list(_targets(family))}
    space = {"name": "s", "methods": [method], "search": {"trials": 1, "asha": None}}
    train = {"steps": 4, "learning_rate": 1e-3, "max_length": 32}
    profile = {"name": "p", "model": {"kind": "folder", "path": str(folder / "model")}}
    profile |= {"data": {"kind": "embedded"}, "train": train}
    for name, content in (("space", space), ("profile", profile)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    return plan_of(load_sweep(folder / "space.yaml", profile=str(folder / "profile.yaml")))


# PEFT says of GPT-2's linear layer what it then does by itself.
@pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to False:UserWarning")
@pytest.mark.whole
def test_every_causal_family_of_peft_gets_a_plan(tmp_path: Path) -> None:
    import torch

    families = _families()
    assert len(families) > 25
    for family in families:
        folder = tmp_path / family
        folder.mkdir()
        plan = _plan(folder, family)
        config = read_config(folder / "model")
        with torch.device("meta"):
            adapted = LoraSpec(rank=2, targets=_targets(family)).inject(skeleton(config), seed=0)
        trained = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
        assert plan.trials[0].trainable == trained > 0, family
        assert plan.memory.activations_bytes > 0, family
        assert "lacks weights" in plan.missing, family


def test_the_linear_of_gpt2_counts() -> None:
    config = {"model_type": "gpt2", "vocab_size": 50, "n_embd": 16, "n_layer": 2, "n_head": 2}
    facts = facts_of(config)
    assert facts.shape.layers == 2
    assert Linear("c_attn", 16, 48) in facts.shape.linears
    assert Linear("attn.c_proj", 16, 16) in facts.shape.linears
    assert (facts.width, facts.inner, facts.vocabulary) == (16, 64, 50)


# PEFT tells that a Conv1D of GPT-2 stores its weights the other way round.
@pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to False but:UserWarning:peft")
def test_a_pattern_means_the_layers_by_their_names_in_the_model() -> None:
    config = {"model_type": "gpt2", "vocab_size": 50, "n_embd": 16, "n_layer": 2, "n_head": 2}
    pattern = {r"transformer\.h\.1\.attn\.c_attn": 3, "c_fc": 4}
    method = LoraSpec(rank=2, targets=("c_attn", "c_fc"), rank_pattern=pattern)
    shape = shape_of(config)
    assert method.problems(shape) == []
    assert method.count(shape) == (2 + 3) * (16 + 48) + 2 * 4 * (16 + 64)
    adapted = method.inject(skeleton(config), seed=0)
    assert method.count(shape) == sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    # One that the model's family does not have.
    [(field, _)] = LoraSpec(targets=("c_fc",), rank_pattern={"model.layers.*": 2}).problems(shape)
    assert field == "rank_pattern"


# Its layers are of four kinds; only one of them has attention.
MIXED = {
    "model_type": "nemotron_h",
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
}


def test_where_layers_differ_the_adapter_is_counted_as_it_is_built() -> None:
    facts = facts_of(MIXED)
    assert not facts.are_layers_alike
    method = LoraSpec(rank=2, targets=("q_proj",))
    (linear,) = (x for x in facts.shape.linears if x.is_named("q_proj"))
    layers = sum(
        name.endswith("q_proj") for name, _ in skeleton(MIXED).named_modules(remove_duplicate=False)
    )
    assert 0 < layers < facts.shape.layers
    expected = layers * 2 * (linear.in_features + linear.out_features)
    assert trainable_parameters(MIXED, method) == expected != method.count(facts.shape)


def test_a_copy_of_a_tied_layer_is_counted_without_a_word_of_peft() -> None:
    # Warnings of the libraries are errors here.
    method = LoraSpec(rank=2, targets=("q_proj",), modules_to_save=("lm_head",))
    head = LLAMA["vocab_size"] * LLAMA["hidden_size"]
    without = trainable_parameters(LLAMA, LoraSpec(rank=2, targets=("q_proj",)))
    tied = {**LLAMA, "tie_word_embeddings": True}
    assert trainable_parameters(tied, method) == without + head


LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}


@pytest.mark.parametrize(
    "changed",
    [
        {"hidden_size": "32"},
        {"hidden_size": -4},
        {"hidden_size": 10**30, "model_type": "gemma"},
        {"num_hidden_layers": 10**9, "model_type": "gemma"},
        {"num_hidden_layers": 0},
        {"num_attention_heads": None},
        {"model_type": ["llama"]},
        {"model_type": "t5"},
        {"model_type": "mine", "auto_map": {"AutoConfig": "code.Config"}},
    ],
    ids=json.dumps,
)
def test_values_that_are_none_of_a_model(changed: dict[str, Any]) -> None:
    with pytest.raises(BadInputError) as told:
        shape_of(LLAMA | changed)
    assert len(str(told.value)) < 600


def test_an_unknown_family_is_told_with_a_near_one_and_no_list() -> None:
    with pytest.raises(BadInputError, match=r"'lama': .*did you mean 'llama'\?") as told:
        shape_of({"model_type": "lama"})
    assert len(str(told.value)) < 250


# Families whose layers are named, fused or laid out unlike those of LLaMA.
_TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 64}
_GROUPED = {**_TINY, "intermediate_size": 64, "num_key_value_heads": 2, "head_dim": 8}
_EXPERTS = {
    **_GROUPED,
    "model_type": "qwen2_moe",
    "moe_intermediate_size": 16,
    "shared_expert_intermediate_size": 16,
    "num_experts": 4,
    "num_experts_per_tok": 2,
}
_SLIDING = ["sliding_attention", "full_attention"]
FAMILIES: dict[str, dict[str, Any]] = {
    "conv1d, fused": {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 4},
    "grouped queries": {**_GROUPED, "model_type": "qwen3"},
    "alternating layers": {**_GROUPED, "model_type": "gemma3_text", "layer_types": _SLIDING},
    "fused, one key": {**_TINY, "model_type": "falcon", "multi_query": True},
    "fused": {**_TINY, "model_type": "gpt_neox", "intermediate_size": 64},
    "fused gates": {**_GROUPED, "model_type": "phi3", "pad_token_id": 0},
}
# One of each way to share: none, over experts, over layers, over all layers of one size, over all.
SHARING = [
    {"name": "lora", "rank": 4},
    {"name": "hydralora", "rank": 4},
    {"name": "masa", "rank": 4, "experts": 2, "group_size": 2},
    {"name": "mosa", "groups": 16},
    {"name": "bslora"},
    {"name": "vblora", "vector_length": 8},
    {"name": "peft", "type": "vera", "r": 4},
]
_METHODS: TypeAdapter[Method] = TypeAdapter(Method)


@pytest.mark.parametrize("entry", SHARING, ids=lambda entry: entry["name"])
@pytest.mark.parametrize("targets", ["attention", "all-linear"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_method_without_a_problem_can_be_put_into_the_model(family, targets, entry) -> None:
    config = FAMILIES[family]
    facts = facts_of(config)
    method = _METHODS.validate_python({**entry, "targets": targets}).resolved(facts.shape)
    assert method.problems(facts.shape) == []
    assert injection_problem(config, method) == ""
    # PEFT sets fan_in_fan_out by itself, and says so.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        adapted = method.inject(skeleton(config), seed=0)
    trained = sum(x.numel() for x in adapted.parameters() if x.requires_grad)
    assert trained == trainable_parameters(config, method)


@pytest.mark.parametrize("entry", SHARING, ids=lambda entry: entry["name"])
def test_experts_whose_weights_are_stacked_are_told_before_anything_is_loaded(entry) -> None:
    shape = shape_of(_EXPERTS)

    def problem_of(*targets: str) -> str:
        method = _METHODS.validate_python({**entry, "targets": targets})
        # Its linear layers are there, so that the shape alone says nothing.
        assert method.problems(shape) == []
        return injection_problem(_EXPERTS, method)

    assert problem_of("q_proj", "shared_expert.up_proj") == ""
    message = problem_of("q_proj", "up_proj")
    assert message.startswith("target 'up_proj' speaks of more than linear layers: the stacked")
    assert message.endswith("or leave them out of targets")


def test_what_is_counted_by_formula_is_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "skeleton", None)
    assert injection_problem(LLAMA, _METHODS.validate_python({"name": "lora"})) == ""
