import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from peft import PeftModel, get_peft_model
from safetensors.torch import load_file
from torch import nn
from torch.testing import assert_close

from sweeper_adapters import MasaConfig, MasaLinear
from sweeper_adapters.methods import MasaSpec
from sweeper_kernels import masa_linear
from tests.adapters.small import gradcheck, randomised

# The same products in float32, in another order.
TOLERANCE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-5}


class Net(nn.Module):
    """Layers of one type, named as in a decoder."""

    def __init__(self, count=5, in_features=6, out_features=4):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.ModuleDict({"proj": nn.Linear(in_features, out_features)}) for _ in range(count)
        )

    def forward(self, x):
        return torch.stack([layer.get_submodule("proj")(x) for layer in self.layers])


def adapted(net, **values):
    config = MasaConfig(target_modules=["proj"], **{"r": 2, "num_experts": 3, **values})
    return randomised(get_peft_model(net, config))


def layers_of(model):
    return [module for module in model.modules() if isinstance(module, MasaLinear)]


def part(layer, side, adapter="default"):
    return getattr(layer, f"masa_{side}")[adapter].weight


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("experts", [1, 4])
def test_is_equation_4(count, experts):
    net = Net()
    model = adapted(net, num_experts=experts, num_up_projections=count, alpha=7)
    x = torch.randn(3, 6)
    found = model(x)
    for number, layer in enumerate(layers_of(model)):
        frozen = layer.base_layer
        expected = x @ frozen.weight.T + frozen.bias
        for i in range(experts):
            for j in range(count):
                a, b = part(layer, "A")[i], part(layer, "B")[j]
                expected = expected + 7 / 2 * (x @ a.T @ b.T)
        assert_close(found[number], expected, **TOLERANCE)


@pytest.mark.parametrize("count", [1, 2])
def test_the_router_weighs_the_pairs_token_by_token(count):
    model = adapted(Net(), router="softmax", num_up_projections=count, alpha=6)
    x = torch.randn(2, 5, 6)
    found = model(x)
    for number, layer in enumerate(layers_of(model)):
        router = part(layer, "router")
        assert router.shape == (3 * count, 6)
        for b in range(2):
            for t in range(5):
                token = x[b, t]
                p = F.softmax(router @ token, dim=0).view(3, count)
                expected = layer.base_layer(token)
                for i in range(3):
                    for j in range(count):
                        up, down = part(layer, "B")[j], part(layer, "A")[i]
                        expected = expected + 3 * p[i, j] * (up @ (down @ token))
                assert_close(found[number, b, t], expected, **TOLERANCE)


@pytest.mark.parametrize("router", ["none", "softmax"])
def test_gradients_are_those_of_finite_differences(router):
    net = Net(2, 3, 2).double()
    model = adapted(net, router=router, num_up_projections=2).double()
    x = torch.randn(2, 3, dtype=torch.float64)
    assert gradcheck(model, x)


@pytest.fixture
def operations(monkeypatch):
    """The calls of the one operation for a whole layer."""
    calls = []

    def recorded(*arguments, **options):
        calls.append(options)
        return masa_linear(*arguments, **options)

    monkeypatch.setattr("sweeper_adapters.methods.masa.tuner.masa_linear", recorded)
    return calls


def hook(*_):
    return None


# What depends on a call of a layer, on its output, or on another input of A; in no case on values.
OBSTACLES = {
    "hook": lambda layer: layer.base_layer.register_forward_hook(hook),
    "hook before": lambda layer: layer.base_layer.register_forward_pre_hook(hook),
    "hook of A": lambda layer: layer.masa_A["default"].register_forward_hook(hook),
    "hook of B": lambda layer: layer.masa_B["default"].register_full_backward_hook(hook),
    "ZeRO-3": lambda layer: setattr(layer.masa_A["default"].weight, "ds_id", 3),
    "another class": lambda layer: setattr(
        layer.base_layer, "__class__", type("Other", (nn.Linear,), {})
    ),
}


@pytest.mark.parametrize("router", ["none", "softmax"])
@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_a_layer_is_one_operation_where_nothing_depends_on_the_calls(obstacle, router, operations):
    model = adapted(Net(1), router=router, num_up_projections=2, alpha=7)
    x = torch.randn(3, 6)
    trained = [p for p in model.parameters() if p.requires_grad]

    def results():
        y = model(x)
        return y, *torch.autograd.grad(y.square().sum(), trained)

    whole = results()
    assert len(operations) == 1
    OBSTACLES[obstacle](layers_of(model)[0])
    parts = results()
    assert len(operations) == 1
    for one, other in zip(whole, parts, strict=True):
        assert_close(one, other, **TOLERANCE)


