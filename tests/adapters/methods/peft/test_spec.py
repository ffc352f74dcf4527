"""A type of PEFT as a method of a file: its fields, their errors, and what a trial has of them."""

import subprocess
import sys
from dataclasses import replace

import pytest
from pydantic import TypeAdapter, ValidationError

from sweeper_adapters.methods import (
    Linear,
    Method,
    ModelShape,
    PeftSpec,
    label_of,
    size_fields_of,
)
from tests.adapters.shapes import LLAMA3_8B, TINY

Q_PROJ = Linear("q_proj", 4096, 4096, path="self_attn.q_proj")


def spec(**fields):
    return TypeAdapter(Method).validate_python({"name": "peft", **fields})


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        (
            {"type": "VERRA"},
            "type",
            r"unknown type 'VERRA' of PEFT; .* mean 'VERA'\?",
        ),
        ({"type": "XLORA"}, "type", r"XLORA is not trained here: it weighs adapters that"),
        ({"type": "ADALORA"}, "type", r"use \{name: adalora\}"),
        ({"type": "VERA", "rr": 8}, "rr", r"unknown field 'rr' of VERA; known: .*, r, .*'r'\?"),
        ({"type": "VERA", "r": "8"}, "r", r"got '8'; r of VERA takes a whole number; write one"),
        ({"type": "VERA", "r": True}, "r", r"got True; r of VERA takes a whole number"),
        ({"type": "VERA", "r": 8.5}, "r", r"got 8\.5; r of VERA takes a whole number"),
        ({"type": "ROAD", "variant": "x"}, "variant", r"takes road_1 or road_2 or road_4; write"),
        ({"type": "VERA", "target_modules": ["q_proj"]}, "target_modules", r"write targets"),
        ({"type": "VERA", "bias": "all"}, "bias", r"the next trial would find changed"),
        ({"type": "LORA", "init_lora_weights": "pissa"}, "init_lora_weights", r"use pissa"),
        ({"type": "LORA", "eva_config": {"rho": 2}}, "eva_config", r"a pass over the data"),
        ({"type": "PROMPT_TUNING"}, "num_virtual_tokens", r"is missing; PROMPT_TUNING needs it"),
        (
            {"type": "PROMPT_TUNING", "num_virtual_tokens": 3, "targets": ["q_proj"]},
            "targets",
            r"adapts no layers that could be chosen; leave targets out",
        ),
        (
            {"type": "P_TUNING", "num_virtual_tokens": 2, "encoder_hidden_size": -1},
            "encoder_hidden_size",
            r"got -1; encoder_hidden_size of P_TUNING is 1 or more; change it",
        ),
        (
            {"type": "P_TUNING", "num_virtual_tokens": 2, "encoder_dropout": 1.5},
            "encoder_dropout",
            r"got 1\.5; encoder_dropout of P_TUNING is 0 to 1; change it",
        ),
        (
            {"type": "PROMPT_TUNING", "num_virtual_tokens": -3},
            "num_virtual_tokens",
            r"got -3; num_virtual_tokens of PROMPT_TUNING is 1 or more",
        ),
        (
            {"type": "PROMPT_TUNING", "num_virtual_tokens": 3, "prompt_tuning_init": "TEXT"},
            "prompt_tuning_init",
            r"got 'TEXT'; allowed here is 'RANDOM', 'SAMPLE_VOCAB': TEXT needs a tokenizer",
        ),
        (
            {"type": "TRAINABLE_TOKENS", "token_indices": [5, 6, 5]},
            "token_indices",
            r"5 stands there more than once; a token is trained once",
        ),
    ],
)
def test_what_is_wrong_is_told_at_its_field(fields, field, message):
    with pytest.raises(ValidationError, match=message) as caught:
        spec(**fields)
    assert [error["loc"] for error in caught.value.errors()] == [("peft", field)]


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(ValidationError) as caught:
        spec(type="VERA", rr=3, d_initial="x", bias="all")
    assert {error["loc"][-1] for error in caught.value.errors()} == {"rr", "d_initial", "bias"}


def test_a_type_that_is_not_given_is_missing():
    with pytest.raises(ValidationError, match="type\n  Field required"):
        spec(r=8)


def test_a_trial_has_the_defaults_of_peft():
    plain = spec(type="vera")
    assert plain == spec(type="VERA", r=256, d_initial=0.1, vera_dropout=0)
    written = plain.model_dump(mode="json")
    assert written["type"] == "VERA"
    assert written["r"] == 256
    assert written["targets"] == list(plain.targets)
    assert len(plain.targets) == 7
    # What says nothing is not written; what does is there once, in one form.
    assert "layers_to_transform" not in written
    assert type(written["vera_dropout"]) is float
    assert PeftSpec.model_validate(written) == plain
    assert plain.parameters()["r"] == 256


