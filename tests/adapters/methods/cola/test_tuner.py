"""CoLA against explicit loops over its pairs, in float64; where it begins; what its file holds."""

import itertools
import re
from typing import Any

import pytest
import torch
from peft import PeftModel, get_peft_model
from torch import nn
from torch.testing import assert_close
from transformers.pytorch_utils import Conv1D

from sweeper_adapters import ColaConfig, ColaLinear
from sweeper_adapters.methods import ColaSpec
from sweeper_adapters.methods.cola import tuner as cola
from tests.adapters.passes import logits, train
from tests.adapters.small import gradcheck

# The same sums in another order.
EXACT: dict[str, Any] = {"rtol": 1e-11, "atol": 1e-11}
# Values of a float32 decomposition, of order 1.
ROUNDED: dict[str, Any] = {"rtol": 0, "atol": 2e-6}

STRATEGIES = ("full", "random", "heuristic")


def adapted(base, *, is_random=True, dtype=torch.float64, **values):
    """A layer with a CoLA adapter, whose A and B have moved away from where they began."""
    config = ColaConfig(target_modules=["0"], **{"r": 2, "alpha": 3, **values})
    model = get_peft_model(nn.Sequential(base), config).to(dtype)
    [layer] = [module for module in model.modules() if isinstance(module, ColaLinear)]
    if is_random:
        with torch.no_grad():
            for side in ("A", "B"):
                weight = part(layer, side)
                weight += torch.randn_like(weight)
    return layer.eval()


def part(layer, side):
    return layer.get_parameter(f"cola_{side}.default.weight")


def origin(layer, side):
    return layer.get_buffer(f"cola_{side}.default.origin")


def pairs_of(strategy, downs, ups):
    """Which A works together with which B: the words of the paper, as loops."""
    if strategy == "full":
        return list(itertools.product(range(downs), range(ups)))
    each, rest = divmod(ups, downs)
    found, following = [], 0
    for i in range(downs):
        count = each + rest if i == 0 else each
        found += [(i, j) for j in range(following, following + count)]
        following += count
    return found


def by_pairs(layer, pairs, scale):
    """ΔW as a sum over pairs."""
    downs, ups = part(layer, "A"), part(layer, "B")
    first = origin(layer, "B") @ origin(layer, "A")
    return scale * sum(ups[j] @ downs[i] - first for i, j in pairs)


@pytest.mark.parametrize("strategy", ["full", "heuristic"])
@pytest.mark.parametrize(("downs", "ups"), [(1, 1), (2, 3), (3, 3), (3, 8), (4, 7)])
@pytest.mark.parametrize(("in_features", "out_features"), [(7, 5), (5, 9)])
def test_it_is_the_sum_over_its_pairs(strategy, downs, ups, in_features, out_features):
    layer = adapted(
        nn.Linear(in_features, out_features),
        collaboration=strategy,
        down_projections=downs,
        up_projections=ups,
    )
    pairs = pairs_of(strategy, downs, ups)
    assert len(pairs) == (downs * ups if strategy == "full" else ups)
    delta = by_pairs(layer, pairs, 3 / 2)
    x = torch.randn(2, 3, in_features, dtype=torch.float64)
    assert_close(layer(x), layer.base_layer(x) + x @ delta.T, **EXACT)
    assert_close(layer.delta("default"), delta, **EXACT)
    down, up = layer.lora_factors("default")
    assert down.shape[0] == (4 if strategy == "full" or downs == 1 else 2 * downs + 2)
    assert_close(up @ down, delta, **EXACT)


def test_heuristic_gives_the_first_a_what_is_left():
    assert pairs_of("heuristic", 2, 3) == [(0, 0), (0, 1), (1, 2)]
    assert pairs_of("heuristic", 3, 8) == [
        (0, 0),
        (0, 1),
        (0, 2),
        (0, 3),
        (1, 4),
        (1, 5),
        (2, 6),
        (2, 7),
    ]