def test_dropout_in_training_gives_a_another_input(operations):
    model = adapted(Net(1), dropout=0.5)
    x = torch.randn(3, 6)
    model.train()(x)
    assert not operations
    model.eval()(x)
    assert len(operations) == 1


def test_a_frozen_layer_in_16_bit_is_one_operation_that_rounds_as_its_parts_do(operations):
    model = adapted(Net(1, 64, 32).bfloat16(), r=4)
    layer = layers_of(model)[0]
    assert part(layer, "A").dtype == torch.float32
    x = torch.randn(9, 64, dtype=torch.bfloat16)
    whole = model(x)
    assert whole.dtype == torch.bfloat16
    layer.base_layer.register_forward_hook(hook)
    # The same numbers in float32, rounded to 8 bits: at most one step.
    assert_close(model(x), whole, rtol=2**-7, atol=1e-6)
    assert len(operations) == 1


def test_all_experts_of_a_group_get_the_same_gradient():
    # Eq. 8 of the paper.
    model = adapted(Net())
    model(torch.randn(3, 6)).square().sum().backward()
    for layer in layers_of(model):
        gradient = part(layer, "A").grad
        assert gradient.abs().sum() > 0
        assert_close(gradient, gradient[:1].expand_as(gradient), rtol=0, atol=0)


def test_a_shared_matrix_sums_the_gradients_of_its_layers():
    net, x = Net(3), torch.randn(4, 6)
    shared = adapted(net, group_size=3)
    shared(x).square().sum().backward()
    alone = adapted(Net(3), group_size=1)
    alone.load_state_dict(shared.state_dict())
    alone(x).square().sum().backward()
    total = torch.stack([part(layer, "A").grad for layer in layers_of(alone)]).sum(0)
    assert_close(part(layers_of(shared)[0], "A").grad, total, **TOLERANCE)


@pytest.mark.parametrize(
    ("sharing", "group_size", "groups_a", "groups_b"),
    [
        ("a", 2, [0, 0, 1, 1, 2], [0, 1, 2, 3, 4]),
        ("a", 3, [0, 0, 0, 1, 1], [0, 1, 2, 3, 4]),
        ("a", 9, [0] * 5, [0, 1, 2, 3, 4]),
        ("b", 2, [0, 1, 2, 3, 4], [0, 0, 1, 1, 2]),
        ("both", 4, [0, 0, 0, 0, 1], [0, 0, 0, 0, 1]),
        ("none", 2, [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]),
    ],
)
@pytest.mark.parametrize("adapter", ["default", "second"])
def test_who_shares_with_whom(sharing, group_size, groups_a, groups_b, adapter):
    values = {"sharing": sharing, "group_size": group_size, "router": "softmax"}
    model = adapted(Net(), **values)
    model.add_adapter("second", MasaConfig(r=2, target_modules=["proj"], **values))
    layers = layers_of(model)
    for side, groups in (("A", groups_a), ("B", groups_b), ("router", range(5))):
        found = [id(part(layer, side, adapter)) for layer in layers]
        seen = list(dict.fromkeys(found))
        assert [seen.index(one) for one in found] == list(groups), side


def test_only_one_type_and_one_size_share(llama):
    model = MasaSpec(rank=2, group_size=5, sharing="both").inject(llama(), seed=0)
    by_parameter: dict[int, set[str]] = {}
    for name, module in model.named_modules():
        if isinstance(module, MasaLinear):
            by_parameter.setdefault(id(part(module, "A")), set()).add(name.rsplit(".", 1)[1])
    assert sorted(len(types) for types in by_parameter.values()) == [1] * 7


def test_layers_of_gpt2_share_and_merge(ids):
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=64, n_positions=32, n_embd=16, n_layer=4, n_head=2)
    torch.manual_seed(0)
    base = GPT2LMHeadModel(config).eval()
    model = get_peft_model(
        base, MasaConfig(r=2, group_size=2, target_modules=["c_attn", "c_proj"], init_weights=False)
    ).eval()
    layers = dict(base.named_modules())
    first, second, third = (layers[f"transformer.h.{i}.attn.c_attn"] for i in range(3))
    assert first.in_features == 16
    assert first.out_features == 48
    assert part(first, "A") is part(second, "A")
    assert part(first, "A") is not part(third, "A")
    # c_proj of the attention and of the feed-forward are two types.
    assert part(layers["transformer.h.0.attn.c_proj"], "A").shape[-1] == 16
    assert part(layers["transformer.h.0.mlp.c_proj"], "A").shape[-1] == 64
    expected = model(input_ids=ids).logits
    assert_close(model.merge_and_unload()(input_ids=ids).logits, expected, **TOLERANCE)