def test_its_name_has_the_type():
    assert spec(type="vera").label == label_of({"name": "peft", "type": "VERA"}) == "peft_vera"
    assert label_of({"name": "lora", "type": "VERA"}) == "lora"
    assert size_fields_of({"name": "peft", "type": "vera"}) == ("r",)
    assert size_fields_of({"name": "peft", "type": "ia3"}) == ()
    assert size_fields_of({"name": "nonesuch"}) == ()


def test_a_size_that_a_model_cannot_have_is_a_problem():
    [(field, message)] = spec(type="LORA", r=17).problems(TINY)
    assert field == "r"
    assert message == "r is 17; allowed on this model is 1 to 16; change it"
    [(field, message)] = spec(type="C3A", block_size=7).problems(TINY)
    assert field == "block_size"
    assert message.startswith("PEFT cannot build C3A on the model's layers: ValueError: ")
    [(field, message)] = spec(type="VERA", targets=["q_pro"]).problems(TINY)
    assert "did you mean 'q_proj'?" in message


def test_peft_s_lora_counts_as_lora_does_on_a_large_model():
    assert spec(type="LORA", r=8).count(LLAMA3_8B) == 20_971_520
    fewer = spec(type="LORA", r=8, layers_to_transform=[0, 5])
    assert fewer.count(LLAMA3_8B) == 20_971_520 // 16


def test_a_rank_of_one_layer_alone_is_counted_once():
    plain = spec(type="LORA", r=8)
    inputs, outputs = 4096, 4096
    for layer in (0, 1, 9):
        other = spec(type="LORA", r=8, rank_pattern={f"layers.{layer}.self_attn.q_proj": 16})
        # The shape's layers are found by the last part of their names; PEFT's by the whole.
        named = replace(LLAMA3_8B, layers=10, linears=(Q_PROJ,))
        only = {"targets": ("q_proj",)}
        more = other.model_copy(update=only).count(named)
        assert more - plain.model_copy(update=only).count(named) == 8 * (inputs + outputs)


def test_layers_that_are_chosen_are_those_of_the_model():
    for layers in ([1], [3], 2, [0, 1, 2, 3]):
        assert spec(type="LORA", r=4, layers_to_transform=layers).problems(TINY) == []
    for layers, wrong in (([0, 99], "99"), ([0, -1], "-1"), (4, "4"), ([4, 5], "4, 5")):
        [(field, message)] = spec(type="VERA", layers_to_transform=layers).problems(TINY)
        assert field == "layers_to_transform"
        assert f"has {wrong} but the model has 4 layers; allowed is 0 to 3" in message


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        (
            {"type": "ADAPTION_PROMPT", "adapter_len": 2, "adapter_layers": 5},
            "adapter_layers",
            "adapter_layers is 5 but the model has 4 layers; allowed is 1 to 4",
        ),
        (
            {"type": "TRAINABLE_TOKENS", "token_indices": [7, 99, -1, 100]},
            "token_indices",
            "token_indices has -1, 100 but the model has 100 rows of tokens; allowed is 0 to 99",
        ),
        (
            {
                "type": "GLORA",
                "r": 4,
                **dict.fromkeys(("config_A_B", "config_C", "config_D_E"), "none"),
            },
            "type",
            "GLORA with these fields trains no parameter",
        ),
    ],
)
def test_what_a_model_does_not_have_is_a_problem(fields, field, message):
    [(found, text)] = spec(**fields).problems(replace(TINY, vocabulary=100))
    assert found == field
    assert message in text


@pytest.mark.parametrize("group", ["all-linear", "mlp", ["attention", "down_proj"]])
def test_a_group_is_the_method_that_its_names_written_out_are(group):
    shape = ModelShape(
        layers=2,
        linears=(
            Linear("q_proj", 32, 32, path="self_attn.q_proj"),
            Linear("up_proj", 32, 48, path="mlp.up_proj"),
            Linear("down_proj", 48, 32, path="mlp.down_proj"),
        ),
        total_parameters=50_000,
    )
    grouped = spec(type="IA3", targets=group).resolved(shape)
    written = spec(type="IA3", targets=grouped.targets)
    assert grouped == written
    assert grouped.peft_config() == written.peft_config()
    assert grouped.fields["feedforward_modules"] == ["down_proj"]
    none = spec(type="IA3", targets=group, feedforward_modules=[]).resolved(shape)
    assert none.fields["feedforward_modules"] == []


def test_what_starts_otherwise_is_put_back_with_care():
    assert not spec(type="MISS").changes_base
    assert spec(type="MISS", init_weights="bat").changes_base
    assert spec(type="MISS", init_weights="bat").start_tolerance is None


def test_reading_one_imports_neither_torch_nor_peft():
    code = """
import sys
from sweeper_adapters.methods import PeftSpec
PeftSpec(type="VERA", r=4).label
assert not {"torch", "peft"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