def test_random_draws_one_b_for_each_a():
    layer = adapted(nn.Linear(6, 4), collaboration="random")
    x = torch.randn(3, 6, dtype=torch.float64)
    base = layer.base_layer(x)
    possible = {
        drawn: base + x @ by_pairs(layer, list(enumerate(drawn)), 3 / 2).T
        for drawn in itertools.product(range(3), repeat=2)
    }
    layer.train()
    torch.manual_seed(0)
    found = [layer(x) for _ in range(300)]
    drawn = [
        [key for key, value in possible.items() if torch.allclose(value, y, **EXACT)] for y in found
    ]
    assert all(len(keys) == 1 for keys in drawn)
    counts = [sum(keys == [key] for keys in drawn) for key in possible]
    # 300 draws of 9 equally likely: 33, with a standard deviation of 5.4.
    assert all(abs(count - 300 / 9) < 5 * 5.4 for count in counts)
    torch.manual_seed(0)
    assert_close(layer(x), found[0], rtol=0, atol=0)
    # Evaluation is the mean over all draws, always the same, and merges; also in training.
    mean = torch.stack(list(possible.values())).mean(0)
    assert_close(base + x @ layer.delta("default").T, mean, **EXACT)
    layer.eval()
    assert_close(layer(x), mean, **EXACT)
    assert torch.equal(layer(x), layer(x))


def test_random_draws_nothing_in_a_model_that_is_in_evaluation_already():
    model = nn.Sequential(nn.Linear(6, 4)).eval()
    config = ColaConfig(target_modules=["0"], r=2, collaboration="random", init_weights=False)
    adapted = get_peft_model(model, config)
    x = torch.randn(3, 6)
    assert len({adapted(x).sum().item() for _ in range(20)}) == 1
    adapted.train()
    assert len({adapted(x).sum().item() for _ in range(20)}) > 1


def test_random_trains_what_was_drawn():
    layer = adapted(nn.Linear(6, 4), collaboration="random").train()
    torch.manual_seed(2)
    layer(torch.randn(3, 6, dtype=torch.float64)).square().sum().backward()
    gradient = part(layer, "B").grad
    drawn = [j for j in range(3) if gradient[j].count_nonzero()]
    assert 1 <= len(drawn) <= 2
    assert part(layer, "A").grad.abs().amax((1, 2)).min() > 0


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("init", ["pissa", "lora"])
def test_dropout_is_of_what_is_trained(strategy, init):
    layer = adapted(
        nn.Linear(6, 5), collaboration=strategy, init=init, dropout=0.5, up_projections=5
    )
    x = torch.randn(40, 6, dtype=torch.float64)
    layer.train()
    torch.manual_seed(1)
    found = layer(x)
    torch.manual_seed(1)
    if strategy == "random":
        pairs = [(i, int(j)) for i, j in enumerate(torch.randint(5, (2,)))]
    else:
        pairs = pairs_of(strategy, 2, 5)
    dropped = nn.functional.dropout(x, 0.5)
    assert not torch.equal(dropped, x)
    downs, ups = part(layer, "A"), part(layer, "B")
    expected = layer.base_layer(x)
    for i, j in pairs:
        expected = expected + 3 / 2 * dropped @ downs[i].T @ ups[j].T
        if init == "pissa":
            # What stands for a changed W0 sees the inputs whole.
            expected = expected - 3 / 2 * x @ origin(layer, "A").T @ origin(layer, "B").T
    assert_close(found, expected, **EXACT)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("init", ["pissa", "lora"])
def test_gradients_are_those_of_finite_differences(strategy, init):
    layer = adapted(nn.Linear(4, 3), collaboration=strategy, init=init).train()
    assert sum(p.requires_grad for p in layer.parameters()) == 2
    x = torch.randn(2, 4, dtype=torch.float64)
    assert gradcheck(layer, x)


# Where it begins.


