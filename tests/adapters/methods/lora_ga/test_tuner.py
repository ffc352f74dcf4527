"""LoRA-GA against an explicit gradient and its singular vectors; nearer to full fine-tuning."""

from typing import Any

import pytest
import torch
from peft import get_peft_model
from torch import nn
from torch.testing import assert_close
from transformers.pytorch_utils import Conv1D

from sweeper_adapters import LoraGaConfig, LoraGaLinear
from sweeper_adapters.methods import LoraGaSpec, LoraSpec
from tests.adapters.shapes import LLAMA3_8B

# The same sums in another order.
EXACT: dict[str, Any] = {"rtol": 1e-12, "atol": 1e-12}
# Spans of singular vectors in float32: what rounds in a gradient, divided by the distance of its
# singular values.
SPAN = 1e-3

TARGETS = ("q_proj", "v_proj", "down_proj")
SPEC = LoraGaSpec(rank=3, targets=TARGETS, alpha=6, gamma=4, calibration_batches=3)


def layers_of(model):
    found = {n: m for n, m in model.named_modules() if isinstance(m, LoraGaLinear)}
    return {name.removeprefix("base_model.model."): layer for name, layer in found.items()}


def part(layer, side):
    return layer.get_parameter(f"loraga_{side}.default.weight")


def batches(count=3):
    generator = torch.Generator().manual_seed(1)
    return torch.randint(64, (count, 2, 9), generator=generator)


def gradients_of(model, names, inputs):
    """Gradients of the mean loss by weights of a model without adapters."""
    weights = [model.get_parameter(f"{name}.weight") for name in names]
    model.requires_grad_(False)
    for weight in weights:
        weight.requires_grad_(True)
    return dict(zip(names, torch.autograd.grad(mean_loss(model, inputs), weights), strict=True))


def prepared(base, spec=SPEC, inputs=None):
    """The base with an adapter, along the gradients of its weights."""
    inputs = batches() if inputs is None else inputs
    model = spec.inject(base, seed=0)
    training = spec.training(model, steps=1)
    training.prepare(lambda i: model(input_ids=inputs[i], labels=inputs[i]).loss)
    return model, training


def test_it_begins_along_the_singular_vectors_of_the_gradient(llama):
    model, _ = prepared(llama())
    layers = layers_of(model)
    assert len(layers) == 15
    found = gradients_of(llama(), list(layers), batches())
    for name, layer in layers.items():
        left, values, right = torch.linalg.svd(found[name])
        # The vectors that are taken stand apart from the others.
        assert values[2] - values[3] > 1e-2 * values[0]
        assert values[5] - values[6] > 1e-3 * values[0]
        factor = layer.out_features**0.5 / 4
        down, up = part(layer, "A")[0], part(layer, "B")[0]
        # As spans: a singular vector's sign is anyone's choice.
        spans = {
            "A": (down.T @ down, right[:3].T @ right[:3]),
            "B": (up @ up.T, left[:, 3:6] @ left[:, 3:6].T),
        }
        for side, (span, expected) in spans.items():
            assert_close(span, factor * expected, rtol=0, atol=factor * SPAN, msg=f"{name} {side}")
        assert_close(down @ down.T, factor * torch.eye(3), rtol=0, atol=1e-5)


def test_a_gradient_is_taken_as_it_is_given():
    layer = adapted(nn.Linear(9, 7), r=2)
    gradient = torch.randn(7, 9)
    layer.align("default", gradient, gamma=9)
    left, _, right = torch.linalg.svd(gradient, full_matrices=False)
    factor = 7**0.25 / 3
    assert_close(part(layer, "A"), factor * right[None, :2], rtol=0, atol=0)
    assert_close(part(layer, "B"), factor * left[None, :, 2:4], rtol=0, atol=0)


def test_a_conv1d_has_its_gradient_the_other_way_round():
    gradient = torch.randn(7, 9)
    plain, turned = adapted(nn.Linear(9, 7), r=2), adapted(Conv1D(7, 9), r=2)
    plain.align("default", gradient, gamma=16)
    turned.align("default", gradient.T, gamma=16)
    for side in ("A", "B"):
        assert_close(part(turned, side), part(plain, side), rtol=0, atol=0)


def adapted(base, **values):
    config = LoraGaConfig(target_modules=["0"], **values)
    model = get_peft_model(nn.Sequential(base), config)
    [layer] = layers_of(model).values()
    return layer


def test_preparing_leaves_the_base_and_its_flags_alone(llama, ids):
    base = llama()
    base.model.norm.weight.requires_grad_(True)
    weights = {name: p.detach().clone() for name, p in base.named_parameters()}
    frozen = dict(base.named_parameters())
    with torch.no_grad():
        expected = base(input_ids=ids).logits
    model, _ = prepared(base)
    assert all(torch.equal(frozen[name], value) for name, value in weights.items())
    assert all(p.grad is None for p in model.parameters())
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert len(trained) == 30
    assert all("loraga_" in name for name in trained)
    assert not any(p._post_accumulate_grad_hooks for p in model.parameters())
    with torch.no_grad():
        assert torch.equal(model(input_ids=ids).logits, expected)


