"""What a target names is what PEFT would adapt."""

from __future__ import annotations

import pytest

from sweeper.models.shapes import architecture, shape_of, skeleton
from sweeper_adapters.methods import Linear, LoraSpec, ModelShape, MosaSpec


@pytest.mark.parametrize(
    ("target", "is_named"),
    [
        ("q_proj", True),
        ("self_attn.q_proj", True),
        ("attn.q_proj", False),
        ("proj", False),
        ("mlp.q_proj", False),
        ("0.self_attn.q_proj", False),
        ("", False),
    ],
)
def test_a_target_is_the_end_of_a_name(target: str, is_named: bool) -> None:
    assert Linear("q_proj", 8, 8, path="self_attn.q_proj").is_named(target) == is_named


@pytest.mark.parametrize("target", ["self_attn.q_proj", "mlp.down_proj"])
def test_a_target_of_several_parts_adapts_what_the_last_one_does(target: str) -> None:
    config = {**architecture("smollm2-135m"), "num_hidden_layers": 2}
    shape = shape_of(config)
    spec = LoraSpec(rank=4, targets=(target,))
    assert spec.problems(shape) == []
    adapted = spec.inject(skeleton(config), seed=0)
    trained = sum(x.numel() for x in adapted.parameters() if x.requires_grad)
    assert spec.count(shape) == trained
    last = target.rpartition(".")[2]
    assert spec.count(shape) == LoraSpec(rank=4, targets=(last,)).count(shape)


def test_a_target_of_one_layer_is_refused() -> None:
    shape = shape_of(architecture("smollm2-135m"))
    (problem,) = LoraSpec(targets=("layers.0.self_attn.q_proj",)).problems(shape)
    assert "matches no linear layer of the model" in problem[1]


def test_groups_by_a_name_of_several_parts() -> None:
    shape = shape_of(architecture("smollm2-135m"))
    spec = MosaSpec(rank=None, targets=("self_attn.q_proj",), groups={"self_attn.q_proj": 3})
    assert spec.problems(shape) == []
    assert spec.count(shape) == 3 * shape.layers


@pytest.mark.parametrize(
    ("targets", "names"),
    [
        ("attention", ("q_proj", "k_proj", "v_proj", "o_proj")),
        ("mlp", ("gate_proj", "up_proj", "down_proj")),
        ("all-linear", LoraSpec().targets),
        (["mlp", "q_proj", "up_proj"], ("gate_proj", "up_proj", "down_proj", "q_proj")),
    ],
)
def test_a_group_stands_for_layers(targets: str | list[str], names: tuple[str, ...]) -> None:
    shape = shape_of(architecture("smollm2-135m"))
    spec = LoraSpec.model_validate({"targets": targets})
    assert spec.hangs_on_shape
    found = spec.resolved(shape)
    assert found.targets == names
    assert not found.hangs_on_shape
    # A trial is the same however its layers are written.
    assert found == LoraSpec(targets=names)


@pytest.mark.parametrize(
    ("paths", "attention", "mlp"),
    [
        (("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"), 2, 2),
        (("self_attention.query_key_value", "self_attention.dense", "mlp.dense_h_to_4h"), 2, 1),
        (("self_attn.k_proj", "self_attn.out_proj", "fc1", "fc2"), 2, 2),
        (("self_attn.q_proj", "mlp.shared_expert.up_proj", "mlp.shared_expert_gate"), 1, 2),
    ],
    ids=["gpt2", "falcon", "opt", "qwen2-moe"],
)
def test_groups_of_other_families(paths: tuple[str, ...], attention: int, mlp: int) -> None:
    linears = [Linear(path, 8, 8, path=path) for path in paths]
    assert sum(linear.is_in("attention") for linear in linears) == attention
    assert sum(linear.is_in("mlp") for linear in linears) == mlp
    assert all(linear.is_in("all-linear") for linear in linears)


def test_a_group_of_which_a_model_has_none_is_refused_like_a_layer() -> None:
    shape = ModelShape(2, (Linear("mixer.in_proj", 8, 8),), 1000)
    spec = LoraSpec.model_validate({"targets": "attention", "rank": 1}).resolved(shape)
    [(field, message)] = spec.problems(shape)
    assert field == "targets"
    assert "'attention' matches no linear layer of the model" in message