@pytest.mark.parametrize("base", [nn.Linear(9, 7), Conv1D(7, 9)], ids=["linear", "conv1d"])
def test_it_begins_as_the_principal_part(base):
    with torch.no_grad():
        nn.init.normal_(base.weight)
    weight = base.weight.detach().clone()
    matrix = weight.T if isinstance(base, Conv1D) else weight
    layer = adapted(base, is_random=False, dtype=torch.float32, r=3, svd_iterations=None)
    left, values, right = torch.linalg.svd(matrix)
    principal = left[:, :3] * values[:3] @ right[:3]
    downs, ups = part(layer, "A"), part(layer, "B")
    assert downs.shape == (2, 3, 9)
    assert ups.shape == (3, 7, 3)
    assert_close(1.0 * ups.sum(0) @ downs.sum(0), principal, **ROUNDED)
    # The singular values are halved between A and B, and divided by s = 1.
    assert_close(downs.sum(0).norm(dim=1), values[:3].sqrt(), **ROUNDED)
    assert_close(ups.sum(0).norm(dim=0), values[:3].sqrt(), **ROUNDED)
    for side in ("A", "B"):
        assert all(torch.equal(matrix, origin(layer, side)) for matrix in part(layer, side))
    assert torch.equal(base.weight, weight)


@pytest.mark.parametrize(("strategy", "share"), [("full", 1), ("random", 3), ("heuristic", 2)])
def test_what_is_subtracted_is_what_the_pairs_begin_with(strategy, share):
    layer = adapted(
        nn.Linear(9, 7), is_random=False, dtype=torch.float32, r=3, collaboration=strategy
    )
    left, values, right = torch.linalg.svd(layer.weight.detach())
    principal = left[:, :3] * values[:3] @ right[:3]
    count = {"full": 6, "random": 2, "heuristic": 3}[strategy]
    begins = count * origin(layer, "B") @ origin(layer, "A")
    assert_close(begins, principal / share, **ROUNDED)
    assert layer.delta("default").count_nonzero() == 0


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("is_cast", [False, True], ids=["own dtype", "cast to it"])
def test_nothing_changes_at_first_in_training_either(strategy, dtype, is_cast, llama, ids):
    base = llama(dtype)
    with torch.no_grad():
        expected = base.train()(input_ids=ids).logits
        model = ColaSpec(rank=3, collaboration=strategy).inject(base, seed=0)
        if is_cast:
            # As an engine does it.
            model.to(dtype)
        for _ in range(3):
            assert torch.equal(model.train()(input_ids=ids).logits, expected)


def test_init_lora_is_plain(llama, ids):
    model = ColaSpec(rank=3, init="lora").inject(llama(), seed=0)
    assert not any("cola_" in name for name, _ in model.named_buffers())
    layers = [module for module in model.modules() if isinstance(module, ColaLinear)]
    for layer in layers:
        downs = part(layer, "A")
        assert not torch.equal(downs[0], downs[1])
        assert downs.abs().max() <= layer.in_features**-0.5
        assert part(layer, "B").count_nonzero() == 0


def test_full_collaboration_keeps_equal_matrices_equal_and_random_does_not(llama, ids):
    plain = ColaSpec(rank=3, targets=("q_proj", "down_proj"))
    random = plain.model_copy(update={"collaboration": "random"})
    for spec, is_equal in ((plain, True), (random, False)):
        model = spec.inject(llama(), seed=0).train()
        trained = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=1e-2)
        for _ in range(8):
            model(input_ids=ids, labels=ids).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        same = [torch.equal(p[0], p[1]) for p in trained]
        assert all(same) if is_equal else not any(same)


# Files.


