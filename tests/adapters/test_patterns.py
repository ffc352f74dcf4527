"""Patterns of ranks and alphas mean what they mean in PEFT, and are counted, sized and refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from peft import HiraConfig, LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from peft.utils.other import get_pattern_key
from pydantic import ValidationError
from torch.testing import assert_close

from sweeper_adapters import LoraGaConfig
from sweeper_adapters._patterns import value_of
from sweeper_adapters.methods import (
    DoraSpec,
    HiraSpec,
    LoraGaSpec,
    LoraProSpec,
    LoraSpec,
    MasaSpec,
    PeftSpec,
    PissaSpec,
    QloraSpec,
)
from tests.adapters.passes import gradients, logits, train, trained
from tests.adapters.specs import UNION

LAYERS = 3
RANKS = {"q_proj": 2, r"layers\.0\..*down_proj": 6, r"layers\.[12]\.mlp\.down_proj": 3}
ALPHAS = {"[kq]_proj": 5, r"model\.layers\.1\.self_attn\.o_proj": 7}
TARGETS = ("q_proj", "k_proj", "o_proj", "down_proj")
PATTERNS: dict[str, Any] = {"rank_pattern": RANKS, "alpha_pattern": ALPHAS}
FAMILY = (LoraSpec, DoraSpec, PissaSpec, QloraSpec, LoraProSpec)

# A scale in float32, and the sum of a LoRA of twice the rank.
ROUNDING = 1e-5

LORA: dict[str, Any] = {
    "r": 4,
    "lora_alpha": 16,
    "target_modules": list(TARGETS),
    "task_type": "CAUSAL_LM",
    **PATTERNS,
}


@pytest.mark.parametrize(
    "key",
    [
        "q_proj",
        "proj",
        "self_attn.q_proj",
        r"layers\.1\..*",
        r".*q_proj",
        "q_proj|k_proj",
        "model.layers.1.self_attn.q_proj",
        "^model.layers.1.self_attn.q_proj",
        "1.self_attn.q_proj",
        "",
    ],
)
def test_a_key_means_the_layers_that_it_means_in_peft(key):
    names = [
        f"model.layers.{layer}.{name}"
        for layer in (0, 1, 11)
        for name in ("self_attn.q_proj", "self_attn.k_proj", "mlp.q_proj", "mlp.my_q_proj")
    ]
    pattern = {key: 3, "k_proj": 5}
    theirs = [pattern.get(get_pattern_key(list(pattern), name), 8) for name in names]
    assert [value_of(pattern, name, 8) for name in names] == theirs


@pytest.mark.parametrize(
    ("spec", "config"),
    [
        (LoraSpec(rank=4, targets=TARGETS, **PATTERNS), LoraConfig(**LORA)),
        (
            LoraSpec(rank=4, targets=TARGETS, scaling="sqrt_rank", **PATTERNS),
            LoraConfig(**LORA, use_rslora=True),
        ),
        (DoraSpec(rank=4, targets=TARGETS, **PATTERNS), LoraConfig(**LORA, use_dora=True)),
        (
            PissaSpec(rank=4, targets=TARGETS, iterations=None, **PATTERNS),
            LoraConfig(**LORA, init_lora_weights="pissa"),
        ),
    ],
    ids=["lora", "rslora", "dora", "pissa"],
)
def test_it_is_pefts_own(spec, config, llama, ids):
    ours = spec.inject(llama(), seed=0)
    torch.manual_seed(0)
    theirs = get_peft_model(llama(), config)
    assert trained(ours).keys() == trained(theirs).keys()
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    assert len({tuple(p.shape) for p in trained(ours).values()}) > 4
    for model in (ours, theirs):
        train(model)
    assert torch.equal(logits(ours, ids), logits(theirs, ids))
    found, expected = gradients(ours, ids), gradients(theirs, ids)
    for name, gradient in expected.items():
        assert torch.equal(found[name], gradient), name


def test_pefts_hira_does_not_obey_its_pattern(llama):
    # If it did, our HiRA would have the field, too.
    config = HiraConfig(r=4, target_modules=["q_proj"], rank_pattern={"q_proj": 2})
    shapes = {tuple(p.shape) for p in trained(get_peft_model(llama(), config)).values()}
    assert shapes == {(4, 32), (32, 4)}


def test_lora_ga_is_a_lora_of_the_same_ranks_and_scales(llama, ids):
    spec = LoraGaSpec(rank=4, targets=TARGETS, **PATTERNS)
    # Without a gradient it begins as a plain LoRA.
    ours = train(spec.inject(llama(), seed=0))
    theirs = get_peft_model(llama(), LoraConfig(**LORA))
    values = trained(ours)
    with torch.no_grad():
        for name, parameter in trained(theirs).items():
            ours_name = name.replace("lora_", "loraga_")
            assert values[ours_name].shape == (1, *parameter.shape), name
            parameter.copy_(values[ours_name][0])
    expected = logits(theirs, ids)
    assert_close(logits(ours, ids), expected, rtol=0, atol=ROUNDING * float(expected.abs().max()))
    found = gradients(ours, ids)
    for name, gradient in gradients(theirs, ids).items():
        limit = ROUNDING * float(gradient.abs().max())
        assert_close(
            found[name.replace("lora_", "loraga_")][0], gradient, rtol=0, atol=limit, msg=name
        )


@pytest.mark.parametrize("kind", [LoraSpec, DoraSpec, PissaSpec], ids=lambda x: x.__name__)
@pytest.mark.parametrize("scaling", ["rank", "sqrt_rank"])
def test_what_is_saved_and_merged_has_the_outputs_in_peft(kind, scaling, llama, ids, tmp_path):
    spec = kind(rank=4, targets=TARGETS, scaling=scaling, **PATTERNS)
    model = spec.inject(llama(), seed=0)
    hooks = spec.training(model, steps=3)
    expected = logits(train(model), ids)
    config = model.peft_config["default"]
    before = dict(config.rank_pattern), dict(config.alpha_pattern)
    with hooks.finished():
        model.save_pretrained(tmp_path)
    assert (config.rank_pattern, config.alpha_pattern) == before == (RANKS, ALPHAS)
    loaded = PeftModel.from_pretrained(llama(), tmp_path)
    limit = ROUNDING * float(expected.abs().max())
    assert_close(logits(loaded, ids), expected, rtol=0, atol=limit)
    assert_close(logits(loaded.merge_and_unload(), ids), expected, rtol=0, atol=limit)
    factor = 1 if kind is not PissaSpec else 2
    written = json.loads((tmp_path / "adapter_config.json").read_text())
    assert written["rank_pattern"] == {key: factor * rank for key, rank in RANKS.items()}


@pytest.mark.parametrize("kind", [*FAMILY, LoraGaSpec], ids=lambda x: x.__name__)
def test_it_is_counted_by_layer(kind, llama, shape):
    spec = kind(rank=4, targets=TARGETS, rank_pattern=RANKS)
    assert spec.problems(shape) == []
    plain = kind(rank=4, targets=TARGETS)
    # q: 32 -> 32; down: 48 -> 32, once at 6 and twice at 3.
    changed = 3 * (2 - 4) * 64 + (6 - 4 + 2 * (3 - 4)) * 80
    assert spec.count(shape) - plain.count(shape) == changed
    if kind is not QloraSpec:
        assert spec.count(shape) == sum(
            p.numel() for p in trained(spec.inject(llama(), seed=0)).values()
        )


def test_layers_that_get_no_adapter_are_not_counted(llama, shape):
    spec = LoraSpec(
        rank=4, targets=TARGETS, layers_to_transform=(0, 2), rank_pattern={r"layers\.[01]\..*": 2}
    )
    assert spec.count(shape) == sum(
        p.numel() for p in trained(spec.inject(llama(), seed=0)).values()
    )
    [(field, _)] = spec.model_copy(update={"rank_pattern": {r"layers\.1\..*": 2}}).problems(shape)
    assert field == "rank_pattern"


@pytest.mark.parametrize("field", ["rank_pattern", "alpha_pattern"])
@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (
            {"q_pro": 2, "k_proj": 3},
            r"has 'q_pro', which matches no layer that gets an adapter; .* 'model\.layers\.0\.self_"
            r"attn\.q_proj'; of the layers it has q_proj, .*; did you mean 'q_proj'\?; correct it",
        ),
        ({"gate_proj": 2}, "has 'gate_proj', which matches no layer that gets an adapter"),
        (
            {"q_proj": 2, ".*_proj": 3},
            r"has 'q_proj' \(2\) and '\.\*_proj' \(3\) for the layer model\.layers\.0\.self_attn\."
            "q_proj; allowed is one value for a layer, .*; write keys of which one matches a layer",
        ),
    ],
    ids=["unknown", "no-target", "two-values"],
)
def test_a_pattern_that_gives_no_layer_one_value_is_refused(
    field, pattern, message, llama, shape, ids
):
    for kind in (LoraSpec, LoraGaSpec):
        spec = kind(rank=4, targets=TARGETS, **{field: pattern})
        [(found, text)] = spec.problems(shape)
        assert found == field
        with pytest.raises(ValueError, match=rf"^{field} {message}"):
            raise ValueError(text)
        model = llama()
        before = logits(model, ids)
        with pytest.raises(ValueError, match=rf"^{field} {message}"):
            spec.inject(model, seed=0)
        assert not hasattr(model, "peft_config")
        assert torch.equal(logits(model, ids), before)


def test_our_tuner_refuses_such_a_pattern_where_peft_would_warn(llama):
    config = LoraGaConfig(r=2, target_modules=["q_proj"], rank_pattern={"q_pro": 3})
    with pytest.raises(ValueError, match="rank_pattern has 'q_pro', which matches no layer"):
        get_peft_model(llama(), config)
    with pytest.raises(ValueError, match="lora_ga: rank_pattern is 0; allowed is 1 or more"):
        LoraGaConfig(rank_pattern={"q_proj": 0})


@pytest.mark.parametrize("pattern", [{}, {"q_proj": 3}])
def test_without_targets_they_are_those_of_the_family(llama, pattern):
    model = get_peft_model(llama(), LoraGaConfig(r=2, rank_pattern=pattern))
    assert model.peft_config["default"].target_modules
    with pytest.raises(ValueError, match="rank_pattern has 'q_pro', which matches no layer"):
        get_peft_model(llama(), LoraGaConfig(r=2, rank_pattern={"q_pro": 3}))


def test_two_keys_may_agree_on_a_layer(llama, shape):
    spec = LoraSpec(rank=4, rank_pattern={"q_proj": 2, "[qk]_proj": 2})
    assert spec.problems(shape) == []
    assert spec.inject(llama(), seed=0) is not None


def test_each_layer_has_its_own_highest_rank(shape):
    # The keys of the narrow layer: its pattern counts, not the rank.
    narrow = {"[kv]_proj": 16}
    assert LoraSpec(rank=32, rank_pattern=narrow).problems(shape) == []
    [(field, message)] = LoraSpec(rank=32, rank_pattern={"[kv]_proj": 17}).problems(shape)
    assert field == "rank_pattern"
    assert message.startswith("rank of '[kv]_proj' is 17 but k_proj is 32 -> 16; its rank is at mo")
    [(field, message)] = LoraSpec(rank=17, rank_pattern={"k_proj": 16}).problems(shape)
    assert (field, "v_proj is 32 -> 16" in message) == ("rank", True)
    [(field, message)] = LoraGaSpec(rank=4, rank_pattern={"q_proj": 17}).problems(shape)
    assert (field, "singular vectors for a rank of at most 16" in message) == ("rank_pattern", True)


def test_layers_of_several_lists_are_looked_at_in_the_model(llama, shape):
    spec = LoraSpec(rank=4, rank_pattern={"q_pro": 2})
    assert spec.problems(replace(shape, stack="")) == []
    with pytest.raises(ValueError, match="'q_pro', which matches no layer"):
        spec.inject(llama(), seed=0)


@pytest.mark.parametrize("field", ["rank_pattern", "alpha_pattern"])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (8, "valid dictionary"),
        ({"q_(proj": 8}, r"the key 'q_\(proj' is no regular expression \(missing \).* correct it"),
        ({"q_proj": True}, "the value of 'q_proj' is True; allowed is a number above 0"),
        ({"q_proj": "8"}, "the value of 'q_proj' is '8'; .* write it without quotes"),
        ({"q_proj": {"choice": [2, 4]}}, r"search the whole field with \{choice: \["),
        ({"q_proj": 0}, "greater than"),
    ],
    ids=["number", "expression", "true", "text", "choice", "zero"],
)
def test_what_is_no_pattern_is_refused(field, value, message):
    with pytest.raises(ValidationError, match=message):
        LoraSpec.model_validate({field: value})


def test_a_rank_is_whole():
    with pytest.raises(ValidationError, match="valid integer"):
        LoraSpec.model_validate({"rank_pattern": {"q_proj": 2.5}})
    assert LoraSpec(alpha_pattern={"q_proj": 2.5}).alpha_pattern == {"q_proj": 2.5}


def test_a_pattern_that_is_not_given_is_not_written():
    for kind in UNION:
        if "rank_pattern" in kind.model_fields:
            assert not [x for x in kind().model_dump() if x.endswith("_pattern")]
            assert kind().parameters()["rank_pattern"] == {}


@pytest.mark.parametrize("kind", [*FAMILY, LoraGaSpec], ids=lambda x: x.__name__)
def test_equal_specs_have_one_hash(kind):
    one = kind(alpha=16, rank_pattern={"q_proj": 2, "k_proj": 3}, alpha_pattern={"q_proj": 5})
    other = kind(alpha=16.0, rank_pattern={"k_proj": 3, "q_proj": 2}, alpha_pattern={"q_proj": 5.0})
    assert len({one, other}) == 1
    assert len({one, kind(), kind(rank_pattern={"q_proj": 2})}) == 3


def test_which_methods_have_ranks_by_layer():
    names = {x.model_fields["name"].default for x in UNION if "rank_pattern" in x.model_fields}
    assert names == {"lora", "dora", "pissa", "qlora", "lora_pro", "lora_ga"}
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        MasaSpec.model_validate({"rank_pattern": {"q_proj": 2}})


def test_the_size_that_comes_nearest_leaves_the_pattern(shape):
    spec = LoraSpec(rank=1, targets=TARGETS, **PATTERNS)
    counts = {rank: spec.model_copy(update={"rank": rank}).count(shape) for rank in range(1, 17)}
    for wanted in range(0, counts[16] + 500, 97):
        sized = spec.resized(shape, wanted)
        assert (sized.rank_pattern, sized.alpha_pattern) == (RANKS, ALPHAS)
        nearest = min(abs(count - wanted) for count in counts.values())
        assert abs(sized.count(shape) - wanted) == nearest, wanted


def test_a_pattern_of_all_layers_leaves_nothing_to_a_budget(shape):
    spec = LoraSpec(targets=TARGETS, rank_pattern={".*_proj": 3})
    reason = spec.why_not_sized(shape)
    assert reason.startswith(
        "cannot size lora: its rank_pattern, {'.*_proj': 3}, gives every layer"
    )
    assert reason.endswith("or leave out the budget: --set budget=null")
    assert spec.problems(shape) == []
    assert LoraSpec(targets=TARGETS, **PATTERNS).why_not_sized(shape) == ""


PEFTS: dict[str, Any] = {"type": "LORA", "r": 4, "targets": TARGETS, "rank_pattern": RANKS}


@pytest.mark.parametrize(
    "spec",
    [
        LoraSpec(rank=4, targets=TARGETS, rank_pattern=RANKS),
        PeftSpec.model_validate({"name": "peft", **PEFTS}),
    ],
    ids=["lora", "peft"],
)
def test_a_rule_for_the_scale_is_kept_in_each_layer(spec, llama):
    model = spec.scaled(2).inject(llama(), seed=0)
    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    assert {layer.scaling["default"] for layer in layers} == {2}
    assert {layer.r["default"] for layer in layers} == {2, 3, 4, 6}


def test_a_rule_for_the_scale_sets_no_alpha_where_there_is_none():
    assert LoraSpec(rank=4).scaled(1.5).alpha_pattern == {}
    assert HiraSpec(rank=4).scaled(1.5) == HiraSpec(rank=4)