def test_flags_come_back_from_a_batch_that_fails(llama):
    model = SPEC.inject(llama(), seed=0)

    def fail(number):
        if number == 1:
            raise InterruptedError("no second batch")
        return model(input_ids=batches()[0], labels=batches()[0]).loss

    with pytest.raises(InterruptedError, match="no second batch"):
        SPEC.training(model, steps=1).prepare(fail)
    assert all("loraga_" in name for name, p in model.named_parameters() if p.requires_grad)
    assert not any(p._post_accumulate_grad_hooks for p in model.parameters())


def test_gradients_are_freed_while_the_pass_still_runs(llama):
    model = SPEC.inject(llama(), seed=0)
    alive = []

    def look(gradient):
        weights = [layer.weight for layer in layers_of(model).values()]
        # The last layers' passes are over, the first's has not begun.
        alive.append(sum(weight.grad is not None for weight in weights))

    def watch(module, inputs):
        inputs[0].register_hook(look)

    def loss(number):
        hook = model.get_submodule("base_model.model.model.layers.1").register_forward_pre_hook(
            watch
        )
        result = model(input_ids=batches()[number], labels=batches()[number]).loss
        hook.remove()
        return result

    SPEC.training(model, steps=1).prepare(loss)
    assert alive == [0, 0, 0]


# What it is for.


def distance(step, gradient):
    """How far a step is from the direction of -G, 0 to 1, whatever its length."""
    cosine = -(step * gradient).sum() / (step.norm() * gradient.norm())
    return float((1 - cosine**2).sqrt())


def mean_loss(model, inputs):
    return torch.stack([model(input_ids=x, labels=x).loss for x in inputs]).mean()


def first_step(model, layers, inputs, rate=1e-3):
    """ΔW of each layer after a step of gradient descent."""
    mean_loss(model.double(), inputs).backward()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter -= rate * parameter.grad
    return {name: layer.get_delta_weight("default").detach() for name, layer in layers.items()}


def test_its_first_step_is_the_best_that_a_lora_can_take(llama):
    inputs = batches()
    model, _ = prepared(llama(), inputs=inputs)
    layers = layers_of(model)
    gradients = gradients_of(llama().double(), list(layers), inputs)
    steps = first_step(model, layers, inputs)

    plain = LoraSpec(rank=3, alpha=6, targets=TARGETS).inject(llama(), seed=0)
    plain_layers = {name: plain.get_submodule(f"base_model.model.{name}") for name in layers}
    plain_steps = first_step(plain, plain_layers, inputs)

    for name, gradient in gradients.items():
        values = torch.linalg.svdvals(gradient)
        # Of all matrices of rank 6 none is nearer.
        best = float((values[6:].square().sum() / values.square().sum()).sqrt())
        found = distance(steps[name], gradient)
        assert best - 1e-9 <= found <= best + 0.02, name
        assert found < distance(plain_steps[name], gradient) - 0.2, name


def test_a_step_lowers_the_loss_more_than_a_plain_lora_s_of_its_length(llama):
    inputs = batches()

    def gain(model):
        parameters = [p for p in model.parameters() if p.requires_grad]
        before = mean_loss(model, inputs)
        gradients = torch.autograd.grad(before, parameters)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter -= 1e-2 * gradient
            layers = [m for m in model.modules() if hasattr(m, "get_delta_weight")]
            steps = [m.get_delta_weight("default").flatten() for m in layers]
            # For each unit that the weights move.
            return float((before - mean_loss(model, inputs)) / torch.cat(steps).norm())

    aligned, _ = prepared(llama(), inputs=inputs)
    plain = LoraSpec(rank=3, alpha=6, targets=TARGETS).inject(llama(), seed=0)
    assert gain(aligned) > 1.5 * gain(plain) > 0


# Before and after.


def test_it_is_a_plain_lora_until_it_has_seen_a_gradient(llama):
    model = SPEC.inject(llama(), seed=0)
    for layer in layers_of(model).values():
        bound = layer.in_features**-0.5
        assert 0.7 * bound < part(layer, "A").abs().max() <= bound
        assert part(layer, "B").count_nonzero() == 0
        assert all(value.count_nonzero() == 0 for _, value in layer.origins("default"))
        with torch.no_grad():
            part(layer, "B").normal_()
        down, up = part(layer, "A")[0], part(layer, "B")[0]
        assert_close(layer.delta("default"), 2 * up @ down, rtol=1e-5, atol=1e-6)