def test_loading_decomposes_nothing(llama, ids, tmp_path, monkeypatch):
    model = train(ColaSpec(rank=3).inject(llama(), seed=0))
    expected = logits(model, ids)
    model.save_pretrained(tmp_path)

    def refuse(*args, **kwargs):
        raise AssertionError("it decomposes a weight")

    monkeypatch.setattr(cola, "decompose_leading", refuse)
    for is_empty in (False, True):
        again = PeftModel.from_pretrained(
            llama(), tmp_path, low_cpu_mem_usage=is_empty, is_trainable=is_empty
        )
        assert torch.equal(logits(again, ids), expected)
    with pytest.raises(AssertionError, match="it decomposes a weight"):
        ColaSpec(rank=3).inject(llama(), seed=0)


def test_what_is_kept_comes_from_the_file(llama, ids, tmp_path):
    model = train(ColaSpec(rank=3).inject(llama(), seed=0))
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            if "cola_" in name:
                buffer.normal_()
    expected = logits(model, ids)
    model.save_pretrained(tmp_path)
    # Decomposed again here, and then replaced.
    again = PeftModel.from_pretrained(llama(), tmp_path, is_trainable=True)
    assert torch.equal(logits(again, ids), expected)


def test_a_16_bit_base_takes_a_float32_adapter_whole(llama, tmp_path):
    model = train(ColaSpec(rank=3).inject(llama(), seed=0))
    model.save_pretrained(tmp_path)
    again = PeftModel.from_pretrained(llama(torch.bfloat16), tmp_path)
    found, expected = again.state_dict(), model.state_dict()
    names = [name for name in expected if "cola_" in name]
    assert len(names) == 5 * 7 * 4
    for name in names:
        assert_close(found[name], expected[name], rtol=0, atol=0, msg=name)


def test_a_model_without_values_has_an_adapter_without_values(llama):
    with torch.device("meta"):
        model = llama()
    adapted = ColaSpec(rank=3).inject(model, seed=0)
    assert all(p.is_meta for p in adapted.parameters())


def test_a_quantised_weight_is_refused():
    base = nn.Linear(8, 4)
    base.weight = nn.Parameter(torch.zeros(4, 8, dtype=torch.uint8), requires_grad=False)
    message = (
        r"cola: init 'pissa' decomposes .* torch.uint8 with 32 elements where the layer is 8 -> 4; "
        r"it must be whole, and not quantised; take init 'lora', or load"
    )
    config = ColaConfig(target_modules=["0"], r=2)
    with pytest.raises(ValueError, match=message):
        get_peft_model(nn.Sequential(base), config)


def test_a_sharded_weight_is_refused():
    base = nn.Linear(8, 4)
    base.weight.data = torch.empty(0)
    with pytest.raises(ValueError, match="with 0 elements where the layer is 8 -> 4"):
        get_peft_model(nn.Sequential(base), ColaConfig(target_modules=["0"], r=2))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"r": 0}, "cola: r is 0; allowed is 1 or more; change r"),
        ({"down_projections": 0}, "down_projections is 0; allowed is 1 or more"),
        ({"up_projections": 0}, "up_projections is 0; allowed is 1 or more"),
        ({"dropout": 1.0}, "dropout is 1.0; allowed is 0 to below 1"),
        ({"svd_iterations": 0}, "svd_iterations is 0; allowed is 1 or more, or None"),
        ({"init": "zero"}, "init is 'zero'; allowed is one of pissa, lora; change init"),
        ({"collaboration": "some"}, "is 'some'; allowed is one of full, random, heuristic; change"),
        (
            {"collaboration": "heuristic", "up_projections": 1},
            re.escape("up_projections is 1; allowed is down_projections (2) or more"),
        ),
    ],
)
def test_values_out_of_range_are_named(values, message):
    with pytest.raises(ValueError, match=message):
        ColaConfig(**values)


def test_a_rank_that_a_layer_does_not_have_is_named():
    config = ColaConfig(target_modules=["0"], r=5)
    with pytest.raises(ValueError, match="r is 5; allowed is 1 to 4 for this layer; change r"):
        get_peft_model(nn.Sequential(nn.Linear(8, 4)), config)
