"""ΔW, A and increments of each layer, whatever the method."""

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from sweeper_adapters import adapted_layers, set_task_ids
from sweeper_adapters.methods import DoraSpec, LoraSpec, MasaSpec
from tests.adapters.small import randomised
from tests.adapters.specs import SPECS, each

LAYERS = 3
# Roundings of float32 in sums over 48 numbers, where a measured ΔW is of float64.
SAME = 1e-4


def layers_of(spec, llama):
    return adapted_layers(randomised(spec.inject(llama(), seed=0)).eval())


@each(lambda spec: spec.adapts_layers and spec.is_mergeable)
def test_increments_are_the_matrix_times_the_input(spec, llama):
    for layer in layers_of(spec, llama)[::3]:
        delta = layer.delta()
        x = torch.randn(2, 3, delta.shape[1])
        expected = F.linear(x, delta.float())
        scale = float(expected.abs().max())
        assert scale > 0
        assert_close(layer.increment(x).float() / scale, expected / scale, rtol=0, atol=SAME)


@each(lambda spec: spec.exports_lora)
def test_the_factors_of_a_lora_make_its_matrix(spec, llama):
    layer = layers_of(spec, llama)[0]
    a, b = layer.factors()
    assert_close(b @ a, layer.delta())


def test_the_matrix_of_dora_has_its_magnitudes(llama):
    """PEFT's own ``get_delta_weight`` is B A alone."""
    layer = layers_of(DoraSpec(rank=4), llama)[0]
    frozen = layer.layer.get_base_layer().weight
    model = layer.layer
    x = torch.eye(frozen.shape[1])
    assert_close(layer.delta().float(), (model(x) - F.linear(x, frozen)).T, rtol=0, atol=1e-4)
    assert (layer.delta() - model.get_delta_weight("default")).abs().max() > 0.1


@pytest.mark.parametrize("name", ["masa-router", "hydralora", "moelora", "mtl-lora-tasks"])
def test_an_update_that_depends_on_the_input_has_no_matrix(name, llama):
    layer = layers_of(SPECS[name], llama)[0]
    assert layer.factors() is None
    with pytest.raises(ValueError, match="cannot be merged"):
        layer.delta()


def test_experts_have_names_and_a_sum(llama):
    layer = layers_of(MasaSpec(rank=4, experts=3, targets=("q_proj",)), llama)[1]
    downs = layer.downs()
    assert list(downs) == ["A1", "A2", "A3"]
    x = torch.randn(2, 3, 32)
    assert_close(layer.features(x), F.linear(x, sum(downs.values())))
    assert (layer.module, layer.number) == ("q_proj", 1)
    assert layer.kind == "model.layers.*.self_attn.q_proj"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lora", {"A": 4}),
        ("dora", {"A": 4}),
        ("hira", {"A": 4}),
        ("adalora", {"A": 4}),
        ("vblora", {"A": 2}),
        ("moelora", {"A1": 4, "A2": 4, "A3": 4}),
        ("multilora", {"A1": 4, "A2": 4}),
        ("cola", {"A1": 4, "A2": 4}),
        ("hd-pissa", {"A1": 3, "A2": 3}),
        ("mtl-lora-tasks", {"A": 4}),
        ("bslora-gate", {"A local": 2, "A intra": 1, "A inter": 1}),
        ("mosa", {}),
        ("mora-6", {}),
    ],
)
def test_each_method_says_which_matrices_see_the_input(name, expected, llama):
    layer = layers_of(SPECS[name], llama)[0]
    assert {key: len(down) for key, down in layer.downs().items()} == expected
    features = layer.features(torch.randn(2, 32))
    if expected:
        assert features.shape == (2, sum(expected.values()))
    else:
        assert features is None


def test_increments_of_a_task_are_of_its_own_part(llama):
    spec = SPECS["mtl-lora-tasks"]
    model = randomised(spec.inject(llama(), seed=0)).eval()
    layer = adapted_layers(model)[0]
    x = torch.randn(1, 3, 32).repeat(2, 1, 1)
    set_task_ids(model, torch.tensor([0, 1]))
    found = layer.increment(x)
    assert (found[0] - found[1]).abs().max() > 0.1


def test_the_model_is_as_it_was(llama):
    model = randomised(DoraSpec(rank=4).inject(llama(), seed=0)).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for layer in adapted_layers(model):
        layer.delta()
    assert_close(dict(model.state_dict()), before, rtol=0, atol=0)


def test_learnt_prompts_have_no_layers(llama):
    model = SPECS["prompt-tuning"].inject(llama(), seed=0)
    with pytest.raises(ValueError, match="adapts no linear layer"):
        adapted_layers(model)


def test_sixteen_bit_is_widened(llama):
    model = randomised(LoraSpec(rank=4).inject(llama(torch.bfloat16), seed=0)).eval()
    layer = adapted_layers(model)[0]
    assert layer.delta().dtype == torch.float32
    assert layer.increment(torch.randn(1, 2, 32).bfloat16()).dtype == torch.float32