def test_a_layer_without_a_number_shares_with_none():
    class TwoLayers(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            return self.last(self.first(x))

    model = get_peft_model(
        TwoLayers(), MasaConfig(target_modules=["first", "last"], r=1, sharing="both")
    )
    first, last = layers_of(model)
    assert part(first, "A") is not part(last, "A")
    assert part(first, "B") is not part(last, "B")


def test_groups_follow_the_layers_of_the_model_not_the_adapted_ones(llama):
    config = MasaConfig(r=2, target_modules=["q_proj"], layers_to_transform=[1, 2, 3])
    layers = layers_of(get_peft_model(llama(), config))
    assert part(layers[0], "A") is not part(layers[1], "A")
    assert part(layers[1], "A") is part(layers[2], "A")


def test_initial_values():
    torch.manual_seed(0)
    config = MasaConfig(r=16, num_experts=4, target_modules=["proj"], router="softmax")
    model = get_peft_model(Net(2, 64, 32), config)
    layer = layers_of(model)[0]
    bound = 1 / math.sqrt(64)
    for side, matrices in (("A", part(layer, "A")), ("router", part(layer, "router")[None])):
        for matrix in matrices:
            assert matrix.abs().max() <= bound, side
            assert matrix.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1), side
    assert part(layer, "B").abs().max() == 0
    assert not torch.equal(part(layer, "A")[0], part(layer, "A")[1])


def test_dropout_acts_in_training_and_not_on_the_router():
    model = adapted(Net(1), dropout=0.5, router="softmax")
    layer = layers_of(model)[0]
    x = torch.randn(2000, 6)
    model.eval()
    torch.testing.assert_close(model(x), model(x), rtol=0, atol=0)
    model.train()
    seen = []
    layer.masa_router["default"].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    found = model(x)
    assert torch.equal(seen[0], x)
    assert not torch.equal(found, model(x))


def test_a_shared_matrix_is_saved_under_its_first_name_only(llama, tmp_path):
    spec = MasaSpec(rank=2, group_size=2, targets=("q_proj",))
    spec.inject(llama(), seed=0).save_pretrained(tmp_path)
    layer = "base_model.model.model.layers.{}.self_attn.q_proj.masa_{}.weight"
    expected = {layer.format(i, "A") for i in (0, 2, 4)} | {layer.format(i, "B") for i in range(5)}
    assert set(load_file(tmp_path / "adapter_model.safetensors")) == expected


def test_loading_keeps_sharing(llama, tmp_path):
    spec = MasaSpec(rank=2, sharing="both", group_size=3)
    spec.inject(llama(), seed=0).save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(llama(), tmp_path, is_trainable=True)
    layers = {
        name: module for name, module in loaded.named_modules() if isinstance(module, MasaLinear)
    }
    for side in ("A", "B"):
        of_keys = [part(m, side) for name, m in layers.items() if name.endswith("k_proj")]
        assert [one is of_keys[0] for one in of_keys] == [True] * 3 + [False] * 2


def test_a_router_cannot_be_merged():
    model = adapted(Net(), router="softmax")
    with pytest.raises(ValueError, match=r"'default' has router 'softmax'.*run the model unmerged"):
        model.merge_and_unload()
    assert not model.supports_lora_conversion()
    assert adapted(Net()).supports_lora_conversion()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"r": 0}, "masa: r is 0; allowed is 1 or more"),
        ({"num_experts": 0}, "num_experts is 0"),
        ({"group_size": -1}, "group_size is -1"),
        ({"num_up_projections": 0}, "num_up_projections is 0"),
        ({"dropout": 1.0}, "dropout is 1.0; allowed is 0 to below 1"),
        ({"expert_dropout": "each"}, "it takes router 'softmax' and num_experts 1"),
        ({"sharing": "c"}, "sharing is 'c'; allowed is one of a, b, both, none"),
        ({"router": "top1"}, "router is 'top1'; allowed is one of none, softmax"),
    ],
)
def test_wrong_values_are_named(values, message):
    with pytest.raises(ValueError, match=message):
        MasaConfig(**values)
