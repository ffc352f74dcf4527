"""Where our tuners put adapters, and what they say of places where they put none."""

import re

import pytest
import torch
from peft import get_peft_model

from tests.adapters.conftest import FEED_FORWARD, HIDDEN, VOCABULARY
from tests.adapters.passes import logits, trained
from tests.adapters.specs import each, is_ours, on

# Enough for a group of layers that share, and a shorter one.
LAYERS = 3


def config_on(spec, targets, **fields):
    config = spec.peft_config()
    config.target_modules = targets if isinstance(targets, str) else set(targets)
    for name, value in fields.items():
        setattr(config, name, value)
    return config


@each(is_ours)
@pytest.mark.parametrize(
    ("targets", "fields", "message"),
    [
        (
            ["q_proj", "gate_projj"],
            {},
            r"target 'gate_projj' matches no layer .* did you mean 'gate_proj'\?",
        ),
        (
            ["q_proj", "self_attn.up_proj", "mlp.v_proj"],
            {},
            r"target 'mlp.v_proj', 'self_attn.up_proj' matches no layer of the model; it",
        ),
        (
            ["q_proj"],
            {"layers_to_transform": [0, 7]},
            r"layers_to_transform has 7, .* index of no layer .* has, 0 to 2; take it out",
        ),
        (
            ["q_proj", "v_proj"],
            {"exclude_modules": {"1.self_attn.q_proj", "v_projj"}},
            r"exclude_modules has 'v_projj', which no module .* did you mean 'v_proj'\?",
        ),
        (
            ["q_proj"],
            {"modules_to_save": ["lm_head", "nrm"]},
            r"modules_to_save has 'nrm', which no module .* did you mean 'norm'\?",
        ),
    ],
    ids=["name", "parents", "index", "excluded", "saved"],
)
def test_what_is_there_in_part_is_refused_before_anything_changes(
    spec, targets, fields, message, llama, ids
):
    model = llama()
    before, modules = logits(model, ids), dict(model.named_modules())
    with pytest.raises(ValueError, match=message):
        get_peft_model(model, config_on(spec, targets, **fields))
    assert dict(model.named_modules()) == modules
    assert torch.equal(logits(model, ids), before)


@each(is_ours)
def test_a_second_adapter_is_refused_alike(spec, llama, ids):
    model = on(spec, "q_proj", "v_proj").inject(llama(), seed=0)
    before = logits(model, ids)
    with pytest.raises(ValueError, match=r"target 'gate_projj' matches no layer"):
        model.add_adapter("second", config_on(spec, ["q_proj", "gate_projj"]))
    assert list(model.peft_config) == ["default"]
    assert torch.equal(logits(model, ids), before)


@each(is_ours)
def test_a_pattern_says_itself_in_which_layers(spec):
    config = spec.peft_config()
    fields = config.to_dict() | {"target_modules": "q_proj", "layers_to_transform": [0]}
    fields = {name: fields[name] for name in type(config).__dataclass_fields__ if name in fields}
    del fields["peft_type"]
    with pytest.raises(ValueError, match=r"layers_to_transform is \[0\] .* leave one of the"):
        type(config)(**fields)


# Experts, whose weights transformers 5 stacks.


def build_mixture():
    """A mixture with a shared expert, whose layers are linear, beside stacked ones."""
    from transformers import Qwen2MoeConfig, Qwen2MoeForCausalLM

    config = Qwen2MoeConfig(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        intermediate_size=FEED_FORWARD,
        moe_intermediate_size=FEED_FORWARD,
        shared_expert_intermediate_size=FEED_FORWARD,
        num_experts=4,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        use_cache=False,
    )
    torch.manual_seed(11)
    return Qwen2MoeForCausalLM(config).eval()


STACKED = r"stacked weights of experts model\.layers\.\*\.mlp\.experts\.{} are no linear layers"


@each(is_ours)
@pytest.mark.parametrize(
    ("targets", "name"),
    [
        (["q_proj", "up_proj"], "gate_up_proj"),
        (["q_proj", "down_proj"], "down_proj"),
        (r".*\.(q_proj|down_proj)", "down_proj"),
        ("all-linear", "gate_up_proj, .*down_proj"),
    ],
    ids=["up", "down", "pattern", "all"],
)
def test_experts_without_an_adapter_are_told(spec, targets, name, recwarn):
    # Its one output is too few for some examples.
    fields = {"exclude_modules": r".*\.shared_expert_gate"} if targets == "all-linear" else {}
    model = get_peft_model(build_mixture(), config_on(spec, targets, **fields))
    told = [str(warning.message) for warning in recwarn if "stacked" in str(warning.message)]
    assert len(told) == 1
    assert re.search(STACKED.format(name), told[0])
    assert "PEFT's own LoraConfig adapts them, by target_parameters" in told[0]
    assert not any(".experts." in name for name in trained(model))


@each(is_ours)
def test_a_model_with_experts_is_adapted_without_a_word_where_they_are_not_meant(spec, recwarn):
    get_peft_model(build_mixture(), config_on(spec, ["q_proj", "shared_expert.up_proj"]))
    assert not [warning for warning in recwarn if "stacked" in str(warning.message)]


@each(is_ours)
def test_a_target_that_only_experts_have_is_refused(spec):
    message = rf"target 'gate_up_proj' matches no layer .*; the {STACKED.format('gate_up_proj')}"
    with pytest.raises(ValueError, match=message):
        get_peft_model(build_mixture(), config_on(spec, ["q_proj", "gate_up_proj"]))


# A trial is of one method among others: all of them adapt the same, or none.
@each(lambda spec: spec.adapts_layers)
def test_a_trial_is_refused_where_a_target_means_experts_too(spec):
    message = rf"target 'down_proj' speaks of more than .*{STACKED.format('down_proj')}.*'shared_e"
    with pytest.raises(ValueError, match=message):
        on(spec, "q_proj", "down_proj").inject(build_mixture(), seed=0)
