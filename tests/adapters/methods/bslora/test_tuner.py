"""BSLoRA against explicit products in float64, and what its layers share."""

from typing import Any

import pytest
import torch
from peft import get_peft_model
from torch import nn
from torch.testing import assert_close

from sweeper_adapters import BsloraConfig, BsloraLinear
from sweeper_adapters.methods import BsloraSpec

# The same products in another order.
EXACT: dict[str, Any] = {"rtol": 1e-12, "atol": 1e-12}
# Divides the sizes of all layers of Net, as does 1.
BLOCK = 3
SHARE_SIZE = 5

TRANSFORMS = ["slice", "gate", "kron"]


class Decoder(nn.Module):
    """Two layers of odd sizes: neither is the larger on both sides."""

    def __init__(self):
        super().__init__()
        self.up = nn.Linear(9, 15)
        self.down = nn.Linear(15, 9, bias=False)

    def forward(self, x):
        return x + self.down(torch.tanh(self.up(x)))


class Net(nn.Module):
    """Three decoder layers and a layer that is in none of them."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(Decoder() for _ in range(3))
        self.out = nn.Linear(9, 3)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.out(x)


def adapted(net=None, **values):
    """A net in float64 with a BSLoRA adapter of random values."""
    torch.manual_seed(3)
    values = {"share_size": SHARE_SIZE, "block": BLOCK, **values}
    config = BsloraConfig(target_modules=["up", "down", "out"], **values)
    model = get_peft_model((net or Net()).double(), config).double()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.3)
    return model


def layers_of(model):
    found = {
        name.removeprefix("base_model.model."): module
        for name, module in model.named_modules()
        if isinstance(module, BsloraLinear)
    }
    assert len(found) == 7
    return found


def pair_of(layer, scope, adapter="default"):
    return getattr(layer, f"bslora_{scope}")[adapter]


def middle(matrix, rows, columns):
    """By the definition: as many rows and columns before as after, the odd one after."""
    top, left = (matrix.shape[0] - rows) // 2, (matrix.shape[1] - columns) // 2
    return torch.stack(
        [torch.stack([matrix[top + i, left + j] for j in range(columns)]) for i in range(rows)]
    )


def kron(left, right):
    """The Kronecker product, entry by entry."""
    rows, columns = right.shape
    return torch.stack(
        [
            torch.stack(
                [
                    left[i // rows, j // columns] * right[i % rows, j % columns]
                    for j in range(left.shape[1] * columns)
                ]
            )
            for i in range(left.shape[0] * rows)
        ]
    )


def matrices(layer, scope, transform):
    """T(A) and T(B) as they are written in the paper, [R, I] and [O, R]."""
    pair = pair_of(layer, scope)
    rank = pair.a.shape[0]
    own = getattr(layer, f"bslora_{scope}_transform")["default"]
    if scope == "local":
        return pair.a, pair.b
    if transform == "slice":
        return middle(pair.a, rank, layer.in_features), middle(pair.b, layer.out_features, rank)
    if transform == "gate":
        return pair.a @ own.in_up @ own.in_down, own.out_up @ own.out_down @ pair.b
    return kron(own.k_a, pair.a), kron(own.k_b, pair.b)


def explicit(net, layers, transform, x):
    """The net with a plain product for each update."""

    def linear(name, x):
        layer = layers[name]
        result = layer.base_layer(x)
        for scope in ("local", "intra", "inter"):
            if getattr(layer, f"bslora_{scope}"):
                a, b = matrices(layer, scope, transform)
                result = result + 2 * (x @ a.T) @ b.T
        return result

    for number in range(3):
        up, down = f"layers.{number}.up", f"layers.{number}.down"
        x = x + linear(down, torch.tanh(linear(up, x)))
    return linear("out", x)


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("ranks", [(2, 4, 3), (0, 1, 2), (2, 0, 1), (0, 3, 0), (1, 0, 0)])
def test_is_the_sum_of_three_products_with_all_gradients(ranks, transform):
    local, intra, inter = ranks
    model = adapted(local_rank=local, intra_rank=intra, inter_rank=inter, transform=transform)
    x = torch.randn(4, 2, 9, dtype=torch.float64, requires_grad=True)
    grad_y = torch.randn(4, 2, 3, dtype=torch.float64)
    parameters = [p for p in model.parameters() if p.requires_grad]
    found = model(x)
    expected = explicit(model, layers_of(model), transform, x)
    assert_close(found, expected, **EXACT)
    gradients = torch.autograd.grad(found, (x, *parameters), grad_y)
    assert all(gradient.abs().sum() > 0 for gradient in gradients)
    assert_close(gradients, torch.autograd.grad(expected, (x, *parameters), grad_y), **EXACT)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_it_is_a_lora_whose_rank_is_the_sum_of_the_ranks(transform):
    model = adapted(local_rank=1, intra_rank=2, inter_rank=3, transform=transform)
    # A gate passes one number.
    rank = 3 if transform == "gate" else 6
    for layer in layers_of(model).values():
        a, b = layer.lora_factors("default")
        assert a.shape == (rank, layer.in_features)
        assert b.shape == (layer.out_features, rank)
        expected = sum(
            2 * b @ a
            for a, b in (matrices(layer, scope, transform) for scope in ("local", "intra", "inter"))
        )
        assert_close(b @ a, expected, **EXACT)
        assert_close(layer.delta("default"), expected, **EXACT)
        highest = min(rank, layer.in_features, layer.out_features)
        assert torch.linalg.matrix_rank(expected) == highest
        assert layer.supports_lora_conversion()


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_pair_is_its_layers_own_its_decoder_layers_or_everyones(transform):
    model = adapted(transform=transform)
    layers = layers_of(model)
    names = list(layers)
    assert len({pair_of(layer, "local") for layer in layers.values()}) == 7
    intra = {name: pair_of(layer, "intra") for name, layer in layers.items()}
    for name in names:
        together = [other for other in names if intra[other] is intra[name]]
        decoder = name.rpartition(".")[0]
        assert together == [x for x in names if x.rpartition(".")[0] == decoder]
    assert len({pair_of(layer, "inter") for layer in layers.values()}) == 1
    # What fits a pair to a layer is the layer's.
    for scope in ("intra", "inter"):
        own = {getattr(x, f"bslora_{scope}_transform")["default"] for x in layers.values()}
        assert len(own) == 7


def test_a_slice_is_of_a_pair_for_the_largest_layers_on_each_side():
    model = adapted(transform="slice", intra_rank=4, inter_rank=8)
    layers = layers_of(model)
    for name, layer in layers.items():
        local, intra, inter = (pair_of(layer, scope) for scope in ("local", "intra", "inter"))
        assert local.a.shape == (2, layer.in_features)
        assert local.b.shape == (layer.out_features, 2)
        assert inter.a.shape == (8, 15)
        assert inter.b.shape == (15, 8)
        # The layer that is in no decoder layer shares with none.
        assert intra.a.shape == (4, 9 if name == "out" else 15)
        assert intra.b.shape == (3 if name == "out" else 15, 4)
    assert {p.requires_grad for p in pair_of(layers["out"], "inter").parameters()} == {True}


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_and_what_fits_it_start_as_linear_layers_do_and_b_at_zero(transform):
    torch.manual_seed(0)
    config = BsloraConfig(
        target_modules=["up", "down"],
        transform=transform,
        local_rank=50,
        intra_rank=50,
        inter_rank=50,
        share_size=SHARE_SIZE,
        block=BLOCK,
    )
    model = get_peft_model(Net(), config)
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if name.endswith("default.b"):
            assert not parameter.any()
            continue
        # kaiming_uniform_(a=√5) of a matrix: up to one over the root of its columns.
        bound = parameter.shape[1] ** -0.5
        assert parameter.abs().max() <= bound
        if parameter.numel() > 100:
            assert parameter.abs().max() > 0.9 * bound
            assert parameter.abs().mean().item() == pytest.approx(bound / 2, rel=0.15)


def test_later_adapters_have_pairs_of_their_own_size():
    model = adapted(transform="slice")
    x = torch.randn(2, 9, dtype=torch.float64)
    first = model(x)
    config = BsloraConfig(target_modules=["up"], transform="slice", intra_rank=1, local_rank=0)
    model.add_adapter("second", config)
    up = layers_of(model)["layers.1.up"]
    pair = pair_of(up, "inter", "second")
    assert pair.a.shape == (8, 9)
    assert pair.b.shape == (15, 8)
    assert not any(p.requires_grad for p in pair.parameters())
    assert pair is not pair_of(up, "inter")
    assert torch.equal(model(x), first)
    model.set_adapter("second")
    assert all(p.requires_grad for p in pair.parameters())
    with model.disable_adapter():
        frozen = model(x)
    assert torch.equal(model(x), frozen)


def test_dropout_is_drawn_once_for_all_three():
    model = adapted(transform="slice", dropout=0.5)
    layer = layers_of(model)["layers.0.up"]
    x = torch.randn(64, 9, dtype=torch.float64)
    torch.manual_seed(9)
    found = layer.train().update("default", x)
    torch.manual_seed(9)
    kept = nn.functional.dropout(x, 0.5)
    assert 0.3 < (kept == 0).double().mean() < 0.7
    assert torch.equal(found, layer.eval().update("default", kept))
    assert not torch.equal(found, layer.update("default", x))


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_it_runs_under_autocast(transform):
    model = adapted(transform=transform).float()
    layer = layers_of(model)["layers.0.up"]
    x = torch.randn(4, 9, requires_grad=True)
    expected = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(x)
    # Products of 8-bit mantissas, five of them one after another with gates.
    assert_close(found.float(), expected, rtol=0.05, atol=0.1)
    found.float().sum().backward()
    trained = [p for p in layer.parameters() if p.requires_grad]
    assert all(torch.isfinite(p.grad).all() for p in trained)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_gpt2_has_its_weights_the_other_way_round(transform, ids):
    from transformers import GPT2Config, GPT2LMHeadModel

    gpt2 = GPT2Config(vocab_size=64, n_positions=32, n_embd=16, n_layer=2, n_head=2)
    torch.manual_seed(0)
    base = GPT2LMHeadModel(gpt2).eval()
    before = base(input_ids=ids).logits
    config = BsloraConfig(
        target_modules=["c_attn", "c_fc"],
        transform=transform,
        share_size=8,
        block=8,
        init_weights=False,
    )
    model = get_peft_model(base, config).eval()
    expected = model(input_ids=ids).logits
    assert (expected - before).abs().max() > 1e-3
    # Rounded once more, and in another order.
    assert_close(model.merge_and_unload()(input_ids=ids).logits, expected, rtol=1e-5, atol=1e-5)


def test_a_block_that_does_not_divide_a_layer_is_refused():
    with pytest.raises(ValueError, match="block is 4 but a layer is 9 -> 15; block must divide"):
        adapted(transform="kron", block=4)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"local_rank": -1}, "bslora: local_rank is -1; allowed is 0 or more; change local_rank"),
        (
            {"local_rank": 0, "intra_rank": 0, "inter_rank": 0},
            "local_rank, intra_rank, inter_rank are all 0; at least one is 1 or more",
        ),
        ({"block": 0}, "bslora: block is 0; allowed is 1 or more"),
        ({"share_size": 0}, "bslora: share_size is 0; allowed is 1 or more"),
        ({"scale": 0.0}, "bslora: scale is 0.0; allowed is above 0"),
        ({"dropout": 1.0}, "bslora: dropout is 1.0; allowed is 0 to below 1"),
        ({"transform": "crop"}, "transform is 'crop'; allowed is one of slice, gate, kron"),
    ],
)
def test_wrong_values_are_named(values, message):
    with pytest.raises(ValueError, match=message):
        BsloraConfig(**values)


def test_the_config_has_the_defaults_of_the_spec():
    config = BsloraConfig(target_modules=list(BsloraSpec().targets), task_type="CAUSAL_LM")
    assert BsloraSpec().peft_config().to_dict() == config.to_dict()
