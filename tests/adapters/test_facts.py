"""What a target names is what PEFT would adapt."""

from __future__ import annotations

import pytest

from sweeper.models.shapes import architecture, shape_of, skeleton
from sweeper_adapters.methods import Linear, LoraSpec, MosaSpec


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