def test_the_update_is_what_the_product_has_moved_by(llama):
    model, _ = prepared(llama())
    model.double()
    for layer in layers_of(model).values():
        down, up = part(layer, "A"), part(layer, "B")
        first = (up[0] @ down[0]).detach()
        with torch.no_grad():
            down += torch.randn_like(down)
            up += torch.randn_like(up)
        expected = 2 * (up[0] @ down[0] - first)
        x = torch.randn(4, layer.in_features, dtype=torch.float64)
        assert_close(layer.delta("default"), expected, **EXACT)
        assert_close(layer(x), layer.base_layer(x) + x @ expected.T, **EXACT)
        a, b = layer.lora_factors("default")
        assert a.shape == (6, layer.in_features)
        assert_close(b @ a, expected, **EXACT)


def test_preparing_again_gives_the_same_and_a_checkpoint_wins(llama):
    _, training = prepared(llama())
    state = {name: value.clone() for name, value in training.state().items()}
    assert len(state) == 30
    _, again = prepared(llama())
    assert_close(dict(again.state()), state, rtol=0, atol=0)
    _, elsewhere = prepared(llama(), SPEC.model_copy(update={"calibration_batches": 1}))
    assert any(not torch.equal(value, state[name]) for name, value in elsewhere.state().items())
    elsewhere.restore(state)
    assert_close(dict(elsewhere.state()), state, rtol=0, atol=0)


def test_16_bit_weights_have_gradients_added_up_in_float32(llama):
    model, _ = prepared(llama(torch.bfloat16))
    reference, _ = prepared(llama())
    expected = layers_of(reference)
    for name, layer in layers_of(model).items():
        assert part(layer, "A").dtype == torch.float32
        assert all(value.dtype == torch.float32 for _, value in layer.origins("default"))
        # As far as bfloat16 has it: the leading vector is the same.
        a, b = (part(x, "A").detach()[0, 0] for x in (layer, expected[name]))
        assert abs(float((a @ b) / (a.norm() * b.norm()))) > 0.98, name


def test_what_no_batch_uses_begins_as_a_plain_lora():
    class Half(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            return self.used(x)

    model = get_peft_model(Half(), LoraGaConfig(target_modules=["used", "unused"], r=2))
    before = part(layers_of(model)["unused"], "A").detach().clone()
    SPEC.training(model, steps=1).prepare(lambda i: model(torch.ones(2, 4)).square().sum())
    used, unused = layers_of(model).values()
    assert torch.equal(part(unused, "A"), before)
    assert part(unused, "B").count_nonzero() == 0
    assert part(used, "B").count_nonzero() > 0


# Specs and messages.


def test_it_has_the_parameters_of_a_lora():
    assert LoraGaSpec(rank=8).count(LLAMA3_8B) == LoraSpec(rank=8).count(LLAMA3_8B)


def test_a_rank_needs_twice_as_many_singular_vectors(shape):
    assert LoraGaSpec(rank=8).problems(shape) == []
    [(field, message)] = LoraGaSpec(rank=9).problems(shape)
    assert field == "rank"
    assert message == (
        "rank is 9 but the gradient of k_proj, 32 -> 16, has singular vectors for a rank of at "
        "most 8; give a rank of 1 to 8 or leave k_proj out of targets"
    )
    assert LoraGaSpec(rank=16, targets=("q_proj",)).problems(shape) == []
    layer = adapted(nn.Linear(8, 5), r=3)
    with pytest.raises(ValueError, match=r"r is 3; allowed is 1 to 2 .*\(5, 8\), .* change r"):
        layer.align("default", torch.randn(5, 8), gamma=16)


def test_a_gradient_that_is_not_finite_is_refused():
    layer = adapted(nn.Linear(8, 5), r=2)
    gradient = torch.zeros(5, 8)
    gradient[1, 2] = float("inf")
    with pytest.raises(ValueError, match=r"weight of \(5, 8\) has values that are not finite; .*;"):
        layer.align("default", gradient, gamma=16)


def test_a_quantised_weight_is_refused():
    layer = adapted(nn.Linear(8, 5), r=2)
    layer.base_layer.weight = nn.Parameter(torch.zeros(5, 8, dtype=torch.int8), requires_grad=False)
    with pytest.raises(ValueError, match=r"is of torch.int8, which has no gradient; .*quantised"):
        SPEC.training(layer, steps=1).prepare(lambda i: layer(torch.ones(2, 8)).sum())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"r": 0}, "lora_ga: r is 0; allowed is 1 or more; change r"),
        ({"dropout": 1.0}, "lora_ga: dropout is 1.0; allowed is 0 to below 1; change dropout"),
    ],
)
def test_values_out_of_range_are_named(values, message):
    with pytest.raises(ValueError, match=message):
        LoraGaConfig(**values)
